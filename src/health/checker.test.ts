import { expect, test } from "bun:test";
import fc from "fast-check";
import type { Address } from "../config/address.ts";
import { upstreamSchema } from "../config/schema-upstreams.ts";
import { createLog } from "../observe/log.ts";
import { type HealthChange, HealthChecks, type HealthChecksOptions, type Target } from "./checker.ts";
import type { HealthConfig } from "./compile.ts";
import type { Verdict } from "./probe.ts";
import { answering, endless, listening, socketCount, until } from "./servers.testing.ts";

const health = (input: Record<string, unknown> = {}): HealthConfig =>
  upstreamSchema.parse({ servers: [], health: input }).health!;

const HEALTH = health();

function target(id: string, more: Partial<Target> = {}): Target {
  const address: Address = { kind: "tcp", host: id, port: 80 };
  return { upstream: "app", id, slot: 1, address, health: HEALTH, hostHeader: id, ...more };
}

const OK: Verdict = { ok: true, reason: "status 200" };
const BAD: Verdict = { ok: false, reason: "status 503" };

/** Checks with a clock, timers and answers of the test's own. */
class Bench {
  now = 0;
  random = 0.5;
  readonly changes: HealthChange[] = [];
  /** Checks that wait for their answer, oldest first. */
  readonly running: { readonly host: string; answer(verdict: Verdict): void }[] = [];
  readonly timers = new Set<{ readonly at: number; readonly fire: () => void }>();
  readonly checks: HealthChecks;
  onChange: (change: HealthChange) => void = (change) => this.changes.push(change);

  constructor(options: Partial<HealthChecksOptions> = {}) {
    this.checks = new HealthChecks({
      now: () => this.now,
      wall: () => this.now + 1_000_000,
      random: () => this.random,
      log: createLog("error"),
      resolve: () => [],
      onChange: (change) => this.onChange(change),
      schedule: (ms, fire) => {
        const timer = { at: this.now + ms, fire };
        this.timers.add(timer);
        return () => this.timers.delete(timer);
      },
      probe: ({ address }, _resolve, done) => {
        const remove = () => {
          const at = this.running.indexOf(check);
          if (at >= 0) this.running.splice(at, 1);
        };
        const check = {
          host: address.kind === "tcp" ? address.host : address.path,
          answer: (verdict: Verdict) => {
            remove();
            done(verdict);
          },
        };
        this.running.push(check);
        return remove;
      },
      ...options,
    });
  }

  /** Lets time pass up to then; what is due is fired in its order. */
  pass(until: number): void {
    for (;;) {
      const due = [...this.timers].filter(({ at }) => at <= until).sort((a, b) => a.at - b.at)[0];
      if (due === undefined) break;
      this.timers.delete(due);
      this.now = Math.max(this.now, due.at);
      due.fire();
    }
    this.now = until;
  }

  get hosts(): string[] {
    return this.running.map(({ host }) => host);
  }
  /** The only check that runs is answered. */
  answer(verdict: Verdict): void {
    expect(this.running.length).toBe(1);
    this.running[0]!.answer(verdict);
  }
  /** When the next timer fires, from now. */
  get nextIn(): number {
    return Math.min(...[...this.timers].map(({ at }) => at)) - this.now;
  }
}

test("from the first check to down and up again", () => {
  const bench = new Bench();
  bench.checks.update([target("a", { slot: 7 })]);
  expect(bench.checks.states()[0]).toMatchObject({ up: null, since: null, lastCheck: null, checks: 0 });
  bench.pass(0);
  bench.now = 20;
  bench.answer(OK);
  expect(bench.changes).toEqual([
    { upstream: "app", id: "a", slot: 7, up: true, was: null, reason: "status 200", checks: 1 },
  ]);
  expect(bench.checks.states()).toEqual([
    {
      upstream: "app",
      id: "a",
      slot: 7,
      type: "http",
      up: true,
      since: 1_000_020,
      inARow: 1,
      checks: 1,
      failures: 0,
      lastCheck: { at: 1_000_020, ok: true, ms: 20, reason: "status 200" },
    },
  ]);
  expect(bench.nextIn).toBe(4980); // 5 s from start to start
  for (const at of [5000, 10_000, 15_000]) {
    bench.pass(at);
    bench.answer(BAD);
  }
  expect(bench.changes.at(-1)).toMatchObject({ up: false, was: true, reason: "status 503", checks: 3 });
  expect(bench.nextIn).toBeCloseTo(5000 / 3); // down
  bench.pass(bench.now + bench.nextIn);
  bench.answer(OK);
  expect(bench.changes.length).toBe(2);
  bench.pass(bench.now + bench.nextIn);
  bench.answer(OK);
  expect(bench.changes.at(-1)).toMatchObject({ up: true, was: false, checks: 2 });
  expect(bench.nextIn).toBeCloseTo(5000);
});

