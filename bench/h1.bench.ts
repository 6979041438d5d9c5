// Nanoseconds per head that is read and per head that is written: `bun bench/h1.bench.ts`.
// Sketch: reading looks at each byte once in a table, about 1 ns a byte, and notes four offsets for each field; writing
// copies ranges, next to nothing a byte, and adds some lines of text at about 50 ns each. Over a budget something is
// made for each field: a string, an object, a closure.

import { BodyReader } from "../src/http/h1/body-reader.ts";
import { RESPONSE_LIMITS } from "../src/http/h1/limits.ts";
import { RequestReader } from "../src/http/h1/request-reader.ts";
import { ResponseReader } from "../src/http/h1/response-reader.ts";
import { writeChunkHead, writeCrlf, writeLastChunk } from "../src/http/h1/writer.ts";
import { HeaderBlock } from "../src/http/header-block.ts";
import { ResponseHead } from "../src/http/message.ts";
import { ClientInfo } from "../src/pipeline/client-info.ts";
import { type Downstream, Exchange } from "../src/pipeline/exchange.ts";
import { writeResponseHead } from "../src/server/h1-output.ts";
import { writeRequestHead } from "../src/upstream/h1-request.ts";
import { BROWSER_FIELDS } from "./heads.ts";
import { bench, finish } from "./per-call.ts";

const linesOf = (fields: readonly string[]): string => fields.map((field) => `${field}\r\n`).join("");
const BROWSER = Buffer.from(
  `GET /index.html?page=2 HTTP/1.1\r\n${linesOf(["Host: www.example.com:8080", ...BROWSER_FIELDS])}\r\n`,
);
const MANY = Buffer.from(
  `GET / HTTP/1.1\r\nHost: a\r\n${linesOf(Array.from({ length: 31 }, (_, i) => `X-Field-${i}: value ${i}`))}\r\n`,
);
const ANSWER = Buffer.from(
  `HTTP/1.1 200 OK\r\n${linesOf([
    "Server: nginx/1.22.1",
    "Date: Mon, 23 Nov 2026 12:00:00 GMT",
    "Content-Type: text/html; charset=utf-8",
    "Content-Length: 5120",
    "Last-Modified: Mon, 23 Nov 2026 11:00:00 GMT",
    "Connection: keep-alive",
    'ETag: "5f2b-1400"',
    "Accept-Ranges: bytes",
  ])}\r\n`,
);
const CHUNKS = Buffer.from(`${`400\r\n${"x".repeat(1024)}\r\n`.repeat(16)}0\r\n\r\n`);

const LIMITS = { startLine: 8192, section: 32_768, fields: 100 };
const requests = new RequestReader(LIMITS);
function read(wire: Buffer): number {
  requests.begin(wire);
  return requests.read(wire, 0);
}
bench("read a browser's request", BROWSER.length, 1500, () => read(BROWSER));
bench("read a request of 32 fields", MANY.length, 2200, () => read(MANY));

const [first, second] = [BROWSER.subarray(0, 300) as Buffer, BROWSER.subarray(300) as Buffer];
bench("read it in two pieces", BROWSER.length, 3000, () => {
  requests.begin(first);
  requests.read(first, 0);
  return requests.read(second, 0);
});

const answers = new ResponseReader();
bench("read an answer", ANSWER.length, 800, () => {
  answers.begin(ANSWER, "GET");
  return answers.read(ANSWER, 0);
});
if (answers.limits !== RESPONSE_LIMITS) throw new Error("an answer is read with other limits than its own");

const body = new BodyReader();
let content = 0;
const sink = {
  onBody(_bytes: Buffer, from: number, to: number): void {
    content += to - from;
  },
};
bench("read 16 chunks of 1 KB", CHUNKS.length, 1200, () => {
  body.start("chunked", 0);
  return body.read(CHUNKS, 0, sink);
});
if (content % 16_384 !== 0) throw new Error("chunks were read wrongly");

const out = Buffer.alloc(65_536);
const exchange = new Exchange(
  requests.head,
  new ResponseHead(),
  {} as Downstream, // a writer has no business with it
  new ClientInfo("192.0.2.1"),
  ":80",
  0,
);
exchange.requestId = "019a2c3e-7b1d-7c55-8f0e-2b8d6a4c9e10";
read(BROWSER);
bench("write a browser's request", writeRequestHead(out, 0, exchange, null), 500, () =>
  writeRequestHead(out, 0, exchange, null),
);
bench("write it with another Host", writeRequestHead(out, 0, exchange, "app:3001"), 800, () =>
  writeRequestHead(out, 0, exchange, "app:3001"),
);
bench("write an answer", writeResponseHead(out, 0, answers.head, "length", ""), 500, () =>
  writeResponseHead(out, 0, answers.head, "length", ""),
);
const edited = new HeaderBlock();
edited.set("X-Frame-Options", "DENY");
edited.set("Strict-Transport-Security", "max-age=63072000");
answers.head.headers.added = edited.added;
bench("write an answer with two edits", writeResponseHead(out, 0, answers.head, "length", ""), 900, () =>
  writeResponseHead(out, 0, answers.head, "length", ""),
);
bench("write the frame of a chunk", 16, 100, () =>
  writeCrlf(out, writeLastChunk(out, writeChunkHead(out, 0, 65_536), null)),
);

finish();
