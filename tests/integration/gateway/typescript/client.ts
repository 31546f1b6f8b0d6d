// Submits a reference, waits for the job, and fetches what was read: by a client whose types are the OpenAPI document's.
import createClient from "openapi-fetch";
import type { components, paths } from "./schema.js";

declare const process: { argv: string[] };

const [url, image] = process.argv.slice(2) as [string, string];
const client = createClient<paths>({ baseUrl: url });

function known<T>(answer: { data?: T; error?: unknown }): T {
  if (answer.data === undefined) throw new Error(JSON.stringify(answer.error));
  return answer.data;
}

type Job = components["schemas"]["JobView"];

// with `Prefer: wait` the answer may be the result itself
const isJob = (answer: unknown): answer is Job => typeof answer === "object" && answer !== null && "links" in answer;

const answer = known(
  await client.POST("/v1/jobs", { body: { image, engine: "null", crops: "none", tag: "typescript" } }),
);
if (!isJob(answer)) throw new Error("this is no job");
let job: Job = answer;
const path = { job_id: job.id };
while (job.state === "queued" || job.state === "running") {
  job = known(await client.GET("/v1/jobs/{job_id}", { params: { path, query: { wait: 30 } } }));
}
const text = known(
  await client.GET("/v1/jobs/{job_id}/result", { params: { path, query: { format: "text" } }, parseAs: "text" }),
);
const unknown = await client.GET("/v1/jobs/{job_id}", { params: { path: { job_id: "nobody-knows-it" } } });
// a problem has its fields
const problem: components["schemas"]["Problem"] | undefined = unknown.error;

console.log(JSON.stringify({ id: job.id, state: job.state, tag: job.tag, text, code: problem?.code }));