const PAUSES: readonly (readonly [
  name: string,
  input: object,
  more: object,
  random: number,
  took: number,
  ms: number,
])[] = [
  ["at least nine tenths", {}, {}, 0, 0, 4500],
  ["at most eleven tenths", {}, {}, 1, 0, 5500],
  ["a slow check leaves less", {}, {}, 0.5, 800, 4200],
  ["but never nothing", { timeout: "9s" }, {}, 0.5, 9000, 500],
  ["awaited: as if it were down", {}, { awaited: true }, 0.5, 0, 5000 / 3],
  ["a third, but a second at least", { interval: "2s" }, { awaited: true }, 0.5, 0, 1000],
  ["never longer than the interval", { interval: "500ms" }, { awaited: true }, 0.5, 0, 500],
  ["as it is told", { downInterval: "300ms" }, { awaited: true }, 0.5, 0, 300],
  ["no hot loop", { interval: "0s" }, {}, 0.5, 0, 50],
];
for (const [name, input, more, random, took, ms] of PAUSES)
  test(`the next check: ${name}`, () => {
    const bench = new Bench();
    bench.checks.update([target("a", { health: health(input as Record<string, unknown>), ...more })]);
    bench.pass(0);
    bench.random = random;
    bench.now += took;
    bench.answer(BAD);
    expect(bench.nextIn).toBeCloseTo(ms);
  });

test("an awaited server that has come up is checked like the others, and once down like those", () => {
  const bench = new Bench();
  bench.checks.update([target("a", { awaited: true, health: health({ unhealthy: 1 }) })]);
  bench.pass(0);
  bench.answer(OK);
  expect(bench.nextIn).toBe(5000);
  bench.pass(5000);
  bench.answer(BAD);
  expect(bench.nextIn).toBeCloseTo(5000 / 3);
});

test("a reload keeps state, counters and timers of what stays the same", () => {
  const bench = new Bench();
  bench.checks.update([target("a"), target("b"), target("a")]);
  bench.pass(0);
  expect(bench.hosts).toEqual(["a", "b"]);
  bench.running[0]!.answer(OK);
  bench.pass(2000);
  // The same configuration, parsed anew, while b's check still runs; c is new.
  bench.checks.update([target("c"), target("b", { health: health() }), target("a", { health: health() })]);
  bench.pass(2000);
  expect(bench.hosts).toEqual(["b", "c"]);
  expect(bench.checks.states().find(({ id }) => id === "a")).toMatchObject({ up: true, checks: 1 });
  bench.pass(4999);
  expect(bench.hosts).toEqual(["b", "c"]);
  bench.pass(5000);
  expect(bench.hosts).toEqual(["b", "c", "a"]);
});

test("another slot is another server; other checks of the same one keep what is known", () => {
  const bench = new Bench();
  bench.checks.update([target("a")]);
  bench.pass(0);
  bench.answer(OK);
  bench.checks.update([target("a", { health: health({ path: "/other" }) })]);
  expect(bench.checks.states()[0]).toMatchObject({ up: true, checks: 1, inARow: 0 });
  bench.pass(0);
  bench.answer(OK); // nothing new
  bench.checks.update([target("a", { slot: 2 })]);
  expect(bench.checks.states()[0]).toMatchObject({ up: null, checks: 0, slot: 2 });
  bench.pass(0);
  bench.answer(OK);
  expect(bench.changes.map(({ slot, up, was }) => [slot, up, was])).toEqual([
    [1, true, null],
    [2, true, null],
  ]);
});

test("one that is gone is given up at once, wherever it is", () => {
  const bench = new Bench({ concurrency: 1 });
  bench.checks.update([target("rests"), target("runs"), target("waits")]);
  bench.pass(0);
  bench.answer(OK);
  expect(bench.hosts).toEqual(["runs"]);
  bench.checks.update([target("new")]);
  expect([bench.hosts, bench.timers.size]).toEqual([[], 1]);
  bench.pass(bench.now);
  bench.answer(BAD);
  expect(bench.changes.map(({ id }) => id)).toEqual(["rests"]);
  bench.checks.stop();
  expect([bench.hosts, bench.timers.size, bench.checks.states()]).toEqual([[], 0, []]);
});

test("a listener may change the servers", () => {
  const bench = new Bench();
  bench.onChange = ({ id }) => bench.checks.update(id === "a" ? [target("b")] : []);
  bench.checks.update([target("a")]);
  bench.pass(0);
  bench.answer(OK);
  bench.pass(0);
  expect(bench.hosts).toEqual(["b"]);
  bench.answer(OK);
  expect([bench.timers.size, bench.running.length]).toEqual([0, 0]);
});

