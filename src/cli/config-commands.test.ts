import { afterEach, beforeEach, expect, spyOn, test } from "bun:test";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Command } from "commander";
import { configJsonSchema } from "../config/json-schema.ts";
import { provideSluiceModule } from "../config/module.ts";
import { register as registerCheck } from "./check.ts";
import { register as registerInit } from "./init.ts";
import { register as registerSchema } from "./schema.ts";

const home = process.cwd();
let folder = "";
beforeEach(() => {
  provideSluiceModule({ defineConfig: (config: unknown) => config, definePlugin: (plugin: unknown) => plugin });
  folder = realpathSync(mkdtempSync(join(tmpdir(), "sluice-cli-")));
  process.chdir(folder);
});
afterEach(() => {
  process.chdir(home);
  rmSync(folder, { recursive: true });
});

/** Runs one command in the folder; what it wrote, and its exit code. */
async function sluice(...args: readonly string[]): Promise<{ out: string; err: string; code: number }> {
  const written = { out: "", err: "" };
  const catchAll = (to: "out" | "err") => (chunk: unknown) => {
    written[to] += String(chunk);
    return true;
  };
  const spies = [
    spyOn(process.stdout, "write").mockImplementation(catchAll("out")),
    spyOn(process.stderr, "write").mockImplementation(catchAll("err")),
  ];
  const program = new Command("sluice").exitOverride();
  for (const register of [registerCheck, registerInit, registerSchema]) register(program);
  try {
    await program.parseAsync(args, { from: "user" });
    return { ...written, code: Number(process.exitCode ?? 0) };
  } finally {
    process.exitCode = 0;
    for (const spy of spies) spy.mockRestore();
  }
}

for (const [flag, file] of [
  ["--yaml", "sluice.yaml"],
  ["--ts", "sluice.config.ts"],
] as const) {
  test(`init ${flag} writes a configuration that check accepts without a warning`, async () => {
    expect(await sluice("init", flag)).toMatchObject({
      code: 0,
      err: "",
      out: expect.stringContaining(`${file} written`),
    });
    expect(await sluice("check")).toEqual({
      code: 0,
      err: "",
      out: `${file}: fine (1 listener, 2 routes, 1 upstream)\n`,
    });
  });

  test(`init ${flag} changes no configuration that is there`, async () => {
    writeFileSync("sluice.yml", "mine");
    const { code, err } = await sluice("init", flag);
    expect(code).toBe(1);
    expect(err).toBe(
      "error: there is a configuration here already: sluice.yml\n  hint: remove or rename it first; nothing was changed\n",
    );
    expect(existsSync(file)).toBe(false);
    expect(readFileSync("sluice.yml", "utf8")).toBe("mine");
  });
}

test("init writes YAML when nothing is said", async () => {
  await sluice("init");
  expect(existsSync("sluice.yaml")).toBe(true);
});

test("check without a configuration says what to do", async () => {
  const { code, err, out } = await sluice("check");
  expect(code).toBe(1);
  expect(out).toBe("");
  expect(err).toContain("sluice init");
});

test("check says what is wrong and where", async () => {
  writeFileSync("a.yaml", 'listeners:\n  - address: ":1"\nroutes:\n  - too: x\n');
  const { code, err } = await sluice("check", "-c", "a.yaml");
  expect(code).toBe(1);
  expect(err).toBe(
    `a.yaml:4:5: error: unknown key "too" in routes[0]\n  hint: did you mean "to"?\n1 error: nothing can be started with this configuration\n`,
  );
});

test("check of a file elsewhere names it from the top", async () => {
  const file = join(folder, "a.yaml");
  writeFileSync(file, "routes: []\n");
  mkdirSync("below");
  process.chdir("below");
  expect((await sluice("check", "-c", "../a.yaml")).err).toStartWith(`${file}:1:1: error: `);
});

test("check also finds what only compiling the routes shows", async () => {
  writeFileSync(
    "a.yaml",
    'listeners: [{ address: ":1" }]\nroutes:\n  - { rewrite: { path: /a, regex: [b, c] }, to: http://a }\n',
  );
  const { code, err } = await sluice("check", "-c", "a.yaml");
  expect(code).toBe(1);
  expect(err).toStartWith("a.yaml:3:16: error: `path` replaces the whole path");
});

test("check shows warnings and accepts", async () => {
  writeFileSync(
    "a.yaml",
    'listeners: [{ address: ":1" }]\nroutes: [{ respond: {} }]\nupstreams: { a: { servers: [b] } }\n',
  );
  const { code, err, out } = await sluice("check", "--config", "a.yaml");
  expect(code).toBe(0);
  expect(err).toBe(`a.yaml:3:14: warning: no route uses the upstream "a"\n`);
  expect(out).toContain("fine (1 listener, 1 route, 1 upstream, 1 warning)");
});

test("check --json prints the same for machines", async () => {
  writeFileSync("a.yaml", 'listeners: [{ address: ":1" }]\nroutes: [{ to: x }]\n');
  const { code, err, out } = await sluice("check", "-c", "a.yaml", "--json");
  expect(code).toBe(1);
  expect(err).toBe("");
  expect(JSON.parse(out)).toEqual({
    valid: false,
    file: null,
    diagnostics: [
      {
        severity: "error",
        message: 'there is no upstream named "x"',
        hint: "there are none: describe it under `upstreams`, or write a URL",
        file: join(folder, "a.yaml"),
        line: 2,
        column: 16,
        path: ["routes", 0, "to"],
      },
    ],
  });
});

test("schema prints the JSON Schema", async () => {
  const { out } = await sluice("schema");
  expect(JSON.parse(out)).toEqual(JSON.parse(JSON.stringify(configJsonSchema())));
});
