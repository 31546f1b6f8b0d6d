// @azure-rest/ai-document-intelligence asks a gateway for prebuilt-read: node azure_read.js ENDPOINT KEY FILE.
import { readFile } from "node:fs/promises";
import DocumentIntelligence, {
  getLongRunningPoller,
  isUnexpected,
  parseResultIdFromResponse,
  streamToUint8Array,
} from "@azure-rest/ai-document-intelligence";

const [endpoint, key, file] = process.argv.slice(2);
const MODEL = "prebuilt-read";
const tries = [];
const client = DocumentIntelligence(endpoint, { key });
client.pipeline.addPolicy(
  {
    name: "noting",
    async sendRequest(request, next) {
      const response = await next(request);
      tries.push(response.status);
      return response;
    },
  },
  { afterPhase: "Retry" },
);

async function begin(model, queryParameters) {
  const base64Source = await readFile(file, { encoding: "base64" });
  return client
    .path("/documentModels/{modelId}:analyze", model)
    .post({ contentType: "application/json", body: { base64Source }, queryParameters });
}

const begun = await begin(MODEL, { output: ["pdf"], stringIndexType: "utf16CodeUnit", locale: "en-US" });
if (isUnexpected(begun)) throw begun.body.error;
const resultId = parseResultIdFromResponse(begun);
const operation = (await getLongRunningPoller(client, begun).pollUntilDone()).body;
const { content, pages, stringIndexType } = operation.analyzeResult;
const cut = ({ offset, length }) => content.slice(offset, offset + length);

const pdf = await client
  .path("/documentModels/{modelId}/analyzeResults/{resultId}/pdf", MODEL, resultId)
  .get()
  .asNodeStream();
const bytes = await streamToUint8Array(pdf.body);

const unknown = await begin("prebuilt-layout");
const refused = await begin(MODEL, { features: ["barcodes"] });
const deleted = await client
  .path("/documentModels/{modelId}/analyzeResults/{resultId}", MODEL, resultId)
  .delete();
const gone = await client.path("/documentModels/{modelId}/analyzeResults/{resultId}", MODEL, resultId).get();

// more requests than the key may make at once, until it is told so
const throttled = [];
for (let round = 0; round < 20 && !tries.includes(429); round++) {
  throttled.push(...(await Promise.all([1, 2, 3, 4].map(() => begin(MODEL)))));
}

console.log(
  JSON.stringify({
    status: operation.status,
    content,
    stringIndexType,
    words: pages.flatMap(({ words }) => words.map((word) => [word.content, cut(word.span)])),
    pdf: new TextDecoder().decode(bytes.slice(0, 5)),
    unknown: unknown.body.error.innererror.code,
    refused: [refused.status, refused.body.error.code],
    deleted: deleted.status,
    gone: gone.body.error.code,
    throttled: tries.includes(429) && throttled.every(({ status }) => status === "202"),
  }),
);
