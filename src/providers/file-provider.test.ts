import { expect, test } from "bun:test";
import { mkdirSync, renameSync, rmSync, symlinkSync, unlinkSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { Folder } from "../../test/support/sluice.ts";
import { until } from "../../test/support/wait.ts";
import { renderDiagnostic } from "../config/diagnostic.ts";
import { createLog } from "../observe/log.ts";
import { provideFiles, readFolder } from "./file-folder.ts";
import { FileProvider } from "./file-provider.ts";

const route = (path: string): string => `routes: [{ match: { path: ${path} }, to: main }]\n`;

/** What a folder with one file says about it: its routes, or what is wrong. */
function said(name: string, text: string): string {
  using folder = new Folder();
  folder.write(name, text);
  const states = readFolder(folder.path, []);
  if (typeof states === "string") return states;
  return states
    .map(({ fragment, diagnostics }) =>
      fragment === null
        ? diagnostics.map((one) => renderDiagnostic(one).replaceAll(`${folder.path}/`, "")).join("\n")
        : JSON.stringify([fragment.upstreams, fragment.routes]),
    )
    .join("\n");
}

const TEXTS: readonly (readonly [name: string, text: string, want: string])[] = [
  ["a.yaml", "upstreams: { b: { servers: [a] } }", '[{"b":{"servers":["a"]}},[]]'],
  ["a.yml", "routes: [1]", "[{},[1]]"],
  ["a.json", '{ "$schema": "x", "routes": [{ "to": "b" }] }', '[{},[{"to":"b"}]]'],
  ["a.yaml", "\ufeff# only a comment\n\n  # another\n", "[{},[]]"],
  ["a.yaml", " \n", "a.yaml: error: the file is empty\n  hint: remove it when it is not wanted any more"],
  ["a.yaml", "- 1\n", "a.yaml:1:1: error: a fragment is a mapping\n  hint: write `upstreams:` and `routes:`"],
  ["a.yaml", "routes:\n  a: 1\n", "a.yaml:2:3: error: routes must be a list"],
  ["a.yaml", "upstreams: [1]\n", "a.yaml:1:12: error: upstreams must be a mapping of names to values"],
  [
    "a.yaml",
    "\nruotes: []\n",
    'a.yaml:2:1: error: unknown key "ruotes": a fragment has upstreams and routes\n  hint: did you mean "routes"?',
  ],
  [
    "a.yaml",
    "admin: false\n",
    'a.yaml:1:1: error: "admin" is for the main configuration alone: a fragment has upstreams and routes',
  ],
  [
    "a.yaml",
    "routes: [\n",
    "a.yaml:2:1: error: flow sequence in block collection must be sufficiently indented and end with a ]\n  hint: keys of one mapping start in the same column, and [ … ] and { … } must be closed",
  ],
  ["a.json", "{ routes: [] }", "a.json:1:3: error: JSON keys stand in double quotes"],
  [".a.yaml", "x", ""],
  ["~a.yaml", "x", ""],
  ["#a.yaml#", "x", ""],
  ["a.yaml~", "x", ""],
  ["a.yaml.swp", "x", ""],
  ["a.conf", "x", ""],
];
for (const [name, text, want] of TEXTS)
  test(`${name}: ${JSON.stringify(text)}`, () => expect(said(name, text)).toBe(want));

test("a folder, a dangling link and a missing folder say what they are", () => {
  using folder = new Folder();
  mkdirSync(join(folder.path, "a.yaml"));
  symlinkSync("nowhere", join(folder.path, "b.yaml"));
  const states = readFolder(folder.path, []);
  expect(
    typeof states === "string" ? [] : states.flatMap(({ diagnostics }) => diagnostics.map((one) => one.message)),
  ).toEqual(["this is not a regular file", "the file cannot be read: there is no such file"]);
  expect(readFolder(join(folder.path, "no"), [])).toBe("there is no such folder");
  expect(readFolder(folder.write("file", ""), [])).toBe("it is not a folder");
});

test("commands read the folder once", async () => {
  using folder = new Folder();
  mkdirSync(join(folder.path, "conf.d"));
  folder.write("conf.d/b.yaml", route("/b"));
  folder.write("conf.d/a.yaml", "x: 1");
  const provided = await provideFiles({ files: { path: "conf.d" } }, folder.path);
  expect(provided.fragments.map(({ source }) => basename(source))).toEqual(["b.yaml"]);
  expect(provided.rejected).toHaveLength(1);
  expect(await provideFiles({}, folder.path)).toEqual({ fragments: [], problems: [], rejected: [] });
  const [problem] = (await provideFiles({ files: { path: "nowhere" } }, folder.path)).problems;
  expect(problem?.message).toBe('the folder "nowhere" cannot be read: there is no such folder');
});

const QUIET = createLog("error", { write: () => {} });

class Followed implements Disposable {
  readonly folder = new Folder();
  readonly provider: FileProvider;
  told = 0;
  lines = "";

  constructor(files: Readonly<Record<string, string>>, pollMs = 3_600_000) {
    for (const [name, text] of Object.entries(files)) this.folder.write(name, text);
    const log = createLog("info", { write: (line) => (this.lines += line) });
    this.provider = new FileProvider(this.folder.path, { log, changed: () => (this.told += 1), pollMs });
    this.provider.follow();
  }

  get paths(): string[] {
    return this.provider.states.map(({ fragment }) =>
      fragment === null
        ? "broken"
        : String((fragment.routes[0] as { match: { path: string } } | undefined)?.match.path),
    );
  }

  async until(paths: readonly string[]): Promise<void> {
    await until(() => this.paths.join() === paths.join(), `${paths.join()}, not ${this.paths.join()}`);
  }

  [Symbol.dispose](): void {
    this.provider.stop();
    this.folder[Symbol.dispose]();
  }
}

test("follows every kind of change, and tells of those alone that change something", async () => {
  using followed = new Followed({ "b.yaml": route("/b") });
  const { folder } = followed;
  expect(followed.paths).toEqual(["/b"]);
  expect(followed.told).toBe(0);
  folder.write("a.yaml", route("/a"));
  await followed.until(["/a", "/b"]);
  folder.write("a.yaml", route("/c")); // of the same size, perhaps in the same tick of the clock
  await followed.until(["/c", "/b"]);
  renameSync(folder.write(".a.yaml.tmp", route("/d")), join(folder.path, "a.yaml"));
  await followed.until(["/d", "/b"]);
  folder.write("a.yaml", "broken: 1");
  await followed.until(["broken", "/b"]);
  rmSync(join(folder.path, "a.yaml"));
  await followed.until(["/b"]);
  const { told } = followed;
  folder.write("b.yaml", `# moved down\n${route("/b")}`);
  folder.write(".hidden.yaml", route("/x"));
  folder.write("other.txt", "x");
  await until(() => followed.provider.states[0]?.fragment?.locate?.(["routes", 0], "value").line === 2, "read again");
  expect(followed.told).toBe(told);
});

test("follows the links that Kubernetes swaps", async () => {
  using folder = new Folder();
  const version = (name: string, path: string): void => {
    mkdirSync(join(folder.path, name));
    writeFileSync(join(folder.path, name, "a.yaml"), route(path));
  };
  version("..1", "/one");
  symlinkSync("..1", join(folder.path, "..data"));
  symlinkSync("..data/a.yaml", join(folder.path, "a.yaml"));
  let told = 0;
  const provider = new FileProvider(folder.path, { log: QUIET, changed: () => (told += 1), pollMs: 3_600_000 });
  provider.follow();
  expect(provider.states[0]?.source).toBe(join(folder.path, "a.yaml"));
  version("..2", "/two");
  symlinkSync("..2", join(folder.path, "..tmp"));
  renameSync(join(folder.path, "..tmp"), join(folder.path, "..data"));
  rmSync(join(folder.path, "..1"), { recursive: true });
  await until(() => told > 0, "the swap");
  expect(JSON.stringify(provider.states[0]?.fragment?.routes)).toContain("/two");
  provider.stop();
});

test("keeps what it has while the folder is gone, and goes on with the one that takes its place", async () => {
  using followed = new Followed({ "a.yaml": route("/a") }, 20);
  const { path } = followed.folder;
  rmSync(path, { recursive: true });
  await until(() => followed.provider.missing !== null, "the folder has gone");
  expect(followed.provider.missing).toBe("there is no such folder");
  expect(followed.paths).toEqual(["/a"]);
  expect(followed.lines).toContain("the folder of configuration files is gone: its files stay in use as they were");
  mkdirSync(path);
  writeFileSync(join(path, "b.yaml"), route("/b"));
  await followed.until(["/b"]);
  writeFileSync(join(path, "c.yaml"), route("/c"));
  await followed.until(["/b", "/c"]);
  expect(followed.provider.missing).toBeNull();
});

test("a poll finds what nobody tells", async () => {
  using outside = new Folder();
  const file = outside.write("target.yaml", route("/a"));
  using followed = new Followed({}, 20);
  symlinkSync(file, join(followed.folder.path, "a.yaml"));
  await followed.until(["/a"]);
  writeFileSync(file, route("/longer")); // no event in the folder that is watched
  await followed.until(["/longer"]);
  unlinkSync(file);
  await followed.until(["broken"]);
});

test("nothing is told after the end", async () => {
  const followed = new Followed({}, 20);
  followed.folder.write("a.yaml", route("/a"));
  followed.provider.stop();
  await Bun.sleep(200); // longer than a burst and several polls
  expect(followed.told).toBe(0);
  followed[Symbol.dispose]();
});
