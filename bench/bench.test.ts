import { describe, expect, test } from "bun:test";
import { join } from "node:path";
import { SMALL_BODY } from "./backend.ts";
import { parseH2load, parseLog } from "./h2load.ts";
import { speaks } from "./peer.ts";
import { PEERS } from "./peers.ts";
import { cpuSeconds, parseStat, privateBytes, processTree, residentBytes } from "./proc.ts";
import { renderMarkdown, replaceBlock } from "./report.ts";
import { type LoadSample, median, summarise } from "./results.ts";
import { type LoadScenario, requestHead, SCENARIOS, streamFields } from "./scenario.ts";
import { memoryProblem } from "./soak.ts";
import { luaScript, parseLoad } from "./wrk.ts";

const loads = SCENARIOS.filter((scenario): scenario is LoadScenario => scenario.kind === "load");
const small = loads.find((scenario) => scenario.name === "small")!;

describe("scenarios", () => {
  test("the small request is what the architecture's figures were measured with", () => {
    expect(small.fields.length).toBe(13);
    expect(requestHead(small).length).toBe(640);
    expect(SMALL_BODY.length).toBe(small.answerBytes);
  });

  test("the field-heavy request has 32 different fields", () => {
    const fields = loads.find((scenario) => scenario.name === "headers")!.fields;
    expect(new Set(fields.map(([name]) => name.toLowerCase())).size).toBe(32);
  });

  test("only the scenarios of new connections close", () => {
    const closing = loads.filter((scenario) => requestHead(scenario).includes("Connection: close"));
    expect(closing.map((scenario) => scenario.name)).toEqual(["connect", "handshake"]);
  });

  test("streams have the small request's fields without those of a connection", () => {
    const names = streamFields(loads.find((scenario) => scenario.name === "h2")!).map(([name]) => name);
    expect(names.length).toBe(11);
    expect(names).not.toContain("connection");
    expect(names.join()).toBe(names.join().toLowerCase());
  });

  const TAKING_PART: readonly (readonly [scenario: string, peers: string])[] = [
    ["small", "sluice nginx haproxy caddy fastify-http-proxy http-proxy"],
    ["gzip", "sluice nginx haproxy"],
    ["file-100k", "sluice nginx caddy"],
    ["cache-1k", "sluice nginx haproxy varnish"],
    ["cache-gzip", "sluice nginx haproxy varnish"],
    ["tls", "sluice nginx haproxy caddy"],
    ["h2", "sluice nginx haproxy caddy"],
    ["grpc", "sluice nginx haproxy"],
    ["h3", "sluice caddy"],
    ["tcp", "sluice nginx haproxy"],
    ["waf-get", "sluice nginx"],
  ];
  for (const [name, peers] of TAKING_PART)
    test(`who takes part in ${name}`, () => {
      const scenario = loads.find((one) => one.name === name)!;
      const taking = PEERS.filter((peer) => speaks(peer, scenario));
      expect(taking.map((peer) => peer.name).join(" ")).toBe(peers);
    });
});

describe("processes", () => {
  test("a command name may hold spaces and parentheses", () => {
    const rest = ["S", 7, 42, 42, 0, -1, 0, 1, 1, 0, 0, 100, 20, 3, 4, 20, 0, 1, 0, 9876, 1, 1];
    expect(parseStat(`42 (a) b (c)) ${rest.join(" ")}`)).toEqual({
      pid: 42,
      parent: 7,
      cpuTicks: 127,
      startTicks: 9876,
    });
  });

  test("a child counts for its parent", async () => {
    // The shell stays (two commands), so the tree is shell and sleep.
    const child = Bun.spawn(["sh", "-c", "echo up; sleep 60; true"], { stdout: "pipe" });
    await child.stdout.getReader().read();
    while (processTree(child.pid).length < 2) await Bun.sleep(1); // The shell forks right after its line.
    const tree = processTree(child.pid);
    expect(tree.map((stat) => stat.parent)).toEqual([process.pid, child.pid]);
    expect(residentBytes(child.pid)).toBeGreaterThan(residentBytes(tree[1]!.pid));
    expect(privateBytes(child.pid)).toBeGreaterThan(0);
    for (const stat of tree) process.kill(stat.pid, "SIGKILL");
    await child.exited;
  });

  test("own CPU time grows with work", () => {
    const before = cpuSeconds(process.pid);
    const until = performance.now() + 60_000;
    while (cpuSeconds(process.pid) - before < 0.02 && performance.now() < until);
    expect(cpuSeconds(process.pid) - before).toBeGreaterThanOrEqual(0.0199);
  });
});

