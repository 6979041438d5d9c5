// The documentation tells the truth: its configurations can be run, its programs compile, its links lead somewhere, and
// its tables say what the code says.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, relative } from "node:path";
import { parse, stringify } from "yaml";
import type { ConfigInput } from "../src/config/schema.ts";
import { FAULTS, type FaultCode, fault } from "../src/core/faults.ts";
import { echoDescriptors } from "../src/engines/transcode/descriptors.testing.ts";
import { BUDGETS, GLITCH_KINDS } from "../src/http/h2/glitches.ts";
import { grpcStatusOfFault } from "../src/pipeline/grpc-status.ts";
import { directionProblem } from "../tools/tidy/imports.ts";

const ROOT = join(import.meta.dir, "..");
const PAGES = ["{README,ARCHITECTURE,CONTRIBUTING,CHANGELOG}.md", "{docs,examples}/**/*.md"]
  .flatMap((pattern) => [...new Bun.Glob(pattern).scanSync({ cwd: ROOT })])
  .sort();
/** What examples read from the environment. */
const ENVIRONMENT = {
  ADMIN_TOKEN: "t",
  ANTHROPIC_KEY: "secret",
  APP_HOST: "app.internal",
  COOKIE_SECRET: "a secret of thirty-two characters at least",
  GA4_SECRET: "secret",
  GITHUB_SECRET: "secret",
  HOOK_SECRET: "a secret of twenty letters",
  INTROSPECTION_SECRET: "secret",
  LDAP_PASSWORD: "secret",
  META_TOKEN: "secret",
  OIDC_SECRET: "secret",
  OPENAI_KEY: "secret",
  SIGNING_SECRET: "a secret of thirty-two characters at least",
  STICKY_SECRET: "sixteen characters",
  TSIG_SECRET: "c2VjcmV0",
};

const read = (path: string): string => readFileSync(join(ROOT, path), "utf8");

interface Block {
  /** `docs/routing.md:12` */
  readonly place: string;
  readonly language: string;
  /** The words behind the language: `fragment` for a part of a configuration, `other` for a file that is not ours. */
  readonly info: string;
  readonly text: string;
}

