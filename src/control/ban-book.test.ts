import { expect, test } from "bun:test";
import type { Ban, BanList } from "../pipeline/shared.ts";
import type { Entry } from "../state/shared-map.ts";
import { BanBook } from "./ban-book.ts";

const ban = (user: string, more: Partial<Ban> = {}): Ban => ({
  rule: "bans login",
  route: "login",
  scope: "route",
  key: [
    ["ip", "a192.0.2.1"],
    ["cookie:user", `c${user}`],
  ],
  forMs: 1000,
  why: "failures",
  ...more,
});

function bookAt(clock: { now: number }) {
  const told: Entry[] = [];
  const done: string[] = [];
  const book = new BanBook(
    (entry) => told.push(entry),
    () => clock.now,
  );
  const list: BanList = {
    add: (values, ms) => void done.push(`+${values.join()} ${ms}`),
    lift: (values) => void done.push(`-${values.join()}`),
  };
  book.use(new Map([["bans login", list]]));
  return { book, told, done };
}

test("what one machine tells, another one carries into its tables, with the end that it had", () => {
  const clock = { now: 10_000 };
  const [here, there] = [bookAt(clock), bookAt(clock)];
  here.book.made(ban("ann"));
  here.book.made(ban("bob", { scope: "everywhere", key: [["ip", "a192.0.2.9"]] }));
  clock.now += 400;
  there.book.receive(here.told);
  expect(there.done).toEqual(["+a192.0.2.1,cann 600", "+a192.0.2.9 600"]);
  expect([here.done, there.told]).toEqual([[], []]);
  expect(there.book.list(10)).toEqual(here.book.list(10));
  expect(there.book.list(1)).toMatchObject({ bans: [{ key: { ip: "192.0.2.9" } }], total: 2 });
  there.book.forgive("192.0.2.9");
  const { id } = there.book.list(1).bans[0]!;
  expect(there.book.lift(id)).toMatchObject({ leftMs: 600 });
  expect(there.book.lift(id)).toBeNull();
  expect(there.told.map(({ value }) => value)).toEqual([null, null]);
  here.book.receive(there.told);
  expect(here.done).toEqual(["-a192.0.2.9", "-a192.0.2.1,cann"]);
  expect(here.book.list(10).total).toBe(0);
});

test("what is over, damaged, or of no rule here does nothing; secrets are not shown whole", () => {
  const clock = { now: 0 };
  const { book, told, done } = bookAt(clock);
  book.made(ban("0123456789abcdef"));
  expect(book.list(10).bans[0]!.key).toEqual({ ip: "192.0.2.1", "cookie:user": "01234567…" });
  book.made(ban("x".repeat(600)));
  book.made(ban("ann", { rule: "gone" }));
  expect([book.list(10).total, book.entries().length, told.length]).toEqual([1, 2, 2]);
  const other = bookAt(clock).book;
  const [entry] = told as [Entry];
  const wrong = [
    { ...entry, value: "{" },
    { ...entry, value: '{"rule":1}' },
    { ...entry, key: "another" },
    { ...entry, untilMs: 0 },
  ];
  other.receive(wrong);
  expect(other.entries()).toEqual([]);
  clock.now = 1000;
  expect([book.list(10).total, book.entries().length, done]).toEqual([0, 0, []]);
});

test("rules that come into use get what holds, and there is an end to how many", () => {
  const { book, told } = bookAt({ now: 0 });
  for (let i = 0; i <= 100_000; i += 1) book.made(ban(`${i}`));
  expect(told.length).toBe(100_000);
  let added = 0;
  book.use(new Map([["bans login", { add: () => void (added += 1), lift() {} }]]));
  expect(added).toBe(100_000);
});
