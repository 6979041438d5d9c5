// `sluice waf test` and `sluice waf install`, as people run them.
import { afterAll, beforeAll, describe, expect, spyOn, test } from "bun:test";
import { createHash } from "node:crypto";
import {
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { Command } from "commander";
import type { WafTrial } from "../control/waf-trial.ts";
import { type Entry, tarOf } from "./tar.testing.ts";
import { register } from "./waf.ts";

const SCRIPT = "%3Cscript%3Ealert(1)%3C/script%3E";
const CONFIG = `listeners: [{ address: "127.0.0.1:0" }]
routes:
  - { name: api, match: { path: /api/* }, waf: { mode: detect }, respond: {} }
  - { name: open, match: { path: /open }, respond: {} }
  - { name: shop, waf: {}, respond: {} }
`;

const home = process.cwd();
const folder = realpathSync(mkdtempSync(join(tmpdir(), "sluice-waf-")));
const write = (name: string, text: string): void => writeFileSync(join(folder, name), text);

beforeAll(() => {
  write("sluice.yaml", CONFIG);
  process.chdir(folder);
});
afterAll(() => {
  process.chdir(home);
  rmSync(folder, { recursive: true });
});

/** Runs one command in the folder; what it wrote, and its exit code. */
async function run(...args: readonly string[]): Promise<{ out: string; err: string; code: number }> {
  const written = { out: "", err: "" };
  const line = (to: "out" | "err") => (text: unknown) => void (written[to] += `${text}\n`);
  const spies = [
    spyOn(console, "log").mockImplementation(line("out")),
    spyOn(console, "error").mockImplementation(line("err")),
    spyOn(process.stderr, "write").mockImplementation((text: unknown) => {
      written.err += String(text);
      return true;
    }),
  ];
  const program = new Command("sluice").exitOverride();
  register(program);
  try {
    await program.parseAsync(["waf", ...args], { from: "user" });
    return { ...written, code: Number(process.exitCode ?? 0) };
  } finally {
    process.exitCode = 0;
    for (const spy of spies) spy.mockRestore();
  }
}

describe("test", () => {
  interface Case {
    readonly args: readonly string[];
    readonly code: number;
    readonly out?: RegExp;
    readonly err?: RegExp;
  }
  const CASES: readonly Case[] = [
    { args: ["/"], code: 0, out: /^route shop, firewall in mode block\nno rule matches\n\nscore 0 of 5\npasses\n$/ },
    {
      args: [`http://shop.example/x?q=${SCRIPT}`],
      code: 4,
      out: /990502 {2}phase 2 {2}\+5 {2}Cross-site scripting\n {2}in {5}ARGS:q = .*\n(?:.*\n)*score 5 of 5\nblocked by rule 990900: answered 403\n$/,
    },
    { args: [`/api/x?q=${SCRIPT}`], code: 0, out: /passes; it would be blocked by rule 990900/ },
    { args: [`/api/x?q=${SCRIPT}`, "--route", "shop"], code: 4 },
    { args: ["/x?", "-d", `q=${SCRIPT}`], code: 4, out: /in {5}ARGS:q/ },
    { args: ["/x?", "-X", "PUT", "-H", "Content-Type: application/json", "-d", '{"a":"<script>"}'], code: 4 },
    { args: ["/open"], code: 2, err: /the route "open" has no firewall/ },
    { args: ["/", "--route", "nobody"], code: 2, err: /there is no route named "nobody"/ },
    { args: ["missing.http"], code: 2, err: /cannot read missing\.http/ },
    { args: ["/", "--paranoia", "9"], code: 2, err: /from 1 to 4/ },
    { args: ["/", "-c", "nothing.yaml"], code: 1, err: /nothing\.yaml/ },
    { args: ["/", "-H", "no field"], code: 2, err: /not a request/ },
  ];
  for (const { args, code, out, err } of CASES) {
    test(args.join(" "), async () => {
      const ended = await run("test", ...args);
      expect(ended.code).toBe(code);
      if (out !== undefined) expect(ended.out).toMatch(out);
      if (err !== undefined) expect(ended.err).toMatch(err);
    });
  }

  test("a file with a request, as it was sent or as an editor saved it", async () => {
    const lines = ["POST /form HTTP/1.1", "Host: a", "Content-Type: application/x-www-form-urlencoded"];
    const body = `q=${SCRIPT}`;
    const requests = {
      "wire.http": `${[...lines, `Content-Length: ${body.length}`].join("\r\n")}\r\n\r\n${body}`,
      "chunked.http": `${[...lines, "Transfer-Encoding: chunked"].join("\r\n")}\r\n\r\n${body.length.toString(16)}\r\n${body}\r\n0\r\n\r\n`,
      "editor.http": `${lines.join("\n")}\n\n${body}`,
    };
    for (const [name, text] of Object.entries(requests)) {
      write(name, text);
      const { out, code } = await run("test", name, "--json");
      const trial = JSON.parse(out) as WafTrial;
      expect([name, code, trial.matches[0]!.variable]).toEqual([name, 4, "ARGS:q"]);
    }
  });

  test("the patch that docs/firewall.md shows", async () => {
    const page = readFileSync(join(import.meta.dir, "../../docs/firewall.md"), "utf8");
    write("patch.conf", /```\n(SecRule REQUEST_FILENAME[^`]*)```/.exec(page)![1]!);
    const config = { listeners: [{ address: "127.0.0.1:0" }], routes: [{ waf: { rules: "patch.conf" }, respond: {} }] };
    write("patched.json", JSON.stringify(config));
    const code = async (target: string) => (await run("test", target, "-c", "patched.json")).code;
    expect(await code("/api/export?file=../secret")).toBe(4);
    expect(await code("/api/export?file=list")).toBe(0);
    expect(await code("/api/other?file=../secret")).toBe(0);
  });

  test("of the Core Rule Set alone", async () => {
    const { out, code } = await run("test", "/?id=1%27%20or%20%271%27=%271", "--crs", "/usr/share/modsecurity-crs");
    expect([code, out.includes("942100  phase 2  +5")]).toEqual([4, true]);
  });
});

describe("install", () => {
  const RULES = `SecComponentSignature "TEST_CRS/1.0"
SecRule ARGS "@pmFromFile words.data" "id:1,phase:2,deny,msg:'Word'"
`;
  const release = (rules: string): Entry[] => [
    { name: "crs-1.0/", type: "5" },
    { name: "crs-1.0/rules/REQUEST-1.conf", content: rules },
    { name: "crs-1.0/rules/words.data", content: "evil\n" },
    { name: "crs-1.0/crs-setup.conf.example", content: "" },
    { name: "crs-1.0/tests/big.yaml", content: "not wanted" },
    { name: "crs-1.0/util/run.sh", content: "not wanted" },
  ];
  const archive = (name: string, entries: readonly Entry[]): string => {
    const path = join(folder, name);
    writeFileSync(path, gzipSync(tarOf(entries)));
    return path;
  };
  const sum = (path: string): string => createHash("sha256").update(readFileSync(path)).digest("hex");
  const left = (): string[] => readdirSync(folder).filter((name) => name.startsWith(".crs-"));

  test("from a file, with a sum beside it; what the operator has set stays", async () => {
    const path = archive("crs.tar.gz", release(RULES));
    writeFileSync(`${path}.sha256`, `${sum(path)}  crs.tar.gz\n`);
    const first = await run("install", path);
    expect(first.code).toBe(0);
    const crs = join(folder, "crs");
    expect(first.out).toContain("TEST_CRS/1.0: ");
    expect(first.out).toContain(`waf: { crs: ${JSON.stringify(crs)}, mode: detect }`);
    expect(statSync(crs).mode & 0o777).toBe(0o755);
    expect(readdirSync(crs).sort()).toEqual(["crs-setup.conf.example", "rules"]);
    writeFileSync(join(crs, "crs-setup.conf"), "# mine\n");
    expect((await run("install", path)).code).toBe(0);
    expect(readFileSync(join(crs, "crs-setup.conf"), "utf8")).toBe("# mine\n");
    const { code, out } = await run("test", "/?a=evil", "--crs", "crs");
    expect([code, out.includes("Word")]).toEqual([4, true]);
    expect(left()).toEqual([]);
  });

  test("changes nothing where something is wrong", async () => {
    const good = join(folder, "crs/rules/REQUEST-1.conf");
    const before = readFileSync(good, "utf8");
    const bad = archive("bad.tar.gz", release('SecRule ARGS "@nope" "id:1"\n'));
    const evil = archive("evil.tar.gz", [...release(RULES), { name: "crs-1.0/../../evil.conf", content: "x" }]);
    const other = archive("other.tar.gz", [{ name: "readme", content: "x" }]);
    write("plain.tar.gz", "not packed");
    write("own.txt", "mine");
    const cases: readonly (readonly [string[], RegExp])[] = [
      [[bad], /REQUEST-1\.conf:1:15: there is no operator @nope/],
      [[evil], /outside of its folder/],
      [[other], /there are no rules in the archive/],
      [[join(folder, "plain.tar.gz")], /it is not an archive/],
      [[bad, "--sha256", "0".repeat(64)], /another SHA-256/],
      [[bad, "--sha256", "abc"], /64 hexadecimal digits/],
      [["http://127.0.0.1:1/crs.tar.gz"], /a download needs --sha256/],
      [[archive("fine.tar.gz", release(RULES)), "--to", folder], /is no folder of rules/],
    ];
    for (const [args, why] of cases) {
      const { err, code } = await run("install", ...args);
      expect(err).toMatch(why);
      expect([code, err.includes("nothing was changed")]).toEqual([1, true]);
    }
    expect(readFileSync(good, "utf8")).toBe(before);
    expect([existsSync(join(folder, "../evil.conf")), left()]).toEqual([false, []]);
  });

  test("from a URL, by its sum", async () => {
    const path = archive("net.tar.gz", release(RULES));
    using server = Bun.serve({ port: 0, hostname: "127.0.0.1", fetch: () => new Response(Bun.file(path)) });
    const { out, code } = await run("install", `${server.url}crs.tar.gz`, "--sha256", sum(path), "--to", "new/crs");
    expect([code, out.includes(join(folder, "new/crs"))]).toEqual([0, true]);
  });
});
