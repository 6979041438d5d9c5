// biome-ignore-all lint/suspicious/noTemplateCurlyInString: placeholders of the configuration
import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import fc from "fast-check";
import { ConfigError, problem, renderDiagnostic } from "./diagnostic.ts";
import { type Loaded, type LoadOptions, loadConfig } from "./load.ts";
import { provideSluiceModule } from "./module.ts";

const root = realpathSync(mkdtempSync(join(tmpdir(), "sluice-load-")));
afterAll(() => rmSync(root, { recursive: true }));
beforeAll(() =>
  provideSluiceModule({ defineConfig: (config: unknown) => config, definePlugin: (plugin: unknown) => plugin }),
);

let folders = 0;
/** A new folder with these files. */
function folderOf(files: Readonly<Record<string, string>>): string {
  folders += 1;
  const folder = join(root, String(folders));
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, name)), { recursive: true });
    writeFileSync(join(folder, name), text);
  }
  mkdirSync(folder, { recursive: true });
  return folder;
}

const OPTIONS = { environment: {}, systemFolder: join(root, "system") };

/** Every diagnostic of a load, as `check` shows them, with the folder left out. */
async function shown(folder: string, file?: string, options: LoadOptions = {}): Promise<string[]> {
  const clean = (text: string): string =>
    text.replaceAll(`${folder}/`, "").replaceAll(folder, "FOLDER").replaceAll(root, "ROOT");
  try {
    const { diagnostics } = await loadConfig(file, { ...OPTIONS, cwd: folder, ...options });
    return diagnostics.map(renderDiagnostic).map(clean);
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    expect(error.diagnostics.some((one) => one.severity === "error")).toBe(true);
    return error.diagnostics.map(renderDiagnostic).map(clean);
  }
}

const YAML = 'listeners:\n  - address: ":8080"\nroutes:\n  - to: http://127.0.0.1:3001\n';

const BROKEN_YAML = `listeners:
  - adress: ":8080"
upstreams:
  app:
    servers:
      - 127.0.0.1:3001
    timeouts: { idle: 5 }
routes:
  - match: { path: /a }
`;
const BROKEN_JSON = `{
  "listeners": [{ "adress": ":8080" }],
  "upstreams": {
    "app": { "servers": ["127.0.0.1:3001"], "timeouts": { "idle": 5 } }
  },
  "routes": [{ "match": { "path": "/a" } }]
}
`;
const BROKEN_TS = `import { defineConfig } from "sluice";
// listeners: [{ adress: 1 }]
const timeouts = { "connect": "1s", idle: 5 };
export default defineConfig({
  listeners: [{ adress: ":8080" }],
  upstreams: { app: { servers: ["127.0.0.1:3001"], timeouts } },
  routes: [{ match: { path: "/a" } }],
} as never);
`;
const said = (file: string, key: string, missing: string, idle: string): string[] => [
  `${file}:${missing}: error: address is missing\n  hint: Where to listen: \`host:port\`, \`:port\` (every address), \`[::1]:port\` or \`unix:/path.sock\`.`,
  `${file}:${key}: error: unknown key "adress" in listeners[0]\n  hint: did you mean "address"?`,
  `${file}:${idle}: error: idle must be a duration, not the number 5\n  hint: write it with a unit, such as 5s`,
];
const FORMATS: readonly (readonly [file: string, text: string, want: readonly string[]])[] = [
  ["sluice.yaml", BROKEN_YAML, said("sluice.yaml", "2:5", "2:5", "7:23")],
  ["sluice.json", BROKEN_JSON, said("sluice.json", "2:19", "2:17", "4:67")],
  [
    "sluice.config.ts",
    BROKEN_TS,
    [said("sluice.config.ts", "5:17", "5:15", "3:43")[2]!, ...said("sluice.config.ts", "5:17", "5:15", "").slice(0, 2)],
  ],
  ["sluice.config.ts", "export default {\n  routes: [,\n};\n", ["sluice.config.ts:3:1: error: Unexpected }"]],
  [
    "sluice.config.ts",
    'import { a } from "./other.ts";\nexport default a;\n',
    ['sluice.config.ts:1:19: error: Could not resolve: "./other.ts"'],
  ],
  [
    "sluice.config.ts",
    'import { a } from "no-such-package-here";\nexport default a;\n',
    [
      "sluice.config.ts:1:19: error: the configuration could not be run: Cannot find package 'no-such-package-here' imported from sluice.config.ts\n  hint: install it beside the configuration, or remove the import",
    ],
  ],
  [
    "sluice.config.ts",
    "export const a = 1;\n",
    [
      "sluice.config.ts:1:1: error: the file has no default export\n  hint: end it with: export default defineConfig({ … })",
    ],
  ],
  [
    "sluice.config.ts",
    'export default {};\nthrow new Error("boom");\n',
    ["sluice.config.ts:2:11: error: this failed: boom"],
  ],
  [
    "sluice.config.ts",
    'export default Promise.reject("boom");\n',
    ["sluice.config.ts: error: the configuration could not be run: boom"],
  ],
  [
    "sluice.config.ts",
    "export default 5;\n",
    ["sluice.config.ts:1:16: error: the configuration must be a mapping of keys to values, not the number 5"],
  ],
  [
    "sluice.yaml",
    `${YAML}    name: "\${NOPE}"\n`,
    [
      "sluice.yaml:5:11: error: the environment variable NOPE is not set\n  hint: set it, or give a default: ${NOPE:-default}",
    ],
  ],
  [
    "sluice.yaml",
    `${YAML}  - to: http://a\n`,
    [
      "sluice.yaml:5:5: warning: this route is never reached: routes[0] before it takes all its requests\n  hint: put the narrower route first",
    ],
  ],
  ["sluice.yaml", `\ufeff$schema: x\n${YAML}`, []],
];
for (const [file, text, want] of FORMATS) {
  test(`${file}: ${want[0]?.split("\n")[0] ?? "fine"}`, async () => {
    expect(await shown(folderOf({ [file]: text }))).toEqual([...want]);
  });
}