test("a thousand servers: spread in time, bounded in number, each in its turn", () => {
  const bench = new Bench();
  let step = 0;
  Object.defineProperty(bench, "random", { get: () => (step++ % 1000) / 1000 });
  bench.checks.update(Array.from({ length: 1000 }, (_, at) => target(`s${at}`, { slot: at })));
  bench.pass(100);
  expect(bench.running.length).toBe(48); // three quarters of 64
  bench.pass(500);
  expect(bench.running.length).toBe(48);
  // Another upstream does not wait for those that hang, and takes turns with them afterwards.
  bench.checks.update([
    ...Array.from({ length: 1000 }, (_, at) => target(`s${at}`, { slot: at })),
    ...Array.from({ length: 16 }, (_, at) => target(`o${at}`, { slot: at, upstream: "other" })),
    target("third", { upstream: "third" }),
  ]);
  bench.pass(1000);
  expect(bench.running.length).toBe(64);
  expect(bench.hosts.filter((host) => host.startsWith("o")).length).toBeGreaterThanOrEqual(15);
  const seen: string[] = [];
  const answerOldest = () => {
    seen.push(bench.hosts[0]!);
    bench.running[0]!.answer(OK);
  };
  answerOldest();
  answerOldest();
  expect(bench.hosts).toContain("third");
  while (bench.running.length > 0) answerOldest();
  expect([seen.length, new Set(seen).size]).toEqual([1017, 1017]);
});

test("few servers are all checked at once", () => {
  const bench = new Bench();
  bench.checks.update(Array.from({ length: 16 }, (_, at) => target(`s${at}`, { slot: at })));
  bench.pass(0);
  expect(bench.running.length).toBe(16);
});

test("whatever happens, at most so many run, and every place is given back", () => {
  const step = fc.oneof(
    fc.record({
      do: fc.constant("update" as const),
      servers: fc.array(fc.integer({ min: 0, max: 11 }), { maxLength: 12 }),
    }),
    fc.record({ do: fc.constant("pass" as const), ms: fc.integer({ min: 0, max: 6000 }) }),
    fc.record({ do: fc.constant("answer" as const), at: fc.nat(3), ok: fc.boolean() }),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      const bench = new Bench({ concurrency: 4 });
      for (const each of steps) {
        if (each.do === "pass") bench.pass(bench.now + each.ms);
        else if (each.do === "answer") bench.running[each.at]?.answer(each.ok ? OK : BAD);
        else bench.checks.update(each.servers.map((at) => target(`s${at}`, { upstream: `u${at % 3}` })));
        expect(bench.running.length).toBeLessThanOrEqual(4);
        expect(new Set(bench.hosts).size).toBe(bench.running.length);
      }
      bench.checks.stop();
      expect([bench.running.length, bench.timers.size]).toEqual([0, 0]);
      bench.checks.update([0, 1, 2, 3].map((at) => target(`n${at}`, { upstream: `u${at % 3}` })));
      bench.pass(bench.now);
      expect(bench.running.length).toBe(4);
    }),
    { numRuns: 200 },
  );
});

test("with real servers: up, down, up again, and nothing left behind", async () => {
  const before = socketCount();
  let status = 200;
  const good = await listening((socket) => answering(`HTTP/1.1 ${status} X\r\nContent-Length: 0\r\n\r\n`)(socket));
  const silent = await listening(() => {});
  const flood = await listening(endless("HTTP/1.1 200 OK\r\n\r\n", "abcdefgh"));
  const changes: string[] = [];
  const checks = new HealthChecks({
    now: () => performance.now(),
    random: Math.random,
    log: createLog("error"),
    resolve: () => ["127.0.0.1"],
    onChange: ({ id, up, reason }) => changes.push(`${id} ${up ? "up" : "down"}: ${reason}`),
  });
  const quick = health({ interval: "50ms", downInterval: "50ms", timeout: "60ms", healthy: 2, unhealthy: 2 });
  const of = (id: string, address: Address): Target => target(id, { address, health: quick });
  checks.update([
    of("good", { ...good.address, host: "app.test" }),
    of("silent", silent.address),
    of("port", { ...silent.address, port: 1 }),
    of("flood", flood.address),
  ]);
  checks.update([
    of("good", { ...good.address, host: "app.test" }),
    of("silent", silent.address),
    target("port", {
      address: { ...good.address, port: 1 },
      health: { ...quick, port: good.address.port },
    }),
    of("flood", flood.address),
  ]);
  await until(() => changes.length >= 4, "all are known");
  expect(changes.toSorted()).toEqual([
    "flood up: status 200",
    "good up: status 200",
    "port up: status 200",
    "silent down: no answer within 60 ms",
  ]);
  changes.length = 0;
  status = 503;
  await until(() => changes.length >= 2, "two are down");
  expect(changes.toSorted()).toEqual(["good down: status 503", "port down: status 503"]);
  status = 204;
  await until(() => changes.length >= 4, "they are up again");
  await until(() => silent.open.size > 0, "a check hangs");
  checks.stop();
  for (const server of [good, silent, flood]) {
    await until(() => server.open.size === 0, "no connection is left");
    await server.close();
  }
  await until(() => socketCount() <= before, "no socket is left");
});
