import { expect, test } from "bun:test";
import { Collections } from "../engines/waf/index.ts";
import { FirewallBook } from "./firewall-book.ts";

const SEED = 7n;

/** A machine with its table. */
function machine(buckets: number, clock: { ms: number }) {
  const memory = new SharedArrayBuffer(Collections.bytesOf(buckets));
  const all = new Collections(memory, SEED);
  const book = new FirewallBook(() => clock.ms);
  expect(book.use(memory, SEED)).toBe(true);
  expect(book.use(memory, SEED)).toBe(false);
  const count = (key: string): void =>
    all.open("ip", key).change("count", clock.ms, 60_000, (old) => String(Number(old ?? "0") + 1));
  const counted = (key: string): string | null => {
    let found: string | null = null;
    all.open("ip", key).each(clock.ms, (_, value) => {
      found = value;
    });
    return found;
  };
  return { all, book, count, counted };
}

test("what was counted is told, taken over, and ends where it was ended", () => {
  const clock = { ms: 1_000_000 };
  const [a, b] = [machine(4, clock), machine(4, clock)];
  a.count("192.0.2.1");
  a.count("192.0.2.1");
  const told = a.book.changes();
  expect(told).toEqual([
    { key: expect.stringMatching(/^[0-9a-f]{32}$/), value: '[["count","2",null]]', untilMs: 1_060_000 },
  ]);
  b.book.receive(told);
  expect([b.counted("192.0.2.1"), a.book.changes(), b.book.changes()]).toEqual(["2", [], []]);
  const { key } = told[0]!;
  for (const value of ["", "{}", "[1]", "[[1,2,3]]", '[["count","9","x"]]'])
    b.book.receive([{ key, value, untilMs: 1_060_000 }]);
  b.book.receive([{ key, value: null, untilMs: 0 }]);
  expect(b.counted("192.0.2.1")).toBe("2");
  a.all.open("ip", "192.0.2.1").change("count", clock.ms, 60_000, () => null);
  b.book.receive(a.book.changes());
  expect(b.counted("192.0.2.1")).toBeNull();
  b.book.receive(told);
  clock.ms = 1_060_000;
  expect(b.counted("192.0.2.1")).toBeNull();
});

test("a key that gives way is taken out of what is kept, which has no more keys than the table", () => {
  const clock = { ms: 1_000_000 };
  const { book, count } = machine(1, clock);
  const kept = new Map<string, string>();
  for (let i = 0; i < 100; i += 1) {
    count(`10.${i}`);
    for (const { key, value } of book.changes()) value === null ? kept.delete(key) : kept.set(key, value);
  }
  expect(kept.size).toBe(8);
});

test("a flood is told so many a second, and the rest later", () => {
  const clock = { ms: 1_000_000 };
  const { book, count } = machine(2048, clock);
  for (let i = 0; i < 1500; i += 1) count(`10.${i}`);
  const first = book.changes().length;
  expect([first >= 1000 && first <= 1007, book.changes().length]).toEqual([true, 0]);
  clock.ms += 1000;
  expect(book.changes().length + first).toBe(1500);
});