function blocksOf(page: string): Block[] {
  const blocks: Block[] = [];
  let open: { at: number; indent: string; info: string; lines: string[] } | null = null;
  for (const [index, line] of read(page).split("\n").entries()) {
    const fence = /^( *)```(.*)$/.exec(line);
    if (open !== null && fence?.[1] === open.indent && fence[2] === "") {
      const [language = "", ...info] = open.info.split(" ");
      blocks.push({ place: `${page}:${open.at}`, language, info: info.join(" "), text: `${open.lines.join("\n")}\n` });
      open = null;
    } else if (open !== null) open.lines.push(line.slice(open.indent.length));
    else if (fence !== null) open = { at: index + 1, indent: fence[1]!, info: fence[2]!.trim(), lines: [] };
  }
  if (open !== null) throw new Error(`${page}:${open.at}: a block that does not end`);
  return blocks;
}

const BLOCKS = PAGES.flatMap(blocksOf);

describe("configurations", () => {
  let folder = "";
  /** Problems by file name, from one process that loads them all. */
  let problems: Readonly<Record<string, readonly string[]>> = {};
  const files = BLOCKS.flatMap((block): { name: string; place: string; text: string }[] => {
    const kind = { yaml: "yaml", json: "json", ts: "config.ts" }[block.language];
    if (kind === undefined || block.info === "other") return [];
    if (kind === "config.ts" && !block.text.includes("export default defineConfig")) return [];
    const name = `${block.place.replace(/\W/g, "-")}.${kind}`;
    return [{ name, place: block.place, text: block.info === "fragment" ? completed(block.text) : block.text }];
  });

  beforeAll(async () => {
    folder = realpathSync(mkdtempSync(join(tmpdir(), "sluice-docs-")));
    mkdirSync(join(folder, "secrets"));
    writeFileSync(join(folder, "secrets/admin-token"), "secret\n");
    for (const { name, text } of files) writeFileSync(join(folder, name), text);
    // Files that configurations name.
    writeFileSync(join(folder, "books.pb"), echoDescriptors(undefined, "library.Books"));
    for (const { info, text } of BLOCKS)
      if (info === "other") writeFileSync(join(folder, /^# (\w+\.\w+)\n/.exec(text)?.[1] ?? "unnamed"), text);
    problems = await loadAll(
      folder,
      files.map(({ name }) => name),
    );
  });
  afterAll(() => rmSync(folder, { recursive: true }));

  test("there are some", () => expect(files.length).toBeGreaterThan(20));
  for (const { name, place } of files) test(place, () => expect(problems[name]).toEqual([]));
  test("a block that is no configuration of ours names its file", () => {
    for (const { place, info, text } of BLOCKS)
      if (info === "other") expect([place, text]).toEqual([place, expect.stringMatching(/^# \w+\.\w+\n/)]);
  });
});

/** A part of a configuration with what it needs to stand alone: listeners, routes, and the upstreams that are named. */
function completed(text: string): string {
  const part: Partial<ConfigInput> = parse(text);
  const own = Object.keys(part.upstreams ?? {});
  const forwarded = new Set((part.listeners ?? []).flatMap(({ tcp, udp }) => [tcp?.to, udp?.to]));
  const unused = own.filter((to) => !forwarded.has(to)).map((to) => ({ match: { path: `/${to}` }, to }));
  const routes = part.routes ?? (unused.length > 0 ? unused : [{ respond: { body: "ok" } }]);
  const named = new Set([...forwarded, ...routes.flatMap(targetsOf)].filter((name) => name?.includes(":") === false));
  const others = [...named].map((name) => [name, { servers: ["http://127.0.0.1:3001"] }]);
  const upstreams = { ...Object.fromEntries(others), ...part.upstreams };
  return stringify({ listeners: [{ address: "127.0.0.1:0" }], ...part, upstreams, routes });
}

/** What a route names as its upstreams, mirrors included. */
function targetsOf({ to = [], mirror }: NonNullable<ConfigInput["routes"]>[number]): string[] {
  const all: readonly (string | { readonly upstream: string })[] = typeof to === "string" ? [to] : to;
  const mirrored = typeof mirror === "object" ? [mirror.to] : [];
  return [...all.map((target) => (typeof target === "string" ? target : target.upstream)), ...mirrored];
}

/** Loads files as `sluice check` does, in a process of its own, where nobody else has offered the module "sluice". */
async function loadAll(folder: string, names: readonly string[]): Promise<Record<string, string[]>> {
  const from = (path: string): string => JSON.stringify(join(ROOT, "src", path));
  const program = `
    import { ConfigError, renderDiagnostic } from ${from("config/diagnostic.ts")};
    import { loadConfig } from ${from("config/load.ts")};
    import { expandApis } from ${from("apis/expand.ts")};
    import { planProblems } from ${from("control/compile.ts")};
    import { offerSluiceModule } from ${from("control/sluice-module.ts")};
    offerSluiceModule();
    const found = {};
    for (const name of ${JSON.stringify(names)}) {
      try {
        found[name] = (await loadConfig(name, { expand: expandApis, verify: planProblems })).diagnostics.map(renderDiagnostic);
      } catch (error) {
        found[name] = [String(error)];
      }
    }
    console.log(JSON.stringify(found));`;
  const env = { PATH: process.env.PATH ?? "", ...ENVIRONMENT };
  const child = Bun.spawn([process.execPath, "-e", program], { cwd: folder, env, stdout: "pipe", stderr: "inherit" });
  return JSON.parse(await new Response(child.stdout).text());
}

describe("programs", () => {
  const blocks = BLOCKS.filter(({ language }) => language === "ts");

  test("every one compiles", async () => {
    const folder = realpathSync(mkdtempSync(join(tmpdir(), "sluice-docs-ts-")));
    try {
      for (const { place, text } of blocks) writeFileSync(join(folder, `${place.replace(/\W/g, "-")}.ts`), text);
      const { compilerOptions } = JSON.parse(read("tsconfig.json"));
      const options = {
        ...compilerOptions,
        paths: { sluice: [join(ROOT, "src/index.ts")] },
        typeRoots: [join(ROOT, "node_modules/@types")],
      };
      writeFileSync(join(folder, "tsconfig.json"), JSON.stringify({ compilerOptions: options, include: ["*.ts"] }));
      const child = Bun.spawn([join(ROOT, "node_modules/.bin/tsc"), "-p", folder], { cwd: folder, stdout: "pipe" });
      const lines = (await new Response(child.stdout).text()).split("\n");
      // What is wrong inside of src/ is told by the check of the types.
      expect(lines.filter((line) => /^[\w-]+\.ts[(:]/.test(line))).toEqual([]);
    } finally {
      rmSync(folder, { recursive: true });
    }
  }, 60_000);

  test("the README's proxy inside a program answers", async () => {
    const { text } = blocks.find((block) => block.place.startsWith("README.md") && block.text.includes("createProxy"))!;
    // In the checkout, where the name of the package leads to src/.
    const env = { PATH: process.env.PATH ?? "" };
    const child = Bun.spawn([process.execPath, "-e", text], { cwd: ROOT, env, stdout: "pipe", stderr: "inherit" });
    expect([await new Response(child.stdout).text(), await child.exited]).toEqual(["pong\n", 0]);
  });

  test("a program named before its block is that file", () => {
    let found = 0;
    for (const page of PAGES)
      for (const [, file = "", text = ""] of read(page).matchAll(
        /<!-- (examples\/\S+) -->\n\n```\w+\n([\s\S]*?)```\n/g,
      )) {
        expect(text).toBe(read(file));
        found += 1;
      }
    expect(found).toBeGreaterThan(0);
  });
});

describe("links", () => {
  const anchors = new Map(PAGES.map((page) => [page, new Set(headings(read(page)).map(slug))]));
  for (const page of PAGES)
    test(page, () => {
      const broken: string[] = [];
      for (const [, target = ""] of prose(read(page)).matchAll(/\]\(([^)\s]+)\)/g)) {
        if (/^https?:/.test(target)) continue;
        const [path = "", anchor] = target.split("#");
        const file = path === "" ? page : relative(ROOT, join(ROOT, dirname(page), path));
        if (!existsSync(join(ROOT, file))) broken.push(target);
        else if (anchor !== undefined && anchors.get(file)?.has(anchor) !== true) broken.push(target);
      }
      expect(broken).toEqual([]);
    });

  test("every page can be reached from the README", () => {
    const seen = new Set<string>();
    const visit = (page: string): void => {
      if (seen.has(page) || !PAGES.includes(page)) return;
      seen.add(page);
      for (const [, target = ""] of prose(read(page)).matchAll(/\]\(([^)\s#]+)/g))
        visit(relative(ROOT, join(ROOT, dirname(page), target)));
    };
    visit("README.md");
    expect(PAGES.filter((page) => !seen.has(page))).toEqual([]);
  });
});

/** A page without its code, in which brackets mean something else. */
const prose = (text: string): string => text.replace(/^ *```[\s\S]*?^ *```$/gm, "").replace(/`[^`\n]*`/g, "``");
const headings = (text: string): string[] =>
  [...text.replace(/^ *```[\s\S]*?^ *```$/gm, "").matchAll(/^#+ (.+)$/gm)].map(([, title = ""]) => title);
/** What GitHub makes of a heading. */
const slug = (title: string): string =>
  title
    .toLowerCase()
    .replace(/[^\p{L}\p{N}\s_-]/gu, "")
    .replaceAll(" ", "-");

/** The cells of the rows of all tables of a text. */
function rows(text: string): string[][] {
  return text
    .split("\n")
    .filter((line) => line.startsWith("|") && !/^\|[-: |]+\|$/.test(line))
    .map((line) =>
      line
        .slice(1, -1)
        .split(/(?<!\\)\|/)
        .map((cell) => cell.trim()),
    );
}
const bare = (cell: string): string => cell.replace(/^`|`$/g, "");

test("docs/errors.md is the table of faults", () => {
  const conditions = { never: () => "no", reset: () => "reset", status: String, always: () => "connect" };
  const told = rows(read("docs/errors.md"))
    .filter(([code = ""]) => code.startsWith("`"))
    .map((cells) => cells.slice(0, 5).map(bare));
  const wanted = Object.entries(FAULTS).map(([code, fault]) => [
    code,
    String(fault.status),
    fault.proxyStatus,
    fault.side,
    conditions[fault.retry](fault.status),
  ]);
  expect(told).toEqual(wanted);
});

test("docs/grpc.md has the status of every fault", () => {
  const UNAVAILABLE = 14;
  const told: Record<string, number> = {};
  for (const [status = "", faults = ""] of rows(read("docs/grpc.md")))
    for (const [, code = ""] of faults.matchAll(/`([a-z0-9]+\.[a-z_0-9]+)`/g)) told[code] = Number.parseInt(status, 10);
  const codes = Object.keys(FAULTS) as FaultCode[];
  const wanted = codes.map((code) => [code, grpcStatusOfFault(fault(code))] as const);
  expect(told).toEqual(Object.fromEntries(wanted.filter(([, status]) => status !== UNAVAILABLE)));
});

test("docs/http2.md has every budget", () => {
  const wanted = GLITCH_KINDS.map((kind) => {
    const { per, base, perUse, ...more } = BUDGETS[kind];
    const budget = `${base.toLocaleString("en")} in ${per === 1000 ? "a second" : `${per / 1000} s`}`;
    if (perUse === 0) return [kind, budget];
    const use = "answersOnly" in more ? "answer" : "answer or DATA frame";
    return [kind, `${budget}, and ${{ 1: "one", 4: "four", 10: "ten" }[perUse]} more for each ${use}`];
  });
  const kinds: readonly string[] = GLITCH_KINDS;
  const told = rows(read("docs/http2.md")).filter(([kind = ""]) => kinds.includes(bare(kind)));
  expect(told.map(([kind = "", , budget = ""]) => [bare(kind), budget])).toEqual(wanted);
});

test("docs/limits-and-timeouts.md has every limit, with the default of the reference", () => {
  const tables = ["listeners[].timeouts", "listeners[].limits", "upstreams.NAME.timeouts", "upstreams.NAME.limits"];
  const optional = ["routes[].limits", "routes[].timeouts"];
  const more = [
    "listeners[].tls.handshakeTimeout",
    "listeners[].proxyProtocol.timeout",
    "listeners[].tcp.idle",
    "listeners[].udp.idle",
    "listeners[].udp.sessions",
    "upstreams.NAME.health.timeout",
    "upstreams.NAME.retry.body",
    "resolver.minTtl",
    "resolver.maxTtl",
    "shutdown.drain",
  ];
  const known = new Map<string, string>();
  for (const section of read("docs/reference.md").split("\n## ").slice(1)) {
    const table = /^`([^`]+)`/.exec(section)?.[1];
    for (const [key = "", , value = ""] of rows(section))
      if (table !== undefined && key !== "key") known.set(`${table}.${bare(key)}`, bare(value));
  }
  const wanted = [...known].filter(
    ([key]) => [...tables, ...optional].includes(key.slice(0, key.lastIndexOf("."))) || more.includes(key),
  );
  const told = rows(read("docs/limits-and-timeouts.md"))
    .filter(([key = ""]) => /^`[\w.[\]]+`$/.test(key))
    .map(([key = "", value = ""]) => [bare(key), value === "off" ? "" : bare(value)]);
  expect(told.sort()).toEqual(wanted.sort());
});

describe("docs/command-line.md", () => {
  const page = read("docs/command-line.md");
  const sections = new Map(
    page
      .split("\n## sluice ")
      .slice(1)
      .map((section) => [section.slice(0, section.indexOf("\n")), section]),
  );
  const help = async (...command: string[]): Promise<string> => {
    const child = Bun.spawn([process.execPath, join(ROOT, "src/main.ts"), ...command, "--help"], { stdout: "pipe" });
    return new Response(child.stdout).text();
  };

  test("has every command, and no other", async () => {
    const text = await help();
    const commands = [...text.slice(text.indexOf("Commands:")).matchAll(/^ {2}([a-z-]+)/gm)].map(([, name]) => name);
    expect([...sections.keys()].sort()).toEqual(commands.filter((name) => name !== "help").sort() as string[]);
  });
  for (const [command, section] of sections)
    test(`${command}: every option, and no other`, async () => {
      const text = await help(command);
      const wanted = [...text.matchAll(/^ {2}((?:-\w, )?--[\w-]+(?: [<[]\w+[>\]])?)/gm)]
        .map(([, option = ""]) => option)
        .filter((option) => option !== "-h, --help");
      const told = rows(section).flatMap(([cell = ""]) =>
        [...cell.matchAll(/`([^`]+)`/g)].map(([, option = ""]) => option).filter((option) => option.startsWith("-")),
      );
      expect(told.sort()).toEqual(wanted.sort());
    });
});

