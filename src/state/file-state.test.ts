import { afterEach, beforeEach, expect, test } from "bun:test";
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { decodeKey, encodeKey } from "./file-name.ts";
import { FileState } from "./file-state.ts";

let folder = "";
let nowMs = 1_000_000;
const open = () => FileState.open(folder, { now: () => nowMs });

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "files-"));
  nowMs = 1_000_000;
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const modeOf = (path: string): string => (statSync(path).mode & 0o777).toString(8);
const filesBelow = (path: string): string[] =>
  readdirSync(path, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name));

test("only the owner may enter and read, even where the folder was open before", async () => {
  chmodSync(folder, 0o755);
  const state = await open();
  await state.set("acme/key", "secret");
  await state.lock("acme/lock", 1000);
  await state.publish("acme/topic", "news");
  expect(modeOf(folder)).toBe("700");
  for (const name of readdirSync(folder)) expect(modeOf(join(folder, name))).toBe("700");
  expect(filesBelow(folder)).toHaveLength(3);
  for (const file of filesBelow(folder)) expect(modeOf(file)).toBe("600");
});

test("what is over is removed at the next opening; what a crash left half written too, in time", async () => {
  const state = await open();
  await state.set("over", "1", { ttlMs: 1000 });
  await state.set("stays", "1");
  writeFileSync(join(folder, "temporary", `${nowMs}-left`), "half");
  nowMs += 2000;
  await open();
  expect(readdirSync(join(folder, "values"))).toEqual(["stays"]);
  expect(readdirSync(join(folder, "temporary"))).toEqual([`${nowMs - 2000}-left`]);
  nowMs += 3_600_000;
  await open();
  expect(readdirSync(join(folder, "temporary"))).toEqual([]);
});

test("a damaged value counts as absent and can be set again", async () => {
  const state = await open();
  for (const text of ["", "{", "[]", '{"key":1}', "null"]) {
    writeFileSync(join(folder, "values", "damaged"), text);
    expect(await state.get("damaged")).toBeNull();
    expect(await state.list("")).toEqual([]);
  }
  await state.set("damaged", "whole");
  expect(await state.get("damaged")).toBe("whole");
});

test("a value that cannot be read is an error, not absent", async () => {
  const state = await open();
  mkdirSync(join(folder, "values", "folder"));
  await expect(state.get("folder")).rejects.toThrow("EISDIR");
});

test("the time of a lock is that of the clock, to the millisecond; its files do not pile up", async () => {
  const state = await open();
  const lock = await state.lock("job", 1000);
  nowMs += 999;
  expect(await state.lock("job", 1000)).toBeNull();
  expect(await lock?.renew()).toBe(true);
  nowMs += 999;
  expect(await state.lock("job", 1000)).toBeNull();
  nowMs += 1;
  const next = await state.lock("job", 1000);
  expect(next?.token).toBe(3);
  expect(await lock?.renew()).toBe(false);
  expect(readdirSync(join(folder, "locks", "job"))).toEqual(["3"]);
});

test("names of files tell their keys, none is hidden, none leaves the folder, no two are the same", () => {
  fc.assert(
    fc.property(fc.stringMatching(/^[\x21-\x7e]{1,200}$/), fc.stringMatching(/^[\x21-\x7e]{1,512}$/), (a, b) => {
      for (const key of [a, b]) {
        const name = encodeKey(key);
        expect(name).toMatch(/^[^./][^/]{0,254}$/);
        expect([key, null]).toContain(decodeKey(name));
      }
      if (a !== b) expect(encodeKey(a).toLowerCase()).not.toBe(encodeKey(b).toLowerCase());
    }),
  );
});
