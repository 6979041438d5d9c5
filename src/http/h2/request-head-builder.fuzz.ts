// Whatever fields come: a head that is taken is, forwarded byte by byte, one request of HTTP/1.1 that says the same to
// its reader. Nothing that a server could read as something else gets through a change of versions.
// `bun src/http/h2/request-head-builder.fuzz.ts 182` replays one seed.
import { type Rng, runAlone } from "../../core/fuzz.testing.ts";
import { DEFAULT_LIMITS, hearRequests } from "../h1/feed.testing.ts";
import { skipSet } from "../header-block.ts";
import { RequestHead } from "../message.ts";
import { HpackDecoder } from "./hpack-decoder.ts";
import { HpackEncoder } from "./hpack-encoder.ts";
import { RequestHeadBuilder } from "./request-head-builder.ts";
import { block } from "./session.testing.ts";

type Field = readonly [name: string, value: string];

const NAMES: readonly string[] = [
  "x-a",
  "x-b",
  "cookie",
  "content-length",
  "host",
  "te",
  "expect",
  "accept",
  "priority",
  "transfer-encoding",
  "connection",
  "content_length",
  "X-Upper",
  "",
  ":path",
  "content-length ",
  "x\r\ny",
];
const VALUES: readonly string[] = [
  "1",
  "0",
  "",
  "5",
  "a.test",
  "b.test",
  "trailers",
  "100-continue",
  "chunked",
  "close",
  "a=1",
  "b=2; c=3",
  "x\r\ny: 1",
  "x\n",
  "\0",
  " x",
  "x\t",
  "\x80\xff",
  "a\tb",
  "5, 5",
  "+5",
];
const PATHS: readonly string[] = [
  "/",
  "*",
  "/a/../b",
  "/a b",
  "/?q=1",
  "//x",
  "/%2e%2e/",
  "/a%00",
  "/\x7f",
  "/x#f",
  "",
  "a",
];
const AUTHORITIES: readonly string[] = [
  "a.test",
  "A.test:443",
  "[::1]:8080",
  "a.test:x",
  "u@a.test",
  "",
  "a.test/",
  "a b",
];
const METHODS: readonly string[] = ["GET", "POST", "HEAD", "OPTIONS", "CONNECT", "get", "M SEARCH", "", "PROPFIND"];

/** Usually the first one. */
const mostly = <T>(rng: Rng, from: readonly T[]): T => (rng.oneIn(3) ? rng.pick(from) : from[0]!);

function fieldsOf(rng: Rng): Field[] {
  const fields: Field[] = [
    [":method", mostly(rng, METHODS)],
    [":scheme", rng.oneIn(20) ? "ftp" : rng.pick(["https", "http"])],
    [":path", mostly(rng, PATHS)],
  ];
  if (!rng.oneIn(6)) fields.push([":authority", mostly(rng, AUTHORITIES)]);
  if (rng.oneIn(6)) {
    fields.push([":protocol", "websocket"]);
    if (!rng.oneIn(4)) fields[0] = [":method", "CONNECT"];
  }
  if (rng.oneIn(20)) fields.splice(rng.below(fields.length), 1);
  for (let count = rng.below(6); count > 0; count -= 1)
    fields.push(
      rng.oneIn(2) ? [rng.pick(NAMES), rng.pick(VALUES)] : [rng.pick(["x-a", "x-b", "cookie"]), rng.pick(["1", "b=2"])],
    );
  if (rng.oneIn(20)) fields.push(fields[rng.below(fields.length)]!);
  return fields;
}

/** As literals, or as an encoder writes them. */
function encode(rng: Rng, fields: readonly Field[]): Buffer {
  if (rng.oneIn(2)) return block(fields);
  const bytes = Buffer.alloc(4096);
  const encoder = new HpackEncoder();
  encoder.begin(bytes, 0);
  for (const [name, value] of fields) encoder.field(name, value);
  return bytes.subarray(0, encoder.at) as Buffer;
}

const NONE = skipSet();
const builder = new RequestHeadBuilder();

export function requestHeadLaw(rng: Rng): void {
  const fields = fieldsOf(rng);
  const head = new RequestHead();
  const bytes = encode(rng, fields);
  builder.begin(head, DEFAULT_LIMITS, true, true);
  const problem = new HpackDecoder(4096).decode(bytes, 0, bytes.length, builder);
  if (problem !== "") throw new Error(problem);
  const isOver = rng.oneIn(2);
  builder.finish(isOver);
  if (builder.malformed !== "" || builder.fault !== null || head.lineAt < 0) return;
  const out = Buffer.alloc(head.headers.end + 8192);
  let end = head.headers.writeTo(out, 0, NONE, head.lineAt);
  if (head.body === "chunked") end += out.latin1Write("transfer-encoding: chunked\r\n", end);
  end += out.latin1Write("\r\n", end);
  const wire = out.subarray(0, end) as Buffer;
  const heard = hearRequests([wire], DEFAULT_LIMITS);
  const show = JSON.stringify([fields, wire.latin1Slice(0, end), heard.events]);
  const [message] = heard.messages;
  if (message === undefined || heard.messages.length > 1 || heard.end.startsWith("fault")) throw new Error(show);
  const { method, target, authority, path, expectContinue, body } = message.facts;
  const want = [head.method, head.target, head.authority, head.path, head.expectContinue, head.body];
  if (JSON.stringify([method, target, authority, path, expectContinue, body]) !== JSON.stringify(want))
    throw new Error(`${show} is ${JSON.stringify(message.facts)}`);
  const got = message.fields.filter(([name]) => name !== "transfer-encoding");
  if (JSON.stringify(got) !== JSON.stringify(head.headers.entries())) throw new Error(`${show} has other fields`);
}

if (import.meta.main) runAlone("request head builder", requestHeadLaw);
