import { expect, test } from "bun:test";
import { join } from "node:path";
import { createLog, type LogFields, type LogLevel } from "./log.ts";

function lines(level: LogLevel, format: "text" | "json", use: (log: ReturnType<typeof createLog>) => void): string[] {
  const said: string[] = [];
  use(createLog(level, { format, write: (text) => said.push(text), now: () => Date.UTC(2026, 1, 3, 4, 5, 6, 78) }));
  return said;
}

test("levels", () => {
  const all: readonly LogLevel[] = ["debug", "info", "warn", "error"];
  for (const [at, level] of all.entries()) {
    const said = lines(level, "text", (log) => {
      for (const name of all) log[name](name);
      expect(all.filter((name) => log.enabled(name))).toEqual(all.slice(at));
    });
    expect(said.map((text) => text.split(" ")[1]!)).toEqual(all.slice(at));
  }
});

const CASES: readonly (readonly [message: string, fields: LogFields, text: string, json: string])[] = [
  ["ready", {}, "ready", '"message":"ready"'],
  [
    "reloaded",
    { routes: 3, ok: true, none: undefined },
    "reloaded routes=3 ok=true",
    '"message":"reloaded","routes":3,"ok":true',
  ],
  ["bad", { detail: "a b=c" }, 'bad detail="a b=c"', '"message":"bad","detail":"a b=c"'],
  [
    "a\nb",
    { x: "\u001b[2J\u009b\u2028" },
    'a\\u000ab x="\\u001b[2J\\u009b\\u2028"',
    '"message":"a\\nb","x":"\\u001b[2J\\u009b\\u2028"',
  ],
];
for (const [message, fields, text, json] of CASES) {
  test(`form of ${JSON.stringify(message)}`, () => {
    expect(lines("info", "text", (log) => log.info(message, fields))).toEqual([
      `2026-02-03T04:05:06.078Z info  ${text}\n`,
    ]);
    expect(lines("info", "json", (log) => log.info(message, fields))).toEqual([
      `{"time":"2026-02-03T04:05:06.078Z","level":"info",${json}}\n`,
    ]);
  });
}

test("fields that every line carries", () => {
  expect(lines("info", "text", (log) => log.with({ worker: 1 }).with({ port: 2 }).warn("x", { port: 3 }))[0]).toEndWith(
    "x worker=1 port=3\n",
  );
});

test("a new level holds for what was made from the log before", () => {
  const said: string[] = [];
  const log = createLog("warn", { write: (line) => said.push(line) });
  const worker = log.with({ worker: 1 });
  worker.info("too early");
  log.setLevel("info");
  worker.info("now");
  expect(worker.enabled("debug")).toBe(false);
  expect(said.map((line) => line.slice(25))).toEqual(["info  now worker=1\n"]);
});

test("no line is longer than what a pipe takes in one piece", () => {
  const many = Object.fromEntries(Array.from({ length: 500 }, (_, i) => [`field${i}`, "é".repeat(99)]));
  for (const format of ["text", "json"] as const) {
    const said = lines("info", format, (log) => {
      log.info("é".repeat(10_000));
      log.info("x", many);
      log.info("x", { a: "y".repeat(5000), b: 1 });
    });
    for (const text of said) expect(Buffer.byteLength(text)).toBeLessThanOrEqual(4096);
    expect(said[2]).toMatch(/b"?[=:]1/);
    if (format === "json") for (const text of said) JSON.parse(text);
  }
});

test("lines of several threads are not torn", async () => {
  const script = `
    import { isMainThread, Worker } from "node:worker_threads";
    import { createLog } from ${JSON.stringify(join(import.meta.dir, "log.ts"))};
    const log = createLog("info", { format: "json" });
    const done = isMainThread ? [1, 2].map(() => new Promise((end) => new Worker(process.argv[1]).on("exit", end))) : [];
    for (let i = 0; i < 100; i += 1) log.info("x".repeat(3000), { i });
    await Promise.all(done);`;
  const path = join((await import("node:os")).tmpdir(), `sluice-log-${process.pid}.ts`);
  await Bun.write(path, script);
  const child = Bun.spawn([process.execPath, path], { stderr: "pipe" });
  const said = (await new Response(child.stderr).text()).split("\n");
  await Bun.file(path).delete();
  expect(said.pop()).toBe("");
  expect(said.length).toBe(300);
  for (const text of said) expect(JSON.parse(text).message.length).toBe(3000);
});
