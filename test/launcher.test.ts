// bin/sluice in every place where npm puts it, with a stand-in for the program that tells how it was started.
import { afterAll, beforeAll, expect, test } from "bun:test";
import { copyFileSync, mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";

const LAUNCHER = join(import.meta.dir, "../bin/sluice");
const BUN = realpathSync(process.execPath);
/** No bun in there, unless the machine has one for everybody. */
const SYSTEM_PATH = "/usr/bin:/bin";
const MAIN = `console.log(JSON.stringify({ args: process.argv.slice(2), cwd: process.cwd(), dotenv: process.env.FROM_DOTENV ?? null }));`;

let base: string;
let work: string;

beforeAll(() => {
  base = realpathSync(mkdtempSync(join(tmpdir(), "launcher-")));
  work = join(base, "work dir");
  place("work dir/.env", "FROM_DOTENV=1\n");
  place("work dir/bunfig.toml", 'preload = ["./preload.ts"]\n');
  place("work dir/preload.ts", 'console.log("preloaded");\n');
});
afterAll(() => rmSync(base, { recursive: true }));

function place(path: string, text: string): void {
  mkdirSync(dirname(join(base, path)), { recursive: true });
  writeFileSync(join(base, path), text, { mode: 0o755 });
}
function link(path: string, target: string): void {
  mkdirSync(dirname(join(base, path)), { recursive: true });
  symlinkSync(target, join(base, path));
}
/** The package at `path`; answers where its launcher is. */
function install(path: string): string {
  place(`${path}/src/main.ts`, MAIN);
  mkdirSync(join(base, path, "bin"));
  copyFileSync(LAUNCHER, join(base, path, "bin/sluice"));
  return `${path}/bin/sluice`;
}

const PLACEHOLDER = "#!/bin/sh\necho not installed >&2\nexit 1\n";
const LAYOUTS: readonly (readonly [name: string, make: () => string])[] = [
  [
    "a checkout after npm ci",
    () => {
      link("checkout/node_modules/bun/bin/bun.exe", BUN);
      return install("checkout");
    },
  ],
  [
    "an installed package, started through node_modules/.bin",
    () => {
      link("app/node_modules/bun/bin/bun.exe", BUN);
      install("app/node_modules/sluice");
      link("app/node_modules/.bin/sluice", "../sluice/bin/sluice");
      return "app/node_modules/.bin/sluice";
    },
  ],
  [
    "links upon links, with a space on the way",
    () => {
      link("my app/node_modules/bun/bin/bun.exe", BUN);
      link("my app/start", join(base, install("my app/node_modules/sluice")));
      link("my app/again", "start");
      return "my app/again";
    },
  ],
  [
    "install scripts that did not run",
    () => {
      place("unscripted/node_modules/bun/bin/bun.exe", PLACEHOLDER);
      place("unscripted/node_modules/@oven/bun-linux-other/bin/bun", PLACEHOLDER);
      link("unscripted/node_modules/@oven/bun-this/bin/bun", BUN);
      return install("unscripted");
    },
  ],
];

function start(launcher: string, path: string) {
  const child = Bun.spawnSync([join(base, launcher), "run", "-c", "a b.yaml", "--config=x"], {
    cwd: work,
    env: { PATH: path },
  });
  return { code: child.exitCode, out: child.stdout.toString().trim(), err: child.stderr.toString().trim() };
}

const started = () => ({ args: ["run", "-c", "a b.yaml", "--config=x"], cwd: work, dotenv: null });

for (const [name, make] of LAYOUTS)
  test(name, () => {
    const { code, out, err } = start(make(), SYSTEM_PATH);
    expect(err).toBe("");
    expect(JSON.parse(out)).toEqual(started());
    expect(code).toBe(0);
  });

test("bun from PATH when npm brought none", () => {
  link("programs/bun", BUN);
  const { out } = start(install("bare"), `${join(base, "programs")}:${SYSTEM_PATH}`);
  expect(JSON.parse(out)).toEqual(started());
});

test("without any Bun: a plain error, and the exit code of what could not start", () => {
  // A PATH with nothing but what the launcher itself needs.
  for (const name of ["sh", "dirname", "readlink", "find"])
    link(`tools/${name}`, realpathSync(Bun.which(name) ?? name));
  const { code, err } = start(install("nothing"), join(base, "tools"));
  expect(err).toBe(
    `sluice: its runtime, Bun, is not installed. Run 'npm ci' in ${join(base, "nothing")}, or put bun in PATH.`,
  );
  expect(code).toBe(3);
});
