// Nanoseconds of each decision that a hit takes: `bun bench/cache-decision.bench.ts`. Together they must stay well below
// the microsecond that copying the head costs; the negotiated variant is the dearest, and costs 2,400 ns when what
// clients say is not kept.
import { NOT_IN_304, serving } from "../src/engines/cache/conditional.ts";
import { keyedTarget, PLAIN_KEY, requestKey } from "../src/engines/cache/key.ts";
import { ModelCache, requestHead, responseHead, START } from "../src/engines/cache/model.testing.ts";
import { DEFAULT_POLICY } from "../src/engines/cache/policy.ts";
import { reuse, wantsOf } from "../src/engines/cache/reuse.ts";
import { selectVariant, variantOf } from "../src/engines/cache/vary.ts";

const CALLS = 1_000_000;
const ROUNDS = 5;

const BROWSER = requestHead(
  "User-Agent: Mozilla/5.0 (X11; Linux x86_64) | Accept: text/html | Accept-Language: en-US,en;q=0.5 | " +
    "Accept-Encoding: gzip, deflate, br, zstd | Connection: keep-alive | Sec-Fetch-Mode: navigate",
  "/assets/app.js?v=123",
);
const AGAIN = requestHead('Accept-Encoding: gzip | If-None-Match: "abcdef-123456"', "/assets/app.js?v=123");
const RELOAD = requestHead("Cache-Control: max-age=0", "/assets/app.js?v=123");
const cache = new ModelCache();
cache.store(BROWSER, responseHead('Cache-Control: max-age=600 | ETag: "abcdef-123456" | Vary: Accept-Encoding'), 1000);
const { admission, head, validators } = cache.last;
const variants = [variantOf(admission.vary, BROWSER.headers, head.headers)];
const out = Buffer.alloc(1024);
const now = START + 5000;
const wants = wantsOf(BROWSER.headers, DEFAULT_POLICY);

const DECISIONS: Readonly<Record<string, () => unknown>> = {
  key: () => requestKey("https", BROWSER, keyedTarget(BROWSER, PLAIN_KEY), PLAIN_KEY),
  "what the client wants": () => wantsOf(BROWSER.headers, DEFAULT_POLICY),
  "the same, a reload": () => wantsOf(RELOAD.headers, DEFAULT_POLICY),
  "fresh or not": () => reuse(admission.times, wants, now),
  "variant by Accept-Encoding": () => selectVariant(variants, BROWSER.headers),
  "whole, 304 or part": () => serving("GET", BROWSER.headers, 200, validators, 1000, now),
  "the same, with a tag": () => serving("GET", AGAIN.headers, 200, validators, 1000, now),
  "copying the head of a 304": () => head.headers.writeTo(out, 0, NOT_IN_304),
};

/** Median over the rounds. */
function measure(decide: () => unknown): number {
  const times = Array.from({ length: ROUNDS }, () => {
    const start = performance.now();
    for (let i = 0; i < CALLS; i += 1) decide();
    return ((performance.now() - start) * 1e6) / CALLS;
  });
  return times.sort((a, b) => a - b)[ROUNDS >> 1]!;
}

for (const [name, decide] of Object.entries(DECISIONS))
  console.log(name.padEnd(28), `${measure(decide).toFixed(0)} ns`.padStart(8));