describe("load generator", () => {
  test("its last line is the result", () => {
    const load = { requests: 10, seconds: 1.5, bytes: 340, errors: 1, p50Ms: 0.5, p99Ms: 2 };
    expect(parseLoad(`Running …\nsluice-bench ${JSON.stringify(load)}\n`)).toEqual(load);
    expect(() => parseLoad("unable to connect")).toThrow("unable to connect");
  });

  const H2LOAD = `Application protocol: h2

finished in 2.00s, 5.50 req/s, 9.51MB/s
requests: 11 total, 17 started, 11 done, 9 succeeded, 2 failed, 1 errored, 3 timeout
status codes: 9 2xx, 0 3xx, 0 4xx, 2 5xx
traffic: 19.02MB (19941480) total, 7.10MB (7442684) headers (space savings 49.52%), 4.96MB (306) data
`;

  test("h2load's words, and its log of every answer", () => {
    const durations = parseLog("1795457251638531\t200\t3000\n1795457251638532\t200\t1000\n1\t200\t20000\n");
    expect([...durations]).toEqual([1000, 3000, 20_000]);
    const load = { requests: 9, seconds: 2, bytes: 306, errors: 5, p50Ms: 3, p99Ms: 20 };
    expect(parseH2load(H2LOAD, 2, durations)).toEqual(load);
    expect(parseH2load(H2LOAD.replace("h2", "h2c"), 2, durations)).toEqual(load);
    expect(parseH2load(H2LOAD, 2, parseLog(""))).toMatchObject({ p50Ms: 0, p99Ms: 0 });
  });

  test("h2load that was answered in another protocol, or said nothing, is an error", () => {
    expect(() => parseH2load(H2LOAD.replace(": h2", ": http/1.1"), 2, parseLog(""))).toThrow("not answered in HTTP/2");
    expect(() => parseH2load("unable to connect", 2, parseLog(""))).toThrow("unable to connect");
  });

  test("quotes in field values survive", () => {
    expect(luaScript(small)).toContain(String.raw`wrk.headers["sec-ch-ua"] = "\"Chromium\";v=`);
  });
});

const sample = (cpuMicros: number, errors = 0): LoadSample => ({
  kind: "load",
  cpuMicros,
  requestsPerSecond: 1000,
  p50Ms: 1,
  p99Ms: 2,
  residentBytes: 2 ** 20,
  busy: 0.9,
  errors,
});

