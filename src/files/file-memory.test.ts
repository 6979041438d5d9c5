// The memory for files stays within its limit, and keeps what is used.
import { expect, test } from "bun:test";
import { filesSchema } from "../config/schema-files.ts";
import { FileEntry } from "./file-entry.ts";
import { FileMemory, type Shelf } from "./file-memory.ts";
import { Site } from "./site.ts";

const KB = 1024;
const site = new Site(filesSchema.parse({ root: "/nowhere" }));

function entryOf(name: string, bytes: number): FileEntry {
  const state = { size: bytes, mtimeMs: 1, ctimeMs: 1, ino: 1, dev: 1 };
  const entry = new FileEntry(site, name, state, -1, false, 1e12, 0);
  entry.fill(Buffer.alloc(bytes));
  return entry;
}

test("it never takes more than its limit", () => {
  const memory = new FileMemory(100 * KB);
  const shelf: Shelf = new Map();
  for (let n = 0; n < 1000; n += 1) {
    memory.put(shelf, `/${n}`, entryOf(`${n}`, (n * 7919) % (20 * KB)));
    expect(memory.bytes).toBeLessThanOrEqual(100 * KB);
  }
  expect(shelf.size).toBeGreaterThan(3);
  for (const entry of [...shelf.values()]) memory.drop(entry);
  expect([memory.bytes, shelf.size]).toEqual([0, 0]);
});

test("what is used stays while others pass through", () => {
  const memory = new FileMemory(100 * KB);
  const shelf: Shelf = new Map();
  const hot = entryOf("hot", 10 * KB);
  memory.put(shelf, "/hot", hot);
  for (let n = 0; n < 200; n += 1) {
    hot.used = true;
    memory.put(shelf, `/${n}`, entryOf(`${n}`, 10 * KB));
  }
  expect(shelf.get("/hot")).toBe(hot);
});

test("an entry takes the place of the one before, and weighs what it holds", () => {
  const memory = new FileMemory(100 * KB);
  const shelf: Shelf = new Map();
  memory.put(shelf, "/a", entryOf("a", 30 * KB));
  const second = entryOf("a", 10 * KB);
  memory.put(shelf, "/a", second);
  const one = memory.bytes;
  expect(one).toBeLessThan(20 * KB);
  second.copies = [entryOf("a.br", 5 * KB), null, null];
  memory.weigh(second);
  expect(memory.bytes).toBeGreaterThan(one + 5 * KB - 1);
  memory.weigh(entryOf("stranger", 50 * KB)); // dropped meanwhile: it counts for nothing
  memory.drop(second);
  expect(memory.bytes).toBe(0);
});

test("what does not fit at all is not kept", () => {
  const memory = new FileMemory(10 * KB);
  const shelf: Shelf = new Map();
  memory.put(shelf, "/a", entryOf("a", 30 * KB));
  expect([memory.bytes, shelf.size]).toEqual([0, 0]);
});

test("a 304 has the fields that speak of the file, and not those of its content", () => {
  const rules = new Site(
    filesSchema.parse({ root: "/nowhere", headers: { "*": { "Cache-Control": "a", "X-B": "b" } } }),
  );
  const state = { size: 3, mtimeMs: 1_000_000_000_000, ctimeMs: 1, ino: 1, dev: 1 };
  const entry = new FileEntry(rules, "a.txt", state, -1, true, 2e12, 0);
  expect(entry.notModified.headers.entries().map(([name]) => name)).toEqual([
    "Cache-Control",
    "ETag",
    "Last-Modified",
    "Vary",
  ]);
});

test("times that mean nothing are not told", () => {
  for (const [mtimeMs, told] of [
    [0, false],
    [1000, false],
    [1_000_000_000_500, true],
    [3e12, false], // still to come
  ] as const) {
    const entry = new FileEntry(site, "a", { size: 1, mtimeMs, ctimeMs: 1, ino: 1, dev: 1 }, -1, false, 2e12, 0);
    expect([mtimeMs, entry.fields.some(([name]) => name === "Last-Modified")]).toEqual([mtimeMs, told]);
  }
});
