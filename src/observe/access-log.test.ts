import { afterAll, expect, test } from "bun:test";
import { closeSync, constants, mkdtempSync, openSync, readFileSync, renameSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { type AccessEntry, LINE_BYTES_MAX, type LineFormat, LineWriter } from "./access-line.ts";
import { createAccessLog, NO_ACCESS_LOG } from "./access-log.ts";
import { createLog } from "./log.ts";

const folder = mkdtempSync(join(tmpdir(), "sluice-access-"));
afterAll(() => rmSync(folder, { recursive: true }));

const NOW = Date.UTC(2026, 1, 3, 4, 5, 6, 78);
const ENTRY: AccessEntry = {
  user: "",
  tokens: null,
  consumer: "",
  method: "GET",
  target: "/a?b=1",
  version: 11,
  status: 200,
  ip: "192.0.2.1",
  scheme: "http",
  host: "example.com",
  bytesIn: 0,
  bytesOut: 34,
  durationMs: 1.2345,
  upstreamMs: 0.5,
  requestId: "id-1",
  userAgent: "curl/8",
  referer: "",
  route: "api",
  upstream: "app",
  server: "127.0.0.1:3001",
  listener: ":8080",
  fault: "",
  grpcStatus: -1,
  operation: "",
  cache: "",
};

function line(format: LineFormat, changes: Partial<AccessEntry> = {}, now = NOW): string {
  const out = Buffer.alloc(2 * LINE_BYTES_MAX, 0xaa);
  const end = new LineWriter(format).write(out, 7, { ...ENTRY, ...changes }, now);
  expect(end - 7).toBeLessThanOrEqual(LINE_BYTES_MAX);
  expect(out[end]).toBe(0xaa);
  return out.toString("utf8", 7, end);
}

test("the three formats", () => {
  expect(line("json")).toBe(
    '{"time":"2026-02-03T04:05:06.078Z","requestId":"id-1","ip":"192.0.2.1","method":"GET","scheme":"http","host":"example.com","target":"/a?b=1",' +
      '"version":"1.1","status":200,"bytesIn":0,"bytesOut":34,"durationMs":1.235,"listener":":8080","route":"api","upstream":"app",' +
      '"server":"127.0.0.1:3001","upstreamMs":0.500,"userAgent":"curl/8"}\n',
  );
  expect(line("combined")).toBe(
    '192.0.2.1 - - [03/Feb/2026:04:05:06 +0000] "GET /a?b=1 HTTP/1.1" 200 34 "-" "curl/8"\n',
  );
  expect(line("common", { version: 20, bytesOut: 12_345_678_901 })).toBe(
    '192.0.2.1 - - [03/Feb/2026:04:05:06 +0000] "GET /a?b=1 HTTP/2.0" 200 12345678901\n',
  );
});

test("what the cache did is shown", () => expect(JSON.parse(line("json", { cache: "hit" })).cache).toBe("hit"));

test("what a language model took is shown, and no line is longer for it", () => {
  const tokens = { provider: "openai", model: "gpt", input: 20, cached: 5, output: 7, estimated: true };
  const { provider, model, inputTokens, cachedTokens, outputTokens, tokensEstimated } = JSON.parse(
    line("json", { tokens }),
  );
  expect([provider, model, inputTokens, cachedTokens, outputTokens, tokensEstimated]).toEqual([
    "openai",
    "gpt",
    20,
    5,
    7,
    true,
  ]);
  expect(line("json", { tokens: { ...tokens, cached: 0, estimated: false } })).toEndWith(
    '"inputTokens":20,"outputTokens":7}\n',
  );
  const long = "\x01".repeat(5000);
  const most = Number.MAX_SAFE_INTEGER;
  const names = {
    route: long,
    upstream: long,
    server: long,
    listener: long,
    consumer: long,
    user: long,
    operation: long,
  };
  const texts = { method: long, target: long, host: long, requestId: long, userAgent: long, referer: long, ip: long };
  const counts = { bytesIn: most, bytesOut: most, durationMs: most, upstreamMs: most, grpcStatus: 99_999 };
  const largest = { provider: long, model: long, input: most, cached: most, output: most, estimated: true };
  line("json", { ...names, ...texts, ...counts, scheme: "https", fault: "upstream.response_timeout", tokens: largest });
});

test("a gRPC call shows its status", () => {
  for (const grpcStatus of [0, 14]) expect(JSON.parse(line("json", { grpcStatus })).grpcStatus).toBe(grpcStatus);
  expect(JSON.parse(line("json"))).not.toHaveProperty("grpcStatus");
});

test("the clock goes on within and between seconds", () => {
  const writer = new LineWriter("json");
  const out = Buffer.alloc(LINE_BYTES_MAX);
  const times = [0, 1, 999, 1000, 61_123].map(
    (ms) => JSON.parse(out.toString("utf8", 0, writer.write(out, 0, ENTRY, NOW - 78 + ms))).time,
  );
  expect(times).toEqual([
    "2026-02-03T04:05:06.000Z",
    "2026-02-03T04:05:06.001Z",
    "2026-02-03T04:05:06.999Z",
    "2026-02-03T04:05:07.000Z",
    "2026-02-03T04:06:07.123Z",
  ]);
});

// Text off the wire has one character for each byte.
const wire = (text: string) => Buffer.from(text).latin1Slice();
const ESCAPES: readonly (readonly [name: string, sent: string, json: string, clf: string])[] = [
  ["quote and backslash", 'a"b\\c', 'a\\"b\\\\c', 'a\\"b\\\\c'],
  ["line ends", "a\r\nb", "a\\u000d\\u000ab", "a\\x0d\\x0ab"],
  ["escape and delete", "\x1b[2J\x7f", "\\u001b[2J\\u007f", "\\x1b[2J\\x7f"],
  ["valid UTF-8", wire("é€😀"), "é€😀", "\\xc3\\xa9\\xe2\\x82\\xac\\xf0\\x9f\\x98\\x80"],
  ["C1 control in UTF-8", wire("\u009b1m"), "\\u009b1m", "\\xc2\\x9b1m"],
  ["lone continuation", "\x80", "\\\\x80", "\\x80"],
  ["overlong slash", "\xc0\xaf", "\\\\xc0\\\\xaf", "\\xc0\\xaf"],
  ["surrogate in UTF-8", "\xed\xa0\x80", "\\\\xed\\\\xa0\\\\x80", "\\xed\\xa0\\x80"],
  ["above U+10FFFF", "\xf4\x90\x80\x80", "\\\\xf4\\\\x90\\\\x80\\\\x80", "\\xf4\\x90\\x80\\x80"],
  ["cut sequence", "\xe2\x82", "\\\\xe2\\\\x82", "\\xe2\\x82"],
];
for (const [name, sent, json, clf] of ESCAPES) {
  test(`escaping: ${name}`, () => {
    const text = line("json", { userAgent: sent, target: `/${sent}` });
    expect(text).toContain(`"userAgent":"${json}"}`);
    expect(text).toContain(`"target":"/${json}"`);
    JSON.parse(text);
    expect(line("combined", { userAgent: sent, target: `/${sent}` })).toEndWith(
      `"GET /${clf} HTTP/1.1" 200 34 "-" "${clf}"\n`,
    );
  });
}

test("any text makes one valid, bounded line", () => {
  const text = fc.oneof(
    fc.string({ unit: "binary", maxLength: 3000 }),
    fc.uint8Array({ maxLength: 3000 }).map((bytes) => Buffer.from(bytes).latin1Slice()),
  );
  const entry = fc.record({
    method: text,
    target: text,
    ip: text,
    host: text,
    requestId: text,
    userAgent: text,
    referer: text,
    route: text,
    upstream: text,
    server: text,
    listener: text,
    fault: text,
    status: fc.nat(),
    bytesIn: fc.double(),
    bytesOut: fc.maxSafeNat(),
    durationMs: fc.double(),
    upstreamMs: fc.double({ max: 1e12 }),
    grpcStatus: fc.integer({ min: -1, max: 99 }),
  });
  fc.assert(
    fc.property(entry, (changes) => {
      const json = line("json", changes);
      expect(json.indexOf("\n")).toBe(json.length - 1);
      expect(Object.keys(JSON.parse(json)).slice(0, 1)).toEqual(["time"]);
      expect(json).not.toMatch(/[\x00-\x09\x0b-\x1f\x7f-\x9f\ufffd]/);
      expect(line("combined", changes)).toMatch(/^[\x20-\x7e…]*\n$/);
    }),
    { numRuns: 150 },
  );
});

test("long text is cut and says so; names from the configuration keep their letters", () => {
  const entry = JSON.parse(line("json", { target: `/${"a".repeat(9000)}`, route: "café", upstream: "ü".repeat(200) }));
  expect(entry.target).toBe(`/${"a".repeat(1791)}…`);
  expect(entry.route).toBe("café");
  expect(entry.upstream).toMatch(/^ü{40,50}…$/);
});

test("a file: batches, flush, rotation, close", async () => {
  const path = join(folder, "access.log");
  const log = createAccessLog({ path, format: "common", sample: "100%" });
  for (let i = 0; i < 5000; i += 1) log.record({ ...ENTRY, target: `/${i}` });
  await log.flush();
  const lines = readFileSync(path, "utf8").split("\n");
  expect(lines.pop()).toBe("");
  expect(log.dropped + lines.length).toBe(5000);
  expect(lines.length).toBeGreaterThan(2000); // two buffers of 256 KB hold more than that

  renameSync(path, `${path}.1`);
  const before = lines.length;
  log.record({ ...ENTRY, target: "/old" });
  const flushed = log.flush(); // on its way when the file is changed
  await log.reopen();
  await flushed;
  log.record({ ...ENTRY, target: "/new" });
  await log.close();
  expect(readFileSync(`${path}.1`, "utf8").split("\n").length).toBe(before + 2);
  expect(readFileSync(`${path}.1`, "utf8")).toContain("/old ");
  expect(readFileSync(path, "utf8")).toMatch(/^[^\n]*\/new [^\n]*\n$/);
});

test("a line is written by itself after a while", async () => {
  const path = join(folder, "alone.log");
  const log = createAccessLog({ path, format: "json", sample: "100%" });
  log.record(ENTRY);
  expect(readFileSync(path, "utf8")).toBe("");
  const deadline = performance.now() + 5000;
  while (readFileSync(path, "utf8") === "" && performance.now() < deadline) await Bun.sleep(10);
  expect(JSON.parse(readFileSync(path, "utf8")).status).toBe(200);
  await log.close();
});

test("a full disk loses lines, counts them and says so once", async () => {
  const said: string[] = [];
  let counted = 0;
  const log = createAccessLog(
    { path: "/dev/full", format: "json", sample: "100%" },
    { log: createLog("info", { write: (text) => said.push(text) }), onDropped: (n) => (counted += n), now: () => NOW },
  );
  for (let round = 0; round < 3; round += 1) {
    log.record(ENTRY);
    log.record(ENTRY);
    await log.flush();
  }
  expect([log.dropped, counted]).toEqual([6, 6]);
  expect(said.length).toBe(1);
  expect(said[0]).toContain("access log lines were dropped path=/dev/full lines=2 why=");
  await log.close();
  expect(said[1]).toContain("lines=4");
});

test("more lines at once than a pipe takes: some are dropped, none is torn", async () => {
  const script = `
    import { createAccessLog } from ${JSON.stringify(join(import.meta.dir, "access-log.ts"))};
    const log = createAccessLog({ path: "stdout", format: "json", sample: "100%" });
    const entry = ${JSON.stringify(ENTRY)};
    for (let i = 0; i < 20000; i += 1) log.record(entry);
    await log.close();
    process.stderr.write(String(log.dropped));
    process.exit(0);`;
  const child = Bun.spawn([process.execPath, "-e", script], { stdout: "pipe", stderr: "pipe" });
  expect(Number(await new Response(child.stderr).text())).toBeGreaterThan(0);
  const lines = (await new Response(child.stdout).text()).split("\n");
  expect(lines.pop()).toBe("");
  expect(lines.length).toBeGreaterThan(0);
  for (const text of lines) expect(JSON.parse(text).status).toBe(200);
});

test("a pipe that nobody reads: memory stays bounded and close does not hang", async () => {
  const path = join(folder, "pipe");
  expect(Bun.spawnSync(["mkfifo", path]).exitCode).toBe(0);
  const reader = openSync(path, constants.O_RDWR | constants.O_NONBLOCK);
  const log = createAccessLog({ path, format: "json", sample: "100%" });
  for (let i = 0; i < 5000; i += 1) log.record(ENTRY);
  expect(log.dropped).toBeGreaterThan(1000);
  await log.close();
  const dropped = log.dropped;
  log.record(ENTRY);
  expect(log.dropped).toBe(dropped + 1);
  closeSync(reader); // the write that still waits ends with EPIPE
});

test("sampling and switched-off logs", async () => {
  const path = join(folder, "sample.log");
  let at = 0;
  const log = createAccessLog({ path, format: "common", sample: "25%" }, { random: () => (at++ % 100) / 100 });
  for (let i = 0; i < 1000; i += 1) log.record(ENTRY);
  await log.close();
  expect(readFileSync(path, "utf8").split("\n").length - 1).toBe(250);
  expect(createAccessLog(false)).toBe(NO_ACCESS_LOG);
  expect(createAccessLog({ path, format: "off", sample: "100%" }).enabled).toBe(false);
  expect(createAccessLog({ path, format: "json", sample: "0%" }).enabled).toBe(false);
});

test("a file that cannot be opened is named", () => {
  expect(() => createAccessLog({ path: join(folder, "no", "such.log"), format: "json", sample: "100%" })).toThrow(
    /cannot open the access log .*such\.log: ENOENT/,
  );
});
