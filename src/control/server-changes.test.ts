import { afterAll, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ServerChanges } from "./server-changes.ts";

const folder = mkdtempSync(join(tmpdir(), "sluice-changes-"));
afterAll(() => rmSync(folder, { recursive: true }));
let files = 0;
const newPath = (): string => join(folder, `state-${++files}.json`);
const shown = (changes: ServerChanges, upstream: string) => Object.fromEntries(changes.of(upstream));

test("without a file changes are there, and end with it", () => {
  const changes = new ServerChanges(null);
  expect(changes.keeps).toBe(false);
  changes.set("app", "a", { weight: 3 }, true);
  expect(shown(changes, "app")).toEqual({ a: { weight: 3 } });
  expect(shown(changes, "other")).toEqual({});
});

test("what is kept is there again, and only that", () => {
  const path = join(folder, "new/folder/state.json");
  const changes = new ServerChanges(path);
  changes.set("app", "a", { weight: 3, mode: "drain" }, true);
  changes.set("app", "b", { url: "http://b:1", zone: "z", backup: true }, true);
  changes.set("app", "c", { removed: true }, false);
  changes.set("app", "a", { weight: 5 }, false);
  expect(statSync(path).mode & 0o777).toBe(0o600);
  expect(readdirSync(join(folder, "new/folder"))).toEqual(["state.json"]);
  expect(shown(new ServerChanges(path), "app")).toEqual({
    a: { weight: 3, mode: "drain" },
    b: { url: "http://b:1", zone: "z", backup: true },
  });
  expect(shown(changes, "app")).toMatchObject({ a: { weight: 5 }, c: { removed: true } });
  changes.set("app", "a", null, true);
  changes.set("app", "b", null, true);
  expect(JSON.parse(readFileSync(path, "utf8"))).toEqual({ upstreams: {} });
});

test("upstreams that nobody knows are kept", () => {
  const path = newPath();
  writeFileSync(path, JSON.stringify({ upstreams: { gone: { "h:1": { weight: 1 } } } }));
  const changes = new ServerChanges(path);
  changes.set("app", "a", { weight: 2 }, true);
  expect(JSON.parse(readFileSync(path, "utf8"))).toEqual({
    upstreams: { gone: { "h:1": { weight: 1 } }, app: { a: { weight: 2 } } },
  });
});

test("what cannot be written changes nothing", () => {
  const path = join(folder, "is-a-folder");
  const changes = new ServerChanges(path);
  changes.set("app", "a", { weight: 1 }, false);
  mkdirSync(path);
  expect(() => changes.set("app", "a", { weight: 2 }, true)).toThrow();
  expect(shown(changes, "app")).toEqual({ a: { weight: 1 } });
  rmSync(path, { recursive: true });
  changes.set("app", "b", { weight: 3 }, true);
  expect(shown(new ServerChanges(path), "app")).toEqual({ b: { weight: 3 } });
});

const BROKEN: readonly (readonly [name: string, text: string])[] = [
  ["no JSON", "{"],
  ["empty", ""],
  ["no upstreams", "{}"],
  ["an unknown key", '{"upstreams":{"app":{"a":{"wieght":1}}}}'],
  ["a weight that is none", '{"upstreams":{"app":{"a":{"weight":-1}}}}'],
  ["an address that is none", '{"upstreams":{"app":{"a":{"url":"ftp://a"}}}}'],
];
for (const [name, text] of BROKEN) {
  test(`a file that is broken is named: ${name}`, () => {
    const path = newPath();
    writeFileSync(path, text);
    expect(() => new ServerChanges(path)).toThrow(
      `admin.state: ${path} is not a file of kept changes; mend it or move it away`,
    );
    expect(readFileSync(path, "utf8")).toBe(text);
  });
}
