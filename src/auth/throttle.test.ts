import { expect, test } from "bun:test";
import { type Shared, UNSHARED } from "../pipeline/shared.ts";
import { Throttle } from "./throttle.ts";

/** A throttle at a time that the test sets. */
function at(): { throttle: Throttle; pass(seconds: number): void } {
  let now = 1_000_000;
  const memories = new Map<string, SharedArrayBuffer>();
  const shared: Shared = {
    ...UNSHARED,
    now: () => now,
    memory: (name, bytes) => {
      const memory = memories.get(name) ?? new SharedArrayBuffer(bytes);
      memories.set(name, memory);
      return memory;
    },
  };
  return {
    throttle: new Throttle(shared),
    pass(seconds) {
      now += seconds * 1000;
    },
  };
}

test("after some free ones each makes the wait of an address twice as long, up to a bound", () => {
  const { throttle, pass } = at();
  const waits: number[] = [];
  for (let i = 0; i < 24; i += 1) {
    throttle.failed("192.0.2.1", "");
    const wait = throttle.waitSeconds("192.0.2.1", "");
    waits.push(wait);
    pass(wait);
  }
  expect(waits.slice(0, 12)).toEqual([0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 4, 8]);
  expect(Math.max(...waits)).toBeLessThanOrEqual(900);
  expect(waits.at(-1)).toBeGreaterThan(200);
  expect(throttle.waitSeconds("192.0.2.2", "")).toBe(0);
});

test("an account has its owner wait a minute at most, whatever the address", () => {
  const { throttle, pass } = at();
  for (let i = 0; i < 500; i += 1) throttle.failed(`198.18.${i >> 8}.${i & 255}`, "site ann");
  expect(throttle.waitSeconds("203.0.113.1", "site ann")).toBeLessThanOrEqual(60);
  expect(throttle.waitSeconds("203.0.113.1", "site ann")).toBeGreaterThan(30);
  expect(throttle.waitSeconds("203.0.113.1", "site bob")).toBe(0);
  pass(61);
  expect(throttle.waitSeconds("203.0.113.1", "site ann")).toBe(0);
});

test("they are forgiven in time, and those of IPv6 count by network", () => {
  const { throttle, pass } = at();
  for (let i = 0; i < 10; i += 1) throttle.failed(`2001:db8::${i}`, "");
  expect(throttle.waitSeconds("2001:db8::ffff", "")).toBeGreaterThan(0);
  expect(throttle.waitSeconds("2001:db8:1::1", "")).toBe(0);
  pass(3600 * 3);
  throttle.failed("2001:db8::1", "");
  expect(throttle.waitSeconds("2001:db8::1", "")).toBe(0);
});

test("what comes over a unix socket has no address to count by", () => {
  const { throttle } = at();
  for (let i = 0; i < 50; i += 1) throttle.failed("", "");
  expect(throttle.waitSeconds("", "")).toBe(0);
});
