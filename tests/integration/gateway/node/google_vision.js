// Google's own client, over gRPC and as its fallback over REST: text, boxes, an operation that is polled, an error.
import {readFileSync} from 'node:fs';
import vision from '@google-cloud/vision';

const [transport, host, port, key, picture] = process.argv.slice(2);
const options = {apiEndpoint: host, port: Number(port), apiKey: key};
const client = new vision.ImageAnnotatorClient(transport === 'rest' ? {...options, fallback: true} : options);

const [result] = await client.textDetection({image: {content: readFileSync(picture)}});
const page = result.fullTextAnnotation.pages[0];
const word = page.blocks[0].paragraphs[0].words[0];

const [batch] = await client.batchAnnotateImages({
  requests: [{image: {content: Buffer.from('no image')}, features: [{type: 'TEXT_DETECTION'}]}],
});

const [begun] = await client.asyncBatchAnnotateImages({
  requests: [{image: {content: readFileSync(picture)}, features: [{type: 'DOCUMENT_TEXT_DETECTION'}]}],
  outputConfig: {gcsDestination: {uri: `gs://results/node-${transport}/`}, batchSize: 1},
});
const [response] = await begun.promise();

let refused = null;
try {
  const wrong = new vision.ImageAnnotatorClient({...options, apiKey: 'wrong', fallback: transport === 'rest'});
  await wrong.textDetection({image: {content: readFileSync(picture)}});
} catch (error) {
  refused = {code: error.code, message: error.message, reason: error.reason};
}

console.log(JSON.stringify({
  text: result.textAnnotations[0].description,
  vertices: result.textAnnotations[1].boundingPoly.vertices,
  width: page.width,
  letters: word.symbols.map(symbol => symbol.text).join(''),
  confidence: word.confidence,
  bad: {code: batch.responses[0].error.code, message: batch.responses[0].error.message},
  operation: response.outputConfig.gcsDestination.uri,
  refused,
}));
