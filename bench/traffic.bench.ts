// What the management of traffic costs a request: `bun bench/traffic.bench.ts`. Sketch: a request without a key pays for
// one look at its fields. One with a key pays for two digests (who and what, 1 us each), a look-up, and the copy of its
// answer; with a folder for it, 4 KB go to a file as well, which is a system call or two. A priority is a few numbers;
// whom a split gives a client to is a hash for each target. Sharing an answer takes the fields as one text.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { CoalesceRules, Coalescer } from "../src/cache/coalescer.ts";
import type { CacheEnvironment } from "../src/cache/visit.ts";
import { coalesceSchema, idempotencySchema, prioritySchema } from "../src/config/schema-traffic.ts";
import { KeyFile } from "../src/control/key-file.ts";
import { LocalKeys } from "../src/control/local-keys.ts";
import { compileSplit } from "../src/control/split.ts";
import { contextOf } from "../src/filters/context.testing.ts";
import { idempotency } from "../src/filters/idempotency/filter.ts";
import { priority } from "../src/filters/priority/filter.ts";
import { HeaderBlock } from "../src/http/header-block.ts";
import { ResponseHead } from "../src/http/message.ts";
import { exchangeOf } from "../src/pipeline/exchange.fixture.ts";
import type { Exchange, Route } from "../src/pipeline/exchange.ts";
import { UNSHARED } from "../src/pipeline/shared.ts";
import { NO_SWITCHES } from "../src/pipeline/switches.ts";
import type { Upstream } from "../src/upstream/upstream.ts";
import { BROWSER_FIELDS } from "./heads.ts";
import { bench, finish, ROUNDS, report } from "./per-call.ts";

const FIELDS = BROWSER_FIELDS.map((line): [string, string] => {
  const colon = line.indexOf(":");
  return [line.slice(0, colon), line.slice(colon + 1).trim()];
});
const BODY = Buffer.alloc(4096, "x");
const ANSWER = HeaderBlock.of([
  ["content-type", "application/json"],
  ["location", "/orders/1"],
]);

const folder = mkdtempSync(join(tmpdir(), "traffic-bench-"));
const withKeys = (keys: LocalKeys) => ({
  ...UNSHARED,
  keys: {
    claim: (claim: Parameters<LocalKeys["claim"]>[1]) => keys.claim(0, claim),
    finish: (...args: Parameters<LocalKeys["finish"]>) => keys.finish(...args),
  },
});
const fail = (error: unknown): never => {
  throw error;
};
const [plain] = idempotency.compile({ idempotency: idempotencySchema.parse({}) }, contextOf());
const post = exchangeOf({ method: "POST", headers: FIELDS });
bench("idempotency: a request without a key", 0, 300, () => (plain!.request!(post) === undefined ? 1 : 0));

/** Requests one after the other, each with a key of its own, or all with the same. */
async function keyed(name: string, budget: number, keys: LocalKeys, keyOf: (at: number) => string): Promise<void> {
  const [filter] = idempotency.compile(
    { idempotency: idempotencySchema.parse({}) },
    contextOf({ shared: withKeys(keys) }),
  );
  const times: number[] = [];
  const perRound = 5000;
  let at = 0;
  for (let round = 0; round <= ROUNDS; round += 1) {
    const start = Bun.nanoseconds();
    for (let i = 0; i < perRound; i += 1) {
      at += 1;
      const x = exchangeOf({ method: "POST", headers: [...FIELDS, ["idempotency-key", keyOf(at)]] });
      const outcome = await filter!.request!(x);
      if (outcome === undefined) x.keeper!.answered({ status: 201, headers: ANSWER } as never, [BODY]);
    }
    if (round > 0) times.push((Bun.nanoseconds() - start) / perRound);
  }
  report(name, budget, times, "4096 bytes");
}
await keyed("idempotency: the first request with a key", 30_000, new LocalKeys(64 << 20, fail), (at) => `key-${at}`);
await keyed("idempotency: given again", 30_000, new LocalKeys(64 << 20, fail), () => "key");
const filed = new LocalKeys(64 << 20, fail);
filed.use(KeyFile.open(join(folder, "keys.db")));
await keyed("idempotency: the first request, in a file too", 250_000, filed, (at) => `key-${at}`);
filed.close();
rmSync(folder, { recursive: true });

const head = Object.assign(new ResponseHead(), { status: 200, body: "length", length: 4096 });
const nobody = { full: false, answered: false, readBody() {}, head() {}, data() {}, end() {}, fail() {}, abort() {} };
const route = { name: "r", rate: 0 } as Route;
/** Answers at once: what is left is what the sharing costs. */
const env = {
  wheel: { now: 0 },
  respond: () => true,
  forward(x: Exchange) {
    x.downstream.head(head);
    x.downstream.data(BODY, 0, BODY.length);
    x.downstream.end(null);
  },
} as unknown as CacheEnvironment;
const coalescer = new Coalescer();
const shared = new CoalesceRules(coalesceSchema.parse({}), () => {});
const upstream = { name: "app" } as Upstream;
const get = exchangeOf({ headers: FIELDS.filter(([name]) => name.toLowerCase() !== "cookie") });
get.route = route;
bench("coalesce: alone, its answer included", BODY.length, 30_000, () => {
  get.downstream = nobody as unknown as Exchange["downstream"];
  coalescer.handle(get, upstream, shared, env);
  return 1;
});

const [level] = priority.compile({ priority: prioritySchema.parse({ level: "low" }) }, contextOf());
bench("priority", 0, 100, () => (level!.request!(post) === undefined ? 1 : 0));

const targets = [
  { name: "stable", weight: 95, conditions: null, identity: null },
  { name: "canary", weight: 5, conditions: null, identity: null },
];
const rules = { route: "r", api: "r", targets, sticky: null, switches: { current: NO_SWITCHES } };
const byWeight = compileSplit({ ...rules, by: null });
const byIp = compileSplit({ ...rules, by: "ip" });
bench("split: by weight", 0, 100, () => byWeight(post).length);
bench("split: by who asks", 0, 400, () => byIp(post).length);
finish();
