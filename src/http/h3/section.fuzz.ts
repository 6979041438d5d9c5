// Whatever the runtime hands over: the head is the one that HTTP/2 makes of the same fields, or fails for the same reason.
// `bun src/http/h3/section.fuzz.ts 182` replays one seed.
import { type Rng, runAlone } from "../../core/fuzz.testing.ts";
import type { HeadLimits } from "../h1/limits.ts";
import { HpackDecoder } from "../h2/hpack-decoder.ts";
import { RequestHeadBuilder } from "../h2/request-head-builder.ts";
import { block, linesOf } from "../h2/session.testing.ts";
import { RequestHead } from "../message.ts";
import type { FieldMap } from "./field-map.ts";
import { readRequest, type SectionResult } from "./section.ts";

const LIMITS: HeadLimits = { startLine: 60, section: 400, fields: 8 };
const NAMES = [
  ...[":method", ":scheme", ":path", ":authority", ":protocol", ":status", ":other", "", "X-Upper", "x y", "x_y"],
  ...["host", "cookie", "te", "connection", "content-length", "expect", "x-a", "x-b", "priority", "caf\xe9", "upgrade"],
];
const VALUES = [
  ...["GET", "POST", "CONNECT", "https", "http", "ftp", "/", "/a?b", "*", "a b", "a.test", "A.test:443", "b.test", ""],
  ...[
    " x",
    "x\t",
    "a\r\nb: c",
    "a\x00",
    "\x7f",
    "caf\xe9",
    "websocket",
    "trailers",
    "5",
    "0",
    "-1",
    "u=1",
    "100-continue",
  ],
  "y".repeat(100),
];
const USUAL: FieldMap = { ":method": "GET", ":scheme": "https", ":path": "/", ":authority": "a.test" };

const other = new RequestHeadBuilder();

export function sectionLaw(rng: Rng): void {
  const map: FieldMap = Object.assign(Object.create(null) as FieldMap, rng.below(4) === 0 ? {} : USUAL);
  for (let n = rng.below(6); n > 0; n -= 1) {
    const name = rng.pick(NAMES);
    const before = map[name];
    const value = rng.pick(VALUES);
    map[name] = before === undefined ? value : Array.isArray(before) ? [...before, value] : [before, value];
  }
  const fields = Object.entries(map).flatMap(([name, value]) => [value].flat().map((each) => [name, each] as const));
  const ended = rng.below(2) === 0;
  const connectProtocol = rng.below(2) === 0;

  const mine = new RequestHead();
  const seen = told(readRequest(map, mine, LIMITS, true, connectProtocol, ended), mine);
  const theirs = new RequestHead();
  other.begin(theirs, LIMITS, true, connectProtocol);
  const bytes = block(fields);
  const broken = new HpackDecoder(4096).decode(bytes, 0, bytes.length, other);
  if (broken !== "") throw new Error(broken);
  other.finish(ended);
  const want = told(other, theirs);
  if (seen !== want) throw new Error(`${JSON.stringify(fields)}: ${seen}, and not ${want}`);
  if (mine.version !== 30) throw new Error(`version ${mine.version}`);
}

function told({ malformed, fault }: SectionResult, head: RequestHead): string {
  if (malformed !== "") return `malformed: ${malformed}`;
  if (fault !== null) return `fault: ${fault.code}`;
  const { method, target, authority, body, length, upgrade, expectContinue } = head;
  return JSON.stringify([method, target, authority, body, length, upgrade, expectContinue, linesOf(head.headers)]);
}

if (import.meta.main) runAlone("sections of HTTP/3", sectionLaw);
