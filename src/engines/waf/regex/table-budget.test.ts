import { expect, test } from "bun:test";
import { compileRegex } from "./regex.ts";
import { TableBudget, type Tables, tableBudget } from "./table-budget.ts";

class FakeTables implements Tables {
  bytes = 0;
  readonly #budget: TableBudget;

  constructor(budget: TableBudget) {
    this.#budget = budget;
    budget.add(this);
  }

  grow(bytes: number): void {
    this.bytes += bytes;
    this.#budget.grow(this, bytes);
  }
  forget(): void {
    this.grow(10 - this.bytes);
  }
}

test("those that hold more than their share forget, and those that grow or are small do not", () => {
  const budget = new TableBudget(1000);
  const [small, large, grows] = [new FakeTables(budget), new FakeTables(budget), new FakeTables(budget)];
  small.grow(50);
  large.grow(500);
  grows.grow(450);
  expect(budget.bytes).toBe(1000);
  grows.grow(1);
  expect([small.bytes, large.bytes, grows.bytes]).toEqual([50, 10, 451]);
  expect(budget.bytes).toBe(511);
});

test("where the least of all is too much, nobody looks again at once", () => {
  const budget = new TableBudget(15);
  let looks = 0;
  const counted: Tables = {
    get bytes() {
      looks += 1;
      return 20;
    },
    forget() {},
  };
  budget.add(counted);
  const other = new FakeTables(budget);
  other.grow(1);
  budget.grow(counted, 20);
  const first = looks;
  expect(first).toBeGreaterThan(0);
  for (let round = 0; round < 4; round += 1) other.grow(1);
  expect(looks).toBe(first);
  for (let round = 0; round < 4; round += 1) other.grow(1);
  expect(looks).toBeGreaterThan(first);
});

test("many patterns under attack stay within the memory of all, and find what they should", () => {
  let state = 1;
  let text = "";
  for (let at = 0; at < 6_000; at += 1) {
    state = (Math.imul(state, 1_103_515_245) + 12_345) & 0x7fff_ffff;
    text += (state >>> 16) & 1 ? "a" : "b";
  }
  let most = 0;
  const patterns = Array.from({ length: 70 }, (_, at) => compileRegex(`a.{12}!${at}`));
  for (const [at, pattern] of patterns.entries()) {
    expect(pattern.test(text)).toBe(false);
    expect(pattern.test(`${text}a${"b".repeat(12)}!${at}`)).toBe(true);
    most = Math.max(most, tableBudget.bytes);
  }
  const BYTES_MAX = 16 * 1024 * 1024;
  expect(most).toBeGreaterThan(BYTES_MAX / 2);
  expect(most).toBeLessThanOrEqual(BYTES_MAX);
  for (const pattern of patterns) expect(pattern.test(text)).toBe(false);
});
