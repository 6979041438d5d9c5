// What paths stand for, and the fields of files, by rules.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type FilesConfig, filesSchema } from "../config/schema-files.ts";
import { chooseCopy } from "./codings.ts";
import { mediaTypeOf } from "./media-type.ts";
import { Site } from "./site.ts";

let root = "";
beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), "sluice-site-"));
  for (const folder of ["docs", "both", "empty"]) mkdirSync(join(root, folder));
  for (const name of ["index.html", "docs/index.html", "docs/page.html", "both.html", "both/index.html", "a", "a.html"])
    writeFileSync(join(root, name), name);
  writeFileSync(join(root, "docs/default.htm"), "");
});
afterAll(() => rmSync(root, { recursive: true }));

const siteOf = (config: Partial<FilesConfig> = {}): Site => new Site({ ...filesSchema.parse({ root }), ...config });

describe("what a name stands for", () => {
  const found = (name: string, config: Partial<FilesConfig> = {}): string => {
    const it = siteOf(config).find(name);
    if (it.kind === "shorter") return `${name.slice(0, -it.remove)} for ${it.name}`;
    return "name" in it ? `${it.kind} ${it.name}` : it.kind;
  };
  for (const [name, plain, clean] of [
    ["", "file index.html", "file index.html"],
    ["docs/", "file docs/index.html", "file docs/index.html"],
    ["docs", "folder", "folder"],
    ["docs/page.html", "file docs/page.html", "docs/page for docs/page.html"],
    ["docs/page", "none", "file docs/page.html"],
    ["docs/index.html", "file docs/index.html", "docs/ for docs/index.html"],
    ["index.html", "file index.html", " for index.html"],
    ["both", "folder", "file both.html"],
    ["both/", "file both/index.html", "file both/index.html"],
    ["a", "file a", "file a"],
    ["a.html", "file a.html", "file a.html"], // `/a` is another file
    ["empty", "none", "none"],
    ["empty/", "none", "none"],
    ["nothing.html", "none", "none"],
  ] as const)
    test(`"${name}"`, () => {
      expect([found(name), found(name, { cleanUrls: true })]).toEqual([plain, clean]);
    });

  test("the first index that is there, and a listing where there is none", () => {
    expect(found("docs/", { index: ["nothing", "default.htm", "index.html"] })).toBe("file docs/default.htm");
    expect(found("empty/", { listing: true })).toBe("listing empty/");
    expect(found("empty", { listing: true })).toBe("folder");
    expect(found("nothing/", { listing: true })).toBe("none");
  });

  test("the page of an application", () => {
    for (const [spa, page] of [
      [false, ""],
      [true, "index.html"],
      ["app/main.html", "app/main.html"],
    ] as const)
      expect(siteOf({ spa }).fallback).toBe(page);
  });
});

describe("fields by pattern", () => {
  for (const [pattern, name, fits] of [
    ["*", "a/b.css", true],
    ["*.css", "a/b.css", true],
    ["*.css", "a.css/b", false],
    ["b.css", "a/b.css", true],
    ["b.css", "bxcss", false],
    ["/b.css", "a/b.css", false],
    ["/a/*", "a/b/c.css", true],
    ["/a/*", "ab/c.css", false],
    ["a/*.css", "x/a/b.css", true],
    ["/*/b.*", "a/b.css", true],
    ["/a+(b)/*", "a+(b)/c", true],
    ["/index.html", "index.html", true],
  ] as const)
    test(`${pattern} and ${name}`, () => {
      expect(siteOf({ headers: { [pattern]: { x: "1" } } }).fieldsOf(name).length).toBe(fits ? 1 : 0);
    });

  test("of the same name the later one, whatever its case; hints are added", () => {
    const site = siteOf({
      headers: { "*": { "Cache-Control": "a", X: "1" }, "*.js": { "cache-control": "b" } },
      earlyHints: { "/a*": ["<1>; rel=preload", "<2>; rel=preload"] },
    });
    expect(site.fieldsOf("a.js")).toEqual([
      ["Link", "<1>; rel=preload"],
      ["Link", "<2>; rel=preload"],
      ["cache-control", "b"],
      ["X", "1"],
    ]);
    expect(site.hintsOf("b.js")).toEqual([]);
  });
});

test("types of files", () => {
  for (const [name, type] of [
    ["a.html", "text/html; charset=utf-8"],
    ["a.JS", "text/javascript; charset=utf-8"],
    ["a.mjs", "text/javascript; charset=utf-8"],
    ["a.json", "application/json; charset=utf-8"],
    ["a.svg", "image/svg+xml; charset=utf-8"],
    ["a.wasm", "application/wasm"],
    ["a.tar.gz", "application/gzip"],
    ["a.woff2", "font/woff2"],
    ["folder.css/LICENSE", "application/octet-stream"],
    ["a.unknown", "application/octet-stream"],
  ] as const)
    expect([name, mediaTypeOf(name)]).toEqual([name, type]);
});

test("copies by what a client takes and what there is", () => {
  const there = {};
  for (const [field, copies, chosen] of [
    ["gzip, br, zstd", [there, there, there], 0],
    ["gzip, br, zstd", [null, there, there], 1],
    ["gzip, br, zstd", [null, null, there], 2],
    ["gzip, br, zstd", [null, null, null], -1],
    ["gzip, br", [there, null, null], -1],
    ["*", [null, there, null], 1],
    ["br;q=0.5, gzip", [null, there, there], 2],
    ["identity, gzip;q=0.5", [null, null, there], -1],
    ["gzip;q=0", [null, null, there], -1],
    [null, [there, there, there], -1],
  ] as const)
    expect([field, chooseCopy(field, copies)]).toEqual([field, chosen]);
});