const NONE =
  "there is no configuration: no sluice.config.ts, sluice.yaml, sluice.yml or sluice.json here or in ROOT/system";
const HINT = "write a starting configuration with `sluice init`, or name a file with -c FILE";
const FILES: readonly (readonly [
  name: string,
  files: Readonly<Record<string, string>>,
  file: string | undefined,
  want: string,
])[] = [
  ["none", {}, undefined, `FOLDER: error: ${NONE}\n  hint: ${HINT}`],
  [
    "one that is not there",
    {},
    "a.yaml",
    `a.yaml: error: the configuration cannot be read: there is no such file\n  hint: ${HINT}`,
  ],
  [
    "one of an unknown kind",
    { "a.toml": "" },
    "a.toml",
    'a.toml: error: a configuration\'s name ends in .ts, .yaml, .yml or .json, not in ".toml"',
  ],
  ["a folder", { "a.yaml/b": "" }, "a.yaml", "a.yaml: error: this is a directory, and a configuration is a file"],
];
for (const [name, files, file, want] of FILES) {
  test(`a missing configuration: ${name}`, async () => expect(await shown(folderOf(files), file)).toEqual([want]));
}

test("looks for the names in order, then in the system's folder", async () => {
  const names = ["sluice.config.ts", "sluice.yaml", "sluice.yml", "sluice.json"];
  const json = JSON.stringify({ listeners: [{ address: ":0" }], routes: [{ respond: {} }] });
  const folder = folderOf(
    Object.fromEntries(names.map((name) => [name, name.endsWith("ts") ? `export default ${json};` : json])),
  );
  const system = folderOf({ "sluice.yml": json });
  const found: string[] = [];
  for (const name of [...names, "none"]) {
    found.push((await loadConfig(undefined, { cwd: folder, systemFolder: system, environment: {} })).path);
    rmSync(join(folder, name), { force: true });
  }
  expect(found).toEqual([...names.map((name) => join(folder, name)), join(system, "sluice.yml")]);
});

test("reads secrets from beside the file, wherever the process runs", async () => {
  const folder = folderOf({
    "a.yaml": `${YAML}admin: { token: "\${file:secrets/token}" }\n`,
    "secrets/token": "abc\n",
  });
  const { config, files } = await loadConfig(join(folder, "a.yaml"), { ...OPTIONS, cwd: root });
  expect(config.admin).toEqual({ address: "127.0.0.1:9901", token: "abc" });
  expect(files).toEqual([join(folder, "a.yaml"), join(folder, "secrets/token")]);
});

test("shows what else is wrong with a configuration, at its place", async () => {
  const verify = (config: Loaded["config"]) => [problem(["routes", 0, "to"], `not ${config.routes.length}`)];
  const folder = folderOf({ "sluice.yaml": YAML, "a.yaml": "listeners: 1\nroutes: 2" });
  expect(await shown(folder, undefined, { verify })).toEqual(["sluice.yaml:4:9: error: not 1"]);
  expect(await shown(folder, "a.yaml", { verify })).toHaveLength(2);
});

const statusOf = ({ config }: Loaded): number | undefined => config.routes[0]?.respond?.status;
const TS_CONFIG = `import { defineConfig, definePlugin } from "sluice";
import { status } from "./lib/status.ts";
const stamp = definePlugin({ name: "stamp", request() {} });
export default defineConfig({ listeners: [{ address: ":0" }], routes: [{ use: [stamp], respond: { status } }] });
`;