test("the table of folders in ARCHITECTURE.md is what tidy enforces", () => {
  const section = read("ARCHITECTURE.md")
    .split("\n## ")
    .find((each) => each.startsWith("The house"))!;
  const table = rows(section).slice(1);
  const folders = table.map(([name = ""]) => bare(name));
  for (const [name = "", , imports = ""] of table) {
    const from = bare(name);
    const above = folders.slice(0, folders.indexOf(from));
    const told = imports.startsWith("all") ? above : [...imports.matchAll(/`(\w+)`/g)].map(([, to]) => to);
    const allowed = folders.filter(
      (to) => to !== from && directionProblem(`src/${from}/a.ts`, `src/${to}/b.ts`) === null,
    );
    expect([from, told.toSorted()]).toEqual([from, allowed.toSorted()]);
  }
  const there = readdirSync(join(ROOT, "src"), { withFileTypes: true }).filter((each) => each.isDirectory());
  expect(there.map(({ name }) => name).filter((name) => !folders.includes(name))).toEqual([]);
});

test("the README has the block that the benchmark fills", () => {
  const text = read("README.md");
  expect(text.indexOf("<!-- bench:begin -->")).toBeGreaterThan(0);
  expect(text.indexOf("<!-- bench:end -->")).toBeGreaterThan(text.indexOf("<!-- bench:begin -->"));
});
