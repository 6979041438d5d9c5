// Gives a stored answer, or one that is being stored, to a client: whole, in parts, or as 304, through the response
// filters of its route.
import { randomBytes } from "node:crypto";
import { ageSeconds } from "../engines/cache/age.ts";
import { NOT_IN_304, type Serving, serving } from "../engines/cache/conditional.ts";
import { servingPart } from "../engines/cache/partial.ts";
import { layoutByteranges } from "../http/byteranges.ts";
import type { HeaderBlock } from "../http/header-block.ts";
import { ID } from "../http/header-names.ts";
import type { ResponseHead } from "../http/message.ts";
import { type ByteRange, type ContentRange, contentRange, unsatisfiedRange } from "../http/ranges.ts";
import type { Exchange } from "../pipeline/exchange.ts";
import { type Body, ROOM_BYTES } from "./body.ts";
import type { KeptAnswer } from "./encoded.ts";
import type { Entry } from "./entry.ts";
import { NOTHING, type Part, Reader, WHOLE } from "./reader.ts";
import type { CacheEnvironment } from "./visit.ts";

/** Content up to this is handed over at once: a connection queues it by reference, so it costs no memory. */
const AT_ONCE_BYTES_MAX = 65_536;

/**
 * Pieces up to this are put together with the head and leave in one system call (transport/outbox.ts), which costs less
 * than the copy, up to the size above.
 */
const JOINED_BYTES = 32_768;
/** Shorter content is copied behind the head; of other content the head is put in front, where there is room. */
export const ROOM_FROM = 8192;

/**
 * Whether the answer can be given out as it lies there: all of it, to a client that asks for no part and has no copy,
 * on a route where nothing changes answers, but for so many filters that have nothing to do with this one.
 */
export function isPlain(x: Exchange, length: number, idleFilters: number): boolean {
  const { headers, method } = x.request;
  return (
    length <= AT_ONCE_BYTES_MAX &&
    headers.added === null &&
    !headers.received(ID["if-none-match"]) &&
    !headers.received(ID["if-modified-since"]) &&
    !(headers.received(ID.range) && method === "GET") &&
    x.route!.responseFilters.length === idleFilters &&
    x.route!.rate === 0 &&
    !x.route!.retained &&
    x.setCookies === null
  );
}

/** Gives out a whole answer for which `isPlain` says yes: the path of most hits, on which nothing is made. */
export function deliverPlain(x: Exchange, entry: Entry, now: number): void {
  const { downstream } = x;
  const { body } = entry;
  const head = entry.hitHead(now);
  x.response = head;
  downstream.head(head);
  if (x.request.method !== "GET") return downstream.end(null);
  const roomy = body.length >= ROOM_FROM ? body.behindRoom() : null;
  if (roomy !== null) downstream.data(roomy, ROOM_BYTES, roomy.length, false, true);
  else {
    for (let at = 0; at < body.pieces; at += 1) {
      const filled = body.filled(at);
      for (let from = 0; from < filled; from += JOINED_BYTES) {
        downstream.data(body.piece(at)!, from, Math.min(filled, from + JOINED_BYTES));
      }
    }
  }
  downstream.end(null);
}

/**
 * Gives out an answer. `aged`: it is not the very answer that the server gave to this request. `kept` has it in content
 * codings; null where there are none.
 */
export function deliver(
  x: Exchange,
  env: CacheEnvironment,
  entry: Entry,
  aged: boolean,
  now: number,
  kept: KeptAnswer | null = null,
): void {
  const { request } = x;
  const { body, status, part } = entry;
  const length = part === null ? body.total : part.length;
  const head = entry.freshHead();
  if (aged) head.headers.add("Age", String(ageSeconds(entry.times.bornAt, now)));
  const what =
    part === null
      ? serving(request.method, request.headers, status, entry.validators, length, now)
      : servingOf(request.headers, entry, part, now);
  let parts = request.method === "GET" && entry.hasContent ? WHOLE : NOTHING;
  if (what.kind === "not-modified") {
    asNotModified(head);
    x.unmodified = entry.storedHeaders;
    parts = NOTHING;
  } else if (what.kind === "unsatisfiable") {
    asUnsatisfiable(head, length);
    parts = NOTHING;
  } else if (what.kind === "partial") {
    parts = asPartial(head, what.ranges, length);
    if (part !== null) parts = parts.map((each) => (Buffer.isBuffer(each) ? each : within(part, each)));
  } else {
    setLength(head, entry.hasContent ? body.total : 0);
    x.kept = kept;
  }
  send(x, env, head, body, parts, kept);
}

/** What is given out of a part: what is wanted of it, or else the part as the server gave it to who asked for it. */
function servingOf(request: HeaderBlock, { validators }: Entry, part: ContentRange, now: number): Serving {
  return servingPart(request, validators, [part], part.length, now) ?? { kind: "full" };
}

const within = (part: ByteRange, { first, last }: ByteRange): ByteRange => ({
  first: first - part.first,
  last: last - part.first,
});

/** Sends a head and parts of a body. */
export function send(
  x: Exchange,
  env: CacheEnvironment,
  head: ResponseHead,
  body: Body,
  parts: readonly Part[] = WHOLE,
  kept: KeptAnswer | null = null,
): void {
  if (x.setCookies !== null) for (const cookie of x.setCookies) head.headers.add("set-cookie", cookie);
  x.response = head;
  new Reader(x, env, body, parts, kept).start();
}

function setLength(head: ResponseHead, length: number): void {
  head.body = length < 0 ? "chunked" : length === 0 ? "none" : "length";
  head.length = Math.max(0, length);
}

function asNotModified(head: ResponseHead): void {
  head.status = 304;
  head.reason = "Not Modified";
  setLength(head, 0);
  const { headers } = head;
  for (let at = 0; at < headers.count; at += 1) if (NOT_IN_304.table[headers.ids[at]!] === 1) headers.removeAt(at);
}

function asUnsatisfiable(head: ResponseHead, length: number): void {
  asNotModified(head);
  head.status = 416;
  head.reason = "Range Not Satisfiable";
  head.headers.set("Content-Range", unsatisfiedRange(length));
}

/** Makes a 206 of the head; returns what it consists of (RFC 9110 §15.3.7). */
function asPartial(head: ResponseHead, ranges: readonly ByteRange[], length: number): readonly Part[] {
  head.status = 206;
  head.reason = "Partial Content";
  const { headers } = head;
  headers.removeReceived("content-length");
  const [only] = ranges;
  if (only !== undefined && ranges.length === 1) {
    headers.set("Content-Range", contentRange(only, length));
    setLength(head, only.last - only.first + 1);
    return ranges;
  }
  // 80 random bits: no content holds them by chance or by somebody's will.
  const layout = layoutByteranges(ranges, length, headers.getById(ID["content-type"]), randomBytes(10).toString("hex"));
  headers.set("Content-Type", layout.contentType);
  setLength(head, layout.length);
  return [...layout.ranges.flatMap((range, at): Part[] => [layout.heads[at]!, range]), layout.close];
}
