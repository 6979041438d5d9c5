// The command line as scripts and people meet it: what it prints, and how it ends.
import { describe, expect, test } from "bun:test";
import { existsSync, lstatSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import packageJson from "../package.json" with { type: "json" };
import { listeningSockets } from "./support/listening.ts";
import { answer, request } from "./support/message.ts";
import { exchange } from "./support/peer.ts";
import { refusingPort } from "./support/ports.ts";
import { RawBackend } from "./support/raw-backend.ts";
import { type Ended, Folder, runConfig, SluiceProcess, sluice } from "./support/sluice.ts";

const FINE = "listeners: [{ address: '127.0.0.1:0' }]\nadmin: false\nroutes: [{ respond: {} }]\n";
const ROUTES = `listeners: [{ address: "127.0.0.1:8080" }, { address: "127.0.0.1:8081" }]
upstreams: { app: { servers: ["127.0.0.1:3001", "127.0.0.1:3002"] } }
routes:
  - { name: admin, match: { path: /admin/*, clientIp: 10.0.0.0/8 }, respond: {} }
  - { name: beta, match: { header: { x-beta: "1" } }, to: "http://127.0.0.1:4000" }
  - { name: api, match: { host: api.example.com, method: POST, path: "/v1/*" }, rewrite: { stripPrefix: /v1 }, to: app }
`;
const FILES = {
  "fine.yaml": FINE,
  "broken.yaml": "listeners: [{ address: ':0' }]\nroutes:\n  - too: x\n",
  "plan.yaml": "listeners: [{ address: ':0' }]\nroutes:\n  - { rewrite: { path: /a, regex: [b, c] }, to: http://a }\n",
  "routes.yaml": ROUTES,
  "workers.yaml": `${FINE}workers: many\n`,
};

function folderWithFiles(): Folder {
  const folder = new Folder();
  for (const [name, text] of Object.entries(FILES)) folder.write(name, text);
  return folder;
}

describe("exit codes and words", () => {
  interface Case {
    readonly args: readonly string[];
    readonly code: number;
    readonly out?: RegExp;
    readonly err?: RegExp;
  }
  const CASES: readonly Case[] = [
    { args: ["version"], code: 0, out: /^sluice \d+\.\d+\.\d+ \(bun \d/ },
    { args: ["--version"], code: 0, out: /^\d+\.\d+\.\d+\n$/ },
    { args: ["--help"], code: 0, out: /explain \[options\].*\n(?:.*\n)*.*drain/ },
    { args: ["run", "--help"], code: 0, out: /--watch/ },
    { args: [], code: 2, err: /Usage: sluice/ },
    { args: ["rum"], code: 2, err: /unknown command 'rum'\n.*run/ },
    { args: ["run", "--wotch"], code: 2, err: /unknown option '--wotch'/ },
    { args: ["run", "fine.yaml"], code: 2, err: /too many arguments/ },
    { args: ["run", "-c"], code: 2, err: /argument missing/ },
    {
      args: ["run", "-c", "fine.yaml", "--workers", "0"],
      code: 2,
      err: /--workers takes a whole number from 1 to 256, not "0"/,
    },
    { args: ["run", "-c", "fine.yaml", "--workers", "1.5"], code: 2, err: /not "1.5"/ },
    { args: ["run", "-c", "fine.yaml", "--workers", "0x2"], code: 2, err: /not "0x2"/ },
    { args: ["run"], code: 1, err: /there is no configuration: .*\n {2}hint: .*sluice init.*\nnothing was started\n$/ },
    {
      args: ["run", "-c", "none.yaml"],
      code: 1,
      err: /none\.yaml: error: .*cannot be read.*\n.*\nnothing was started\n$/,
    },
    {
      args: ["run", "-c", "broken.yaml"],
      code: 1,
      err: /^broken\.yaml:3:5: error: unknown key "too".*\n {2}hint: .*"to"/,
    },
    { args: ["run", "-c", "plan.yaml"], code: 1, err: /plan\.yaml:3:16: error: .*whole path/ },
    { args: ["run", "-c", "workers.yaml"], code: 1, err: /workers\.yaml:4:10: error: / },
    { args: ["check", "-c", "fine.yaml"], code: 0, out: /^fine\.yaml: fine \(1 listener, 1 route\)\n$/ },
    { args: ["check", "-c", "plan.yaml"], code: 1, err: /plan\.yaml:3:16: error: / },
    { args: ["check"], code: 1, err: /sluice init/ },
    { args: ["explain"], code: 2, err: /missing required argument/ },
    { args: ["explain", "-c", "routes.yaml", "ftp://x"], code: 2, err: /not a URL: ftp:\/\/x/ },
    { args: ["explain", "-c", "routes.yaml", "/", "--ip", "x"], code: 2, err: /not an IP address: x/ },
    {
      args: ["explain", "-c", "routes.yaml", "/", "-H", "x"],
      code: 2,
      err: /"x" is not a field: write it like "name: value"/,
    },
    { args: ["explain", "-c", "plan.yaml", "/"], code: 1, err: /plan\.yaml:3:16: error: / },
    { args: ["explain", "/"], code: 1, err: /sluice init/ },
    { args: ["proxy", "--to", "http://127.0.0.1:1"], code: 2, err: /required option '--from <address>'/ },
    { args: ["proxy", "--from", ":0"], code: 2, err: /required option '--to <url>'/ },
    { args: ["proxy", "--from", "x:y", "--to", "a"], code: 2, err: /--from: "x:y" is not an address/ },
    {
      args: ["proxy", "--from", ":0", "--to", "a b", "--to", "http://a:x"],
      code: 2,
      err: /--to: "a b" .*\n.*\n--to: "http:\/\/a:x"/,
    },
    { args: ["proxy", "--from", ":0", "--to", "a", "--workers", "x"], code: 2, err: /--workers x: / },
    { args: ["proxy", "--from", ":0", "--to", "a", "--workers", "999"], code: 2, err: /--workers: / },
    { args: ["proxy", "--from", ":0", "--to", "a", "--admin", "x"], code: 2, err: /--admin: "x" is not an address/ },
    { args: ["status", "--admin", "x"], code: 2, err: /"x" is not an address/ },
    {
      args: ["reload", "--admin", "127.0.0.1:1"],
      code: 3,
      err: /cannot reach the admin API on 127\.0\.0\.1:1: nothing listens there/,
    },
    { args: ["drain", "--admin", "127.0.0.1:1", "--json"], code: 3, err: /^\{"error":"cannot reach/ },
    { args: ["schema"], code: 0, out: /"\$schema"/ },
  ];
  for (const { args, code, out, err } of CASES)
    test(`sluice ${args.join(" ")} → ${code}`, async () => {
      using folder = folderWithFiles();
      const ended = await sluice(args, { cwd: folder.path });
      expect(ended.err).toMatch(err ?? /^$/);
      expect(ended.err).not.toMatch(/\n +at /); // no stack traces
      expect(ended.out).toMatch(out ?? /^$/);
      expect(ended.code).toBe(code);
    });
});

test("--json where a machine may read", async () => {
  using folder = folderWithFiles();
  const asJson = async (...args: string[]): Promise<unknown> => {
    const { out, err } = await sluice(args, { cwd: folder.path });
    expect(err).toBe("");
    return JSON.parse(out);
  };
  expect(await asJson("version", "--json")).toMatchObject({ sluice: packageJson.version, bun: Bun.version });
  expect(await asJson("check", "-c", "fine.yaml", "--json")).toMatchObject({ valid: true, diagnostics: [] });
  expect(await asJson("check", "-c", "plan.yaml", "--json")).toMatchObject({
    valid: false,
    diagnostics: [{ line: 3, column: 16 }],
  });
  expect(await asJson("explain", "-c", "routes.yaml", "/", "--json")).toMatchObject({
    refused: "no route matches: 404",
    match: null,
  });
  await using proxy = await runConfig(folder, {
    listeners: [{ address: "127.0.0.1:0" }],
    routes: [{ respond: {} }],
    workers: 1,
  });
  const admin = proxy.adminUrl.slice("http://".length);
  expect(await asJson("status", "--admin", admin, "--json")).toMatchObject({ state: "ready", pid: proxy.pid });
  expect(await asJson("reload", "--admin", admin, "--json")).toEqual({ ok: true, diagnostics: [] });
});

test("options that may be given again have no default to show", async () => {
  for (const command of ["explain", "proxy"])
    expect((await sluice([command, "--help"])).out).not.toContain("default: []");
});

test("status and reload talk to the running proxy", async () => {
  using folder = new Folder();
  await using proxy = await runConfig(folder, {
    listeners: [{ address: "127.0.0.1:0" }],
    routes: [{ respond: {} }],
    workers: 2,
  });
  const ask = (command: string): Promise<Ended> => sluice([command, "--admin", proxy.adminUrl.slice("http://".length)]);
  expect((await ask("status")).out).toMatch(
    /is ready .*\n.*sluice\.json.*\n.*\nconnections: 0\nworker 0: ready, 0 connections\nworker 1: ready/,
  );
  expect(await ask("reload")).toEqual({ out: "reloaded\n", err: "", code: 0 });
  folder.write("sluice.json", "{\n nothing");
  expect(await ask("reload")).toMatchObject({
    code: 1,
    err: expect.stringMatching(/sluice\.json:2:\d+: error: .*\n(?:.*\n)*.*goes on with the old one\n$/),
  });
});

test("a reader that has seen enough of the schema is no error", () => {
  const ended = Bun.spawnSync(["sh", "-c", `"${join(import.meta.dir, "../bin/sluice")}" schema | head -n 1`]);
  expect([ended.stdout.toString(), ended.stderr.toString()]).toEqual(["{\n", ""]);
});

describe("explain", () => {
  const explain = async (...args: string[]): Promise<string> => {
    using folder = folderWithFiles();
    const { out, err, code } = await sluice(["explain", "-c", "routes.yaml", ...args], { cwd: folder.path });
    expect([err, code]).toEqual(["", 0]);
    return out;
  };
  test("says why routes do not match, and what serves the request", async () => {
    const out = await explain("POST", "http://api.example.com:8081/v1/users?x=1", "--ip", "192.0.2.1");
    expect(out).toMatch(/^POST http:\/\/api\.example\.com\/v1\/users\?x=1 from 192\.0\.2\.1\n/);
    expect(out).toContain("listener   127.0.0.1:8081\n");
    expect(out).toMatch(/route {6}admin: no: .*\nroute {6}beta: no: .*x-beta.*\nroute {6}api: matches: /);
    expect(out).toContain("filters    rewrite\n");
    expect(out).toContain("upstream   app: 127.0.0.1:3001, 127.0.0.1:3002\n");
  });
  test("stops at the first that matches", async () => {
    const out = await explain("/anything", "-H", "X-Beta: 1");
    expect(out).toContain("upstream   http://127.0.0.1:4000: http://127.0.0.1:4000");
    expect(out).not.toContain("api:");
  });
  test("a route by address, answered by Sluice", async () => {
    expect(await explain("/admin/x", "--ip", "10.1.2.3")).toMatch(
      /route {6}admin: matches: .*\n(?:.*\n)*action {5}answered by Sluice/,
    );
  });
  test("no route, and a path that no route may see", async () => {
    expect(await explain("/")).toContain("refused    no route matches: 404");
    expect(await explain("/a%00b")).toContain("refused    the path is ambiguous or malformed: 400");
  });
});

describe("run", () => {
  test("one line for each listener, then `sluice ready`; every one of them serves", async () => {
    using folder = new Folder();
    const socket = join(folder.path, "s.sock");
    const listeners = [
      { address: "127.0.0.1:0" },
      { address: "[::1]:0" },
      { address: `unix:${socket}` },
      { address: ":0" },
    ];
    await using proxy = await runConfig(folder, { listeners, routes: [{ respond: { body: "ok" } }], workers: 2 });
    expect(proxy.out).toMatch(
      /^listening on http:\/\/127\.0\.0\.1:\d+\nlistening on http:\/\/\[::1\]:\d+\nlistening on unix:\/.*s\.sock\nlistening on http:\/\/0\.0\.0\.0:\d+\nadmin API on 127\.0\.0\.1:\d+\nsluice ready\n$/,
    );
    expect((await exchange(socket, request("/"))).body).toBe("ok");
    expect((await exchange(proxy.port(0), request("/"))).body).toBe("ok");
    expect((await exchange(proxy.port(3), request("/"))).body).toBe("ok");
    expect(await (await fetch(proxy.addresses[1]!)).text()).toBe("ok");
    expect(proxy.err).toBe("");
  });

  test("workers share the port that the system chose", async () => {
    using folder = new Folder();
    await using proxy = await runConfig(
      folder,
      { listeners: [{ address: "127.0.0.1:0" }], routes: [{ respond: {} }], workers: 1 },
      ["--workers", "3"],
    );
    expect(listeningSockets(proxy.port())).toHaveLength(3);
  });

  test("many listeners, each on a port of its own", async () => {
    using folder = new Folder();
    const listeners = Array.from({ length: 60 }, () => ({ address: "127.0.0.1:0" }));
    await using proxy = await runConfig(folder, { listeners, routes: [{ respond: { body: "ok" } }], workers: 2 });
    const ports = proxy.addresses.map((_, at) => proxy.port(at));
    expect(new Set(ports).size).toBe(60);
    const answers = await Promise.all(ports.map((port) => exchange(port, request("/"))));
    expect(new Set(answers.map(({ body }) => body))).toEqual(new Set(["ok"]));
    expect((await proxy.reload()).status).toBe(200);
    expect(listeningSockets(ports[59]!)).toHaveLength(2);
  });

  test("warnings are shown, and it runs", async () => {
    using folder = new Folder();
    const upstreams = { spare: { servers: ["127.0.0.1:1"] } };
    await using proxy = await runConfig(folder, {
      listeners: [{ address: "127.0.0.1:0" }],
      upstreams,
      routes: [{ respond: {} }],
    });
    expect(proxy.err).toMatch(/sluice\.json:1:\d+: warning: no route uses the upstream "spare"/);
  });

  test("what init writes passes check and runs", async () => {
    for (const flag of ["--yaml", "--ts"]) {
      using folder = new Folder();
      await using backend = await RawBackend.answering(() => answer(200, "from the server"));
      expect(await sluice(["init", flag], { cwd: folder.path })).toMatchObject({ code: 0, err: "" });
      expect(await sluice(["check"], { cwd: folder.path })).toMatchObject({ code: 0, err: "" });
      expect((await sluice(["init", flag], { cwd: folder.path })).code).toBe(1);
      const file = join(folder.path, flag === "--ts" ? "sluice.config.ts" : "sluice.yaml");
      const text = readFileSync(file, "utf8");
      // The same on free ports.
      writeFileSync(
        file,
        text.replace('":8080"', '"127.0.0.1:0"').replace(":9901", ":0").replace("http://127.0.0.1:3001", backend.url),
      );
      await using proxy = await SluiceProcess.start(["run"], { cwd: folder.path });
      expect((await exchange(proxy.port(), request("/healthz"))).body).toBe("ok");
      expect((await exchange(proxy.port(), request("/"))).body).toBe("from the server");
    }
  });
});

describe("addresses that cannot be had: 3, and nothing runs", () => {
  const run = async (config: Readonly<Record<string, unknown>>): Promise<Ended> => {
    using folder = new Folder();
    const file = folder.write("sluice.json", { admin: false, routes: [{ respond: {} }], workers: 2, ...config });
    return await sluice(["run", "-c", file]);
  };

  test("a port that another program has", async () => {
    await using taken = await RawBackend.answering(() => answer(200));
    const address = `127.0.0.1:${taken.port}`;
    const ended = await run({ listeners: [{ address: "127.0.0.1:0" }, { address }] });
    expect(ended).toEqual({
      code: 3,
      out: "",
      err: `sluice: cannot listen on ${address}: another program, or another Sluice, listens there\n`,
    });
  });

  test("a port that another Sluice has, which would share it", async () => {
    using folder = new Folder();
    await using first = await runConfig(folder, {
      listeners: [{ address: "127.0.0.1:0" }],
      routes: [{ respond: { body: "first" } }],
    });
    for (const host of ["127.0.0.1", "0.0.0.0", ""])
      expect(await run({ listeners: [{ address: `${host}:${first.port()}` }] })).toMatchObject({ code: 3, out: "" });
    expect((await exchange(first.port(), request("/"))).body).toBe("first");
  });

  test("an admin address that another program has", async () => {
    await using taken = await RawBackend.answering(() => answer(200));
    const ended = await run({ listeners: [{ address: "127.0.0.1:0" }], admin: { address: `127.0.0.1:${taken.port}` } });
    expect(ended).toMatchObject({
      code: 3,
      out: "",
      err: expect.stringMatching(/admin API: .*choose another admin\.address/),
    });
  });

  const OTHERS: readonly (readonly [address: string, why: RegExp])[] = [
    ["192.0.2.1:8080", /cannot listen on 192\.0\.2\.1:8080: this machine does not have that address/],
    [
      "unix:/nonexistent/s.sock",
      /cannot listen on unix:\/nonexistent\/s\.sock: the directory of the socket does not exist/,
    ],
  ];
  for (const [address, why] of OTHERS)
    test(address, async () => {
      expect(await run({ listeners: [{ address }] })).toMatchObject({
        code: 3,
        out: "",
        err: expect.stringMatching(why),
      });
    });
});

describe("unix sockets", () => {
  const config = (socket: string) => ({
    listeners: [{ address: `unix:${socket}` }],
    workers: 2,
    routes: [{ respond: { body: "ok" } }],
  });

  test("one that a killed process left behind is taken over; a graceful stop removes it", async () => {
    using folder = new Folder();
    const socket = join(folder.path, "s.sock");
    {
      await using killed = await runConfig(folder, config(socket));
      expect((await exchange(socket, request("/"))).body).toBe("ok");
      killed.signal("SIGKILL");
      await killed.exited;
    }
    expect(lstatSync(socket).isSocket()).toBe(true);
    await using proxy = await runConfig(folder, config(socket));
    expect((await exchange(socket, request("/"))).body).toBe("ok");
    expect((await proxy.reload()).status).toBe(200);
    expect((await exchange(socket, request("/"))).body).toBe("ok");
    proxy.signal("SIGTERM");
    expect(await proxy.exited).toBe(0);
    expect(existsSync(socket)).toBe(false);
  });

  test("one that is in use stays with its owner", async () => {
    using folder = new Folder();
    const socket = join(folder.path, "s.sock");
    await using first = await runConfig(folder, config(socket));
    const second = await sluice(["run", "-c", folder.write("second.json", { ...config(socket), admin: false })]);
    expect(second).toMatchObject({ code: 3, err: expect.stringContaining("another Sluice, listens there") });
    expect((await exchange(socket, request("/"))).body).toBe("ok");
    expect(first.code).toBeNull();
  });

  test("a file that is no socket stays as it is", async () => {
    using folder = new Folder();
    const file = folder.write("precious", "data");
    const ended = await sluice(["run", "-c", folder.write("sluice.json", { ...config(file), admin: false })]);
    expect(ended).toMatchObject({ code: 3, out: "" });
    expect(readFileSync(file, "utf8")).toBe("data");
  });
});

describe("without a file", () => {
  test("proxy forwards, and its servers take turns", async () => {
    const serve = (name: string) => RawBackend.answering(() => answer(200, name));
    await using a = await serve("a");
    await using b = await serve("b");
    const to = [a, b].flatMap(({ port }) => ["--to", `127.0.0.1:${port}`]);
    await using proxy = await SluiceProcess.start([
      "proxy",
      "--from",
      "127.0.0.1:0",
      ...to,
      "--admin",
      "off",
      "--workers",
      "1",
    ]);
    expect(proxy.out).not.toContain("admin");
    const bodies: string[] = [];
    for (let i = 0; i < 6; i += 1) bodies.push((await exchange(proxy.port(), request("/"))).body);
    expect(bodies.filter((body) => body === "a")).toHaveLength(3);
    expect(bodies.filter((body) => body === "b")).toHaveLength(3);
    proxy.signal("SIGINT");
    expect(await proxy.exited).toBe(0);
  });

  test("proxy on a taken port ends with 3", async () => {
    await using taken = await RawBackend.answering(() => answer(200));
    const { code, err } = await sluice([
      "proxy",
      "--from",
      `127.0.0.1:${taken.port}`,
      "--to",
      "127.0.0.1:1",
      "--admin",
      "off",
    ]);
    expect([code, err]).toEqual([3, expect.stringContaining("another program")]);
  });

  test("demo finds free ports, says what to try, and serves it", async () => {
    await using demo = await SluiceProcess.start(["demo"]);
    expect(demo.out).toMatch(/Try\n(?: {2}.*\n)+/);
    const page = await fetch(`${demo.addresses[0]}/`);
    expect([page.status, page.headers.get("content-type")]).toEqual([200, expect.stringContaining("text/html")]);
    expect(await (await fetch(`${demo.addresses[0]}/hello`)).text()).toContain("this is Sluice");
    demo.signal("SIGTERM");
    expect(await demo.exited).toBe(0);
  });

  test("SIGHUP and a reload leave a proxy without a file as it is", async () => {
    await using backend = await RawBackend.answering(() => answer(200, "ok"));
    const admin = `127.0.0.1:${await refusingPort()}`;
    await using proxy = await SluiceProcess.start([
      "proxy",
      "--from",
      "127.0.0.1:0",
      "--to",
      backend.url,
      "--admin",
      admin,
    ]);
    proxy.signal("SIGHUP");
    await proxy.said("configuration reloaded");
    expect((await exchange(proxy.port(), request("/"))).body).toBe("ok");
    expect((await sluice(["status", "--admin", admin])).out).toContain(
      "configuration: given on the command line, loaded",
    );
  });
});