describe("results", () => {
  const collect = (rows: Record<string, { rounds: LoadSample[]; problem: string | null }>) =>
    summarise(small, new Map(Object.entries(rows)));

  test("median", () => {
    expect([[5, 1, 100], [4, 1, 2, 100], [7]].map(median)).toEqual([5, 3, 7]);
  });

  test("ratios are those of the medians", () => {
    const result = collect({
      sluice: { rounds: [sample(10), sample(12), sample(90)], problem: null },
      nginx: { rounds: [sample(24), sample(24), sample(24)], problem: null },
    });
    expect(result.rows.map((row) => [row.toNginx, row.toHaproxy])).toEqual([
      [0.5, null],
      [1, null],
    ]);
  });

  const INVALID: readonly (readonly [name: string, rounds: LoadSample[], problem: string | null, reason: string])[] = [
    ["one failed request", [sample(10), sample(10, 1)], null, "1 failed requests"],
    ["a peer that did not start", [], "bin/x is missing", "bin/x is missing"],
    ["a peer that died later", [sample(10)], "no answer", "no answer"],
  ];
  for (const [name, rounds, problem, reason] of INVALID) {
    test(`${name} makes the row invalid`, () => {
      const result = collect({ sluice: { rounds, problem }, nginx: { rounds: [sample(20)], problem: null } });
      expect(result.rows[0]).toMatchObject({ problem: reason, median: null, toNginx: null });
      const run = { kernel: "k", cpu: "c", rounds: 2, seconds: 1 };
      const environment = { ...run, generators: { wrk: "4.1", h2load: "1.5" }, versions: { nginx: "1.2" } };
      const text = renderMarkdown({ environment, results: [result], resilience: [] });
      expect(text).toContain("Versions: nginx 1.2; load by\nwrk 4.1, h2load 1.5. c, Linux k.");
      expect(text).toContain(`| sluice | invalid: ${reason} |`);
      expect(text).toContain("| nginx | 20.0 µs | 1.00 |");
    });
  }

  test("what balancing makes of trouble has tables of its own", () => {
    const columns = [
      { figure: "p99", title: "p99", unit: "ms" },
      { figure: "share", title: "share", unit: "%" },
      { figure: "served", title: "served", unit: "/s" },
    ] as const;
    const figures = { p99: 123.4, share: 2.55, served: 1800.4 };
    const rows = [
      { name: "p2c", median: figures, rounds: [figures], problem: null },
      { name: "other", median: { ...figures, p99: 9.96 }, rounds: [], problem: "too slow" },
    ];
    const resilience = [{ scenario: "s", title: "one is slow", columns, rows }];
    const environment = { kernel: "k", cpu: "c", rounds: 1, seconds: 1, generators: {}, versions: {} };
    expect(renderMarkdown({ environment, results: [], resilience })).toBe(
      `**One is slow**

|  | p99 | share | served |
| --- | ---: | ---: | ---: |
| p2c | 123 ms | 2.5 % | 1,800/s |
| other (too slow) | 10.0 ms | 2.5 % | 1,800/s |
`,
    );
  });

  test("the README keeps what is around the block", () => {
    const readme = "a\n<!-- bench:begin -->\nold\n<!-- bench:end -->\nz\n";
    expect(replaceBlock(readme, "new\n")).toBe("a\n<!-- bench:begin -->\nnew\n<!-- bench:end -->\nz\n");
    expect(replaceBlock(replaceBlock(readme, "b"), "new")).toBe(replaceBlock(readme, "new"));
    expect(() => replaceBlock("nothing", "new")).toThrow("no <!-- bench:begin -->");
  });
});

describe("soak", () => {
  const series = (...megabytes: number[]) =>
    megabytes.map((size, index) => ({ requests: index * 100, residentBytes: size * 2 ** 20 }));
  const CASES: readonly (readonly [name: string, megabytes: number[], problem: string | null])[] = [
    ["flat", [30, 60, 60, 60, 60], null],
    ["growth in the first half only", [10, 20, 80, 81, 82], null],
    ["growth in the second half", [10, 60, 60, 62, 66], "grew 10.0 % in the second half"],
    ["too much at the end", [10, 101, 101, 101, 101], "above 100 MB"],
    ["nothing", [], "no sample"],
  ];
  for (const [name, megabytes, problem] of CASES) {
    test(name, () => {
      const found = memoryProblem(series(...megabytes));
      if (problem === null) expect(found).toBeNull();
      else expect(found).toContain(problem);
    });
  }
});

test("every peer has a name of its own and a version", async () => {
  expect(new Set(PEERS.map((peer) => peer.name)).size).toBe(7);
  const manifest = (await Bun.file(join(import.meta.dir, "../package.json")).json()) as { version: string };
  expect(PEERS[0]!.version()).toBe(`${manifest.version} on Bun ${Bun.version}`);
});
