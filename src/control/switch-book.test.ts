import { expect, test } from "bun:test";
import { readSwitches } from "../pipeline/switches.ts";
import type { Entry } from "../state/shared-map.ts";
import { SwitchBook } from "./switch-book.ts";

const ON = { enabled: true, untilMs: null, reason: "why" };
let now = 1000;
/** A book of a machine whose changes another one hears. */
function bookOf(heard: Entry[] = []): { book: SwitchBook; seen: () => ReturnType<typeof readSwitches> } {
  let memory = new SharedArrayBuffer(0);
  const book = new SwitchBook(
    (entry) => void heard.push(entry),
    (next) => {
      memory = next;
    },
    () => now,
  );
  return { book, seen: () => readSwitches(memory) };
}

test("what is switched here is seen by all threads, and by other machines", () => {
  const told: Entry[] = [];
  const a = bookOf(told);
  const b = bookOf();
  a.book.setMaintenance("shop", ON);
  a.book.setSplit("\u{1f6d2} route", { blue: 0, green: 1 });
  b.book.receive(told);
  for (const { seen } of [a, b]) {
    expect(seen().maintenance.get("shop")).toEqual(ON);
    expect(seen().splits.get("\u{1f6d2} route")).toEqual({ blue: 0, green: 1 });
  }
  a.book.setSplit("\u{1f6d2} route", null);
  b.book.receive(told.slice(2));
  expect(b.seen().splits.size).toBe(0);
  expect(bookOf().seen().maintenance.size).toBe(0);
});

test("what is said of all takes back what was said of one", () => {
  const told: Entry[] = [];
  const { book, seen } = bookOf(told);
  book.setMaintenance("shop", ON);
  book.setMaintenance("", { ...ON, enabled: false });
  expect([...seen().maintenance.keys()]).toEqual([""]);
  book.setMaintenance("", null);
  expect(seen().maintenance.size).toBe(0);
  const other = bookOf();
  other.book.receive(told);
  expect(other.seen().maintenance.size).toBe(0);
});

test("it comes back from what was kept, but for what is over", () => {
  const { book } = bookOf();
  book.setMaintenance("shop", { ...ON, untilMs: now + 100 });
  book.setMaintenance("rest", ON);
  now += 100;
  const again = bookOf();
  again.book.receive(book.entries());
  expect([...again.seen().maintenance.keys()]).toEqual(["rest"]);
});

test("what makes no sense is left out", () => {
  const { book, seen } = bookOf();
  for (const value of ["", "{", "[]", '{"kind":"split","route":"a","weights":{"b":-1}}', '{"kind":"other"}'])
    book.receive([{ key: "split/a", value, untilMs: Number.POSITIVE_INFINITY }]);
  expect([seen().splits.size, seen().maintenance.size]).toEqual([0, 0]);
});
