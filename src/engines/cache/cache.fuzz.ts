// Whatever fields come: the engine does not throw, and what it stores and gives out keeps to the rules that hold
// without exception. `bun src/engines/cache/cache.fuzz.ts 182` replays one seed.
import { type Rng, runAlone } from "../../core/fuzz.testing.ts";
import { layoutByteranges } from "../../http/byteranges.ts";
import { block, ModelCache, requestHead, responseHead, START } from "./model.testing.ts";
import { type CachePolicy, DEFAULT_POLICY } from "./policy.ts";
import { freshen } from "./validation.ts";
import { normalValue } from "./vary.ts";

const CONTROL: readonly string[] = [
  "max-age=60",
  "max-age=0",
  "max-age=x",
  "s-maxage=30",
  "no-cache",
  'no-cache="a"',
  "public",
  "must-revalidate",
  "stale-while-revalidate=30",
  "stale-if-error=60",
  "immutable",
  "must-understand",
  'x="a, b"',
  'y="',
  "\\",
  "=",
];
const RESPONSE: readonly string[] = [
  "Expires: {60}",
  "Expires: 0",
  "Date: {-20}",
  "Date: {90}",
  "Date: x",
  "Age: 10",
  "Age: x",
  'ETag: "a"',
  'ETag: W/"b"',
  "ETag: c",
  "Last-Modified: {-500}",
  "Last-Modified: x",
  "Vary: Foo",
  "Vary: Accept-Language, Accept-Encoding",
  "Vary: x y",
  "Content-Language: de",
  "Content-Encoding: gzip",
  "CDN-Cache-Control: max-age=5",
  "CDN-Cache-Control: max-age=5, (",
  "No-Vary-Search: params",
  "X-A: 1",
];
const REQUEST: readonly string[] = [
  "Foo: 1",
  "Foo: a, b",
  "Accept-Language: de, en;q=0.5",
  "Accept-Language: EN;q=0.5,de",
  "Accept-Encoding: gzip, br",
  "Accept-Encoding: br;q=0",
  "Cookie: a=b",
  "Cache-Control: max-age=10",
  "Cache-Control: max-stale",
  "Cache-Control: min-fresh=5",
  "Cache-Control: only-if-cached",
  "Cache-Control: no-cache",
  "Pragma: no-cache",
  'If-None-Match: "a"',
  "If-Modified-Since: {0}",
  "Range: bytes=0-3, 5-, -2",
  "Range: bytes=x",
  'If-Range: "a"',
];
const STATUSES: readonly number[] = [200, 200, 200, 204, 206, 299, 301, 404, 410, 500, 503];
const DEEDS: ReadonlySet<string> = new Set([
  "hit",
  "stale",
  "refresh",
  "validate",
  "asked",
  "unavailable",
  "vary-miss",
]);
const LENGTH = 1000;

function some(rng: Rng, from: readonly string[], most: number): string[] {
  return Array.from({ length: rng.below(most + 1) }, () => spoilt(rng, rng.pick(from)));
}

/** Now and then with a character too many, too few, or another one. */
function spoilt(rng: Rng, text: string): string {
  if (!rng.oneIn(8)) return text;
  const at = text.indexOf(":") + 1 + rng.below(text.length - text.indexOf(":"));
  const put = rng.pick(["", ",", '"', "\\", "=", "\xff", " ", "\t", ";", "*"]);
  return text.slice(0, at) + put + text.slice(at + rng.below(2));
}

export function cacheLaw(rng: Rng): void {
  const policy: Partial<CachePolicy> = rng.oneIn(2) ? {} : { ttl: 20_000, heuristicShare: 0.1, staleIfError: 5000 };
  const control = some(rng, CONTROL, 4).join(", ");
  const forbidden = rng.pick(["", "", "", "no-store", "private"]);
  const given = [control, forbidden].filter((text) => text !== "").join(", ");
  const response = [...(given === "" ? [] : [`Cache-Control: ${given}`]), ...some(rng, RESPONSE, 6)].join(" | ");
  const request = some(rng, REQUEST, 5).join(" | ");
  const cache = new ModelCache(policy);
  const head = responseHead(response, rng.pick(STATUSES));
  const delay = rng.below(5);
  const deed = cache.store(requestHead(request), head, LENGTH, 0, delay);
  if (deed !== "stored") return;
  const targeted = head.headers.has("cdn-cache-control");
  if (forbidden === "private" && !targeted) throw new Error("a private answer was stored");
  if (forbidden === "no-store" && !targeted && !control.includes("must-understand"))
    throw new Error("no-store was stored");
  if (normalValue("vary", head.headers).split(",").includes("*")) throw new Error("Vary: * was stored");
  checkReuse(rng, cache, request, delay);
  checkFreshening(rng, cache, policy);
}

function checkReuse(rng: Rng, cache: ModelCache, request: string, delay: number): void {
  const { times } = cache.last.admission;
  if (times.bornAt > START + delay * 1000) throw new Error("an answer from the future");
  const asked = rng.oneIn(2) ? request : some(rng, REQUEST, 5).join(" | ");
  const after = delay + rng.below(200);
  const now = START + after * 1000;
  const deed = cache.ask(requestHead(asked), after);
  if (!DEEDS.has(deed)) throw new Error(`unknown deed ${deed}`);
  if (deed === "hit" && now >= times.freshUntil) throw new Error("a hit that is not fresh");
  if (deed === "refresh" && now >= times.refreshUntil) throw new Error("stale beyond its window");
  if (deed === "stale" && !times.mayBeStale) throw new Error("stale against the server's will");
  const answer = cache.serve(requestHead(asked), after);
  if (answer === "server" || answer.kind !== "partial") return;
  const { length, heads, close } = layoutByteranges(answer.ranges, LENGTH, "a/b", "B");
  const bytes = answer.ranges.reduce((sum, { first, last }) => sum + last - first + 1, 0);
  if (bytes > LENGTH) throw new Error("more bytes than there are");
  if (length !== bytes + close.length + heads.reduce((sum, part) => sum + part.length, 0)) throw new Error("length");
}

function checkFreshening(rng: Rng, cache: ModelCache, policy: Partial<CachePolicy>): void {
  const { head } = cache.last;
  const newer = responseHead(some(rng, RESPONSE, 4).join(" | "), 304);
  const { head: merged } = freshen(requestHead(""), head, newer, LENGTH, START, START, {
    ...DEFAULT_POLICY,
    ...policy,
  });
  if (merged.status !== head.status) throw new Error("a 304 changed the status");
  if (merged.headers.get("content-length") !== String(LENGTH)) throw new Error("a 304 changed the length");
  for (const [name] of head.headers.entries()) if (!merged.headers.has(name)) throw new Error(`a 304 took ${name}`);
  const text = merged.headers.bytes.latin1Slice(merged.headers.marks[0]!, merged.headers.end);
  const again = text.split("\r\n").slice(0, -1).join(" | ");
  if (JSON.stringify(block(again).entries()) !== JSON.stringify(merged.headers.entries()))
    throw new Error("marks are off");
}

if (import.meta.main) runAlone("cache", cacheLaw);
