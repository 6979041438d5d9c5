// Nanoseconds per field section that is decoded and encoded: `bun bench/hpack.bench.ts`.
// Sketch: with a warm table most fields are one byte on the wire and a part of one copy, or one comparison of their
// value, some 20 ns each; a literal costs 1 to 2 ns for each of its bytes. Over a budget something is made for each
// field, or fields that repeat are not found.

import { type FieldSink, HpackDecoder } from "../src/http/h2/hpack-decoder.ts";
import { HpackEncoder, hpackMax } from "../src/http/h2/hpack-encoder.ts";
import { skipSet } from "../src/http/header-block.ts";
import { BROWSER_FIELDS, blockOf } from "./heads.ts";
import { bench, finish } from "./per-call.ts";

const TABLE = 4096;

/** A sink as cheap as one can be. */
class LineSink implements FieldSink {
  buffer: Buffer = Buffer.alloc(16_384);
  at = 0;
  fields = 0;
  room(bytes: number): boolean {
    return this.at + bytes <= this.buffer.length;
  }
  field(): void {
    this.fields += 1;
  }
  skipped(): void {
    throw new Error("a field was refused");
  }
}

const NONE = skipSet();
const out = Buffer.alloc(16_384);
const browser = blockOf([...BROWSER_FIELDS]);
function writeRequest(encoder: HpackEncoder): Buffer {
  encoder.begin(out, 0);
  encoder.request("GET", "https", "www.example.com", "/index.html?page=2");
  encoder.fields(browser, NONE);
  return Buffer.from(out.subarray(0, encoder.at));
}

const sink = new LineSink();
function decodeBench(name: string, budgetNs: number, block: Buffer, decoder: HpackDecoder): void {
  bench(name, block.length, budgetNs, () => {
    sink.at = 0;
    const problem = decoder.decode(block, 0, block.length, sink);
    if (problem !== "") throw new Error(problem);
    return sink.at;
  });
}

/** What a browser sends: everything but the path and some more goes into the table, and is an index from then on. */
const [warm, warmDecoder] = [new HpackEncoder(), new HpackDecoder(TABLE)];
let request: Buffer = Buffer.alloc(0);
for (let i = 0; i < 4; i += 1) {
  request = writeRequest(warm);
  sink.at = 0;
  const problem = warmDecoder.decode(request, 0, request.length, sink);
  if (problem !== "") throw new Error(problem);
}
decodeBench("decode a browser's request, warm table", 1000, request, warmDecoder);
const literals = new HpackEncoder(0);
const first = writeRequest(literals);
decodeBench("decode it, all literals", 3500, first, new HpackDecoder(TABLE));

const answer = blockOf([
  "Server: nginx/1.22.1",
  "Date: Mon, 23 Nov 2026 12:00:00 GMT",
  "Content-Type: text/html; charset=utf-8",
  "Content-Length: 5120",
  "Last-Modified: Mon, 23 Nov 2026 11:00:00 GMT",
  'ETag: "5f2b-1400"',
  "Accept-Ranges: bytes",
  "Cache-Control: public, max-age=3600",
  "X-Frame-Options: DENY",
  "Strict-Transport-Security: max-age=63072000; includeSubDomains",
]);
if (hpackMax(answer) > out.length) throw new Error("the buffer is too small");
function encodeBench(name: string, budgetNs: number, encoder: HpackEncoder, one: () => void): void {
  one();
  one();
  one();
  bench(name, encoder.at, budgetNs, () => {
    one();
    return encoder.at;
  });
}
const encoder = new HpackEncoder();
encodeBench("encode an answer of 10 fields, warm table", 1000, encoder, () => {
  encoder.begin(out, 0);
  encoder.status(200);
  encoder.fields(answer, NONE);
});
const cold = new HpackEncoder(0);
encodeBench("encode it, all literals", 2500, cold, () => {
  cold.begin(out, 0);
  cold.status(200);
  cold.fields(answer, NONE);
});
const upstream = new HpackEncoder();
encodeBench("encode a browser's request, warm table", 1500, upstream, () => {
  upstream.begin(out, 0);
  upstream.request("GET", "https", "www.example.com", "/index.html?page=2");
  upstream.fields(browser, NONE);
});

finish();
