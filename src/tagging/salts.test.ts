import { afterEach, beforeEach, expect, test } from "bun:test";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Salts } from "./salts.ts";

const DAY = 86_400_000;
const NOON = Date.UTC(2026, 10, 24, 12);
let path = "";
beforeEach(async () => {
  path = join(await mkdtemp(join(tmpdir(), "salts-")), "salt");
});
afterEach(() => rm(join(path, ".."), { recursive: true }));

test("one salt for a day, the same after a restart and on the way to the next", () => {
  const salts = new Salts(path, "day");
  const today = Buffer.from(salts.at(NOON));
  expect(salts.at(NOON + DAY / 2 - 1)).toEqual(today);
  expect(new Salts(path, "day").at(NOON + 1000)).toEqual(today);
  const later = new Salts(path, "day").at(NOON + 3 * DAY);
  expect(salts.at(NOON + 3 * DAY)).toEqual(later);
  expect(later).not.toEqual(today);
  expect(salts.at(NOON)).toEqual(later); // the clock was set back
});

test("what is kept does not say what was before", async () => {
  const salts = new Salts(path, "day");
  const today = Buffer.from(salts.at(NOON)).toString("base64");
  salts.at(NOON + DAY);
  expect(await readFile(path, "utf8")).not.toContain(today);
});

test("a file that is damaged begins anew", async () => {
  for (const text of ["", "{", "null", `{"period":1,"salt":"x"}`]) {
    await writeFile(path, text);
    expect(new Salts(path, "week").at(NOON).length).toBe(32);
  }
});
