// What transcoding between JSON and gRPC costs beside forwarding: `bun bench/transcode.bench.ts`.
// Sketch: a path is split and looked up in a handful of maps. 1 KB of JSON is parsed, made a message by reflection and
// written, some 15 fields and lists of them; the same back. Over a budget something is looked up for each field anew.
import { answerOf } from "../src/engines/transcode/answer.ts";
import { echoTranscoder } from "../src/engines/transcode/descriptors.testing.ts";
import { requestFrames } from "../src/engines/transcode/request.ts";
import { FRAME_HEAD_BYTES } from "../src/http/grpc-frames.ts";
import { bench, finish } from "./per-call.ts";

const transcoder = echoTranscoder();
const list = Array.from({ length: 20 }, (_, at) => ({ id: `item-${at}`, on: true, kind: "SECOND" }));
const tags = Array.from({ length: 10 }, (_, at) => `a tag of some length ${at}`);
const json = Buffer.from(JSON.stringify({ name: "a name", big: "123456789", tags, list, ratio: 1.5 }));
const PER_ROUND = 20_000;

const boundTo = (method: string, path: string) => {
  const found = transcoder.find(method, path);
  if (found.kind !== "found") throw new Error(path);
  return found;
};
function framesOf(method: string, path: string, query: string, content: Buffer | null): Buffer {
  const { value, segments } = boundTo(method, path);
  const body = content === null ? null : { bytes: content, type: "application/json" };
  const frames = requestFrames(transcoder, value, segments, query, body);
  if (!Buffer.isBuffer(frames)) throw new Error(frames.message);
  return frames;
}

const message = framesOf("POST", "/v1/messages", "", json).subarray(FRAME_HEAD_BYTES);
const binding = boundTo("POST", "/v1/messages").value;

bench(
  "a request without a body",
  0,
  8000,
  () => framesOf("GET", "/v1/shelves/1/books/2", "big=5&inner.on=true", null).length,
  PER_ROUND,
);
bench(
  "1 KB of JSON to a message",
  json.length,
  60_000,
  () => framesOf("POST", "/v1/messages", "", json).length,
  PER_ROUND,
);
bench(
  "the same message to JSON",
  message.length,
  60_000,
  () => answerOf(transcoder, binding, message).bytes.length,
  PER_ROUND,
);
finish();