test("a TypeScript configuration is read anew when something that it imports has changed", async () => {
  const folder = folderOf({
    "sluice.config.ts": TS_CONFIG,
    "lib/status.ts": 'export { status } from "./deep.ts";',
    "lib/deep.ts": "export const status = 201;",
  });
  const load = (): Promise<Loaded> => loadConfig(undefined, { ...OPTIONS, cwd: folder });
  const first = await load();
  expect(statusOf(first)).toBe(201);
  expect(first.files.toSorted()).toEqual(
    ["lib/deep.ts", "lib/status.ts", "sluice.config.ts"].map((name) => join(folder, name)),
  );
  writeFileSync(join(folder, "lib/deep.ts"), "export const status = 202;");
  expect(statusOf(await load())).toBe(202);
  writeFileSync(join(folder, "lib/deep.ts"), "export const status = ;");
  expect(await shown(folder)).toEqual(["lib/deep.ts:1:23: error: Unexpected ;"]);
  writeFileSync(join(folder, "lib/deep.ts"), 'throw new Error("boom");\nexport const status = 1;');
  expect(await shown(folder)).toEqual(["lib/deep.ts:1:11: error: this failed: boom"]);
  writeFileSync(join(folder, "lib/deep.ts"), "export const status = 203;");
  expect(statusOf(await load())).toBe(203);
});

test("a TypeScript configuration behind a link is read anew when the link points elsewhere", async () => {
  const config = (status: number): string =>
    `export default { listeners: [{ address: ":0" }], routes: [{ respond: { status: ${status} } }] };`;
  const folder = folderOf({ "v1/sluice.config.ts": config(201), "v2/sluice.config.ts": config(202) });
  const link = join(folder, "sluice.config.ts");
  symlinkSync("v1/sluice.config.ts", link);
  expect(statusOf(await loadConfig(link, OPTIONS))).toBe(201);
  rmSync(link);
  symlinkSync("v2/sluice.config.ts", link);
  expect(statusOf(await loadConfig(link, OPTIONS))).toBe(202);
});

const SAMPLE = `listeners:
  - address: ":8080"
    timeouts: { header: 10s, idle: 75s }
upstreams:
  app: &app { servers: [http://127.0.0.1:3001, { url: "a:1", weight: 2 }] }
  b: *app
routes:
  - name: api
    match: { host: [a.example, "*.b.example"], path: [/v1/*, "~^/(?<id>x)"], method: GET, header: { x: true } }
    rewrite: { regex: ["^/old/(.*)", "/new/$1"], query: { set: { a: b } } }
    requestHeaders: { set: { x-user: "{ip}\${NAME:-x}" }, remove: [cookie] }
    to: [{ upstream: app, weight: 95 }, { upstream: b, weight: 5 }]
  - redirect: { to: "https://www.example.com{uri}", status: 308 }
admin: { address: "127.0.0.1:9901", token: "\${file:nothing}" }
`;
const mutation = fc.record({
  at: fc.nat(SAMPLE.length),
  length: fc.nat(12),
  text: fc.oneof(
    fc.string({ maxLength: 6 }),
    fc.constantFrom(
      "*app",
      "&a",
      "<<: ",
      "- ",
      "{",
      "[",
      "\n",
      "\t",
      "${",
      "~",
      "null",
      "1e999",
      "!!x ",
      "? ",
      "|",
      "---\n",
    ),
  ),
});

test("whatever happens to a file, loading it gives a configuration or a ConfigError", async () => {
  const folder = folderOf({});
  const file = join(folder, "a.yaml");
  const attempt = async (
    mutations: readonly { at: number; length: number; text: string }[],
    name: string,
  ): Promise<void> => {
    let text = SAMPLE;
    for (const { at, length, text: inserted } of mutations)
      text = text.slice(0, at) + inserted + text.slice(at + length);
    writeFileSync(join(folder, name), text);
    await shown(folder, name);
  };
  await attempt([], "a.yaml");
  expect(await shown(folder, file)).toHaveLength(1);
  await fc.assert(
    fc.asyncProperty(fc.array(mutation, { minLength: 1, maxLength: 4 }), fc.constantFrom("a.yaml", "a.json"), attempt),
    { numRuns: 400 },
  );
});

test("whatever the values are, checking them gives a configuration or a ConfigError", async () => {
  const folder = folderOf({});
  const keys = fc.constantFrom(
    "listeners",
    "routes",
    "address",
    "to",
    "match",
    "path",
    "limits",
    "upstreams",
    "servers",
    "admin",
    "use",
    "redirect",
    "workers",
    "a",
  );
  const { value } = fc.letrec((tie) => ({
    value: fc.oneof(
      { maxDepth: 5 },
      fc.jsonValue({ maxDepth: 1 }),
      fc.dictionary(keys, tie("value"), { maxKeys: 4 }),
      fc.array(tie("value"), { maxLength: 3 }),
    ),
  }));
  await fc.assert(
    fc.asyncProperty(value, async (input) => {
      writeFileSync(join(folder, "a.json"), JSON.stringify(input));
      await shown(folder, "a.json");
    }),
    { numRuns: 300 },
  );
});
