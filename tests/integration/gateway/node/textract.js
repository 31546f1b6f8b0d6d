// AWS Textract's own client for Node: what it reads, how it pages, and what it raises.
// The address and the credentials are in the environment, as every program of AWS's has them.
import { readFileSync } from "node:fs";
import {
  DetectDocumentTextCommand,
  AnalyzeDocumentCommand,
  GetDocumentTextDetectionCommand,
  StartDocumentTextDetectionCommand,
  TextractClient,
} from "@aws-sdk/client-textract";

const [image, bucket, name, limitedId, limitedSecret] = process.argv.slice(2);
const client = new TextractClient({ region: "eu-central-1", maxAttempts: 20 });

async function raised(command, asking = client) {
  try {
    await asking.send(command);
  } catch (error) {
    const { httpStatusCode, requestId, attempts } = error.$metadata ?? {};
    return { name: error.name, status: httpStatusCode, request: requestId ?? "", attempts };
  }
  return null;
}

const read = await client.send(new DetectDocumentTextCommand({ Document: { Bytes: readFileSync(image) } }));
const { JobId } = await client.send(
  new StartDocumentTextDetectionCommand({ DocumentLocation: { S3Object: { Bucket: bucket, Name: name } } }),
);
const blocks = [];
let NextToken;
do {
  const some = await client.send(new GetDocumentTextDetectionCommand({ JobId, MaxResults: 100, NextToken }));
  if (some.JobStatus === "IN_PROGRESS") {
    await new Promise((resolve) => setTimeout(resolve, 100));
    continue;
  }
  blocks.push(...some.Blocks);
  NextToken = some.NextToken;
  if (NextToken === undefined) break;
} while (true);

// a clock that is an hour slow: the client sets it right by the Date of the answer
const slow = new TextractClient({ region: "eu-central-1", systemClockOffset: -3600_000, maxAttempts: 20 });
const unknown = new GetDocumentTextDetectionCommand({ JobId: "01a2042b-0000-7000-8000-000000000000" });
// a key that may ask once an hour: the client tries again by itself, as often as it is told
const credentials = { accessKeyId: limitedId, secretAccessKey: limitedSecret };
const limited = new TextractClient({ region: "eu-central-1", maxAttempts: 3, credentials });
console.log(
  JSON.stringify({
    words: read.Blocks.filter((block) => block.BlockType === "WORD").map((block) => block.Text),
    pages: [...new Set(blocks.map((block) => block.Page))],
    blocks: blocks.length,
    ids: new Set(blocks.map((block) => block.Id)).size,
    unsupported: await raised(new DetectDocumentTextCommand({ Document: { Bytes: Buffer.from("no image") } })),
    other: await raised(new AnalyzeDocumentCommand({ Document: { Bytes: Buffer.from("x") }, FeatureTypes: ["TABLES"] })),
    unknown: await raised(unknown),
    slow: [await raised(unknown, slow), await raised(unknown, slow)],
    limited: [await raised(unknown, limited), await raised(unknown, limited)],
  }),
);
