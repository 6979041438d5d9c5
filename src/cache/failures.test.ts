import { expect, test } from "bun:test";
import { Failures } from "./failures.ts";

test("each failure doubles the time in which nobody is asked, up to half a minute; a success ends it", () => {
  const failures = new Failures();
  let now = 0;
  const waits: number[] = [];
  for (let i = 0; i < 7; i += 1) {
    failures.add("k", "error", now);
    const from = now;
    while (failures.holding("k", now) !== null) now += 500;
    waits.push(now - from);
  }
  expect(waits).toEqual([1000, 2000, 4000, 8000, 16_000, 30_000, 30_000]);
  failures.delete("k");
  failures.add("k", "down", now);
  expect([failures.holding("k", now + 999), failures.holding("k", now + 1000)]).toEqual(["down", null]);
});

test("failures of the same time count once, and other keys are not concerned", () => {
  const failures = new Failures();
  for (let i = 0; i < 10; i += 1) failures.add("k", "error", i);
  expect([failures.holding("k", 999), failures.holding("k", 1000), failures.holding("j", 0)]).toEqual([
    "error",
    null,
    null,
  ]);
});

test("as many keys as there may be", () => {
  const failures = new Failures();
  for (let i = 0; i < 50_000; i += 1) failures.add(`${i}`, "error", 0);
  expect(failures.size).toBeLessThanOrEqual(20_000);
  expect(failures.holding("49999", 1)).toBe("error");
});
