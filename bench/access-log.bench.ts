// What one line of the access log costs on the thread that serves requests: `bun bench/access-log.bench.ts`.
// A browser's request makes a JSON line of about 480 bytes, most of it copied: about one nanosecond for each byte.
// Over the budget something builds strings, or a native call for a few bytes has crept in.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type AccessEntry, LINE_BYTES_MAX, LineWriter } from "../src/observe/access-line.ts";
import { createAccessLog } from "../src/observe/access-log.ts";

const BUDGET_NS = 1500;
const ROUNDS = 7;
const LINES_PER_ROUND = 200_000;

const HEAD = Buffer.from(
  "https://www.example.com/products?page=2Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36",
);
const REFERER_END = 39;

/** As in the proxy, text comes out of the bytes of the head when the log asks for it. */
class Entry implements AccessEntry {
  method = "GET";
  target = "/products/4711?utm_source=newsletter&page=2";
  version = 11;
  status = 200;
  ip = "203.0.113.77";
  scheme = "https";
  host = "www.example.com";
  bytesIn = 0;
  bytesOut = 10_240;
  durationMs = 3.217;
  upstreamMs = 2.904;
  requestId = "019a2c3e-7b1d-7c55-8f0e-2b8d6a4c9e10";
  route = "products";
  upstream = "app";
  server = "127.0.0.1:3001";
  listener = ":8443";
  fault = "";
  grpcStatus = -1;
  operation = "";
  cache = "";
  user = "";
  consumer = "";
  tokens = null;
  get userAgent(): string {
    return HEAD.latin1Slice(REFERER_END);
  }
  get referer(): string {
    return HEAD.latin1Slice(0, REFERER_END);
  }
}

function measure(name: string, bytes: number, one: () => void): number {
  const times: number[] = [];
  for (let round = 0; round <= ROUNDS; round += 1) {
    const start = process.cpuUsage();
    for (let i = 0; i < LINES_PER_ROUND; i += 1) one();
    const used = process.cpuUsage(start);
    if (round > 0) times.push(((used.user + used.system) * 1000) / LINES_PER_ROUND); // the first one warms up
  }
  const median = times.sort((a, b) => a - b)[ROUNDS >> 1]!;
  console.log(`${name.padEnd(36)} ${median.toFixed(0).padStart(6)} ns CPU  ${bytes} bytes`);
  return median;
}

const entry = new Entry();
const buffer = Buffer.alloc(LINE_BYTES_MAX);
let slowest = 0;
for (const format of ["json", "combined", "common"] as const) {
  const writer = new LineWriter(format);
  const bytes = writer.write(buffer, 0, entry, Date.now());
  slowest = Math.max(
    slowest,
    measure(`line, ${format}`, bytes, () => void writer.write(buffer, 0, entry, Date.now())),
  );
}

// The whole way, disk included: the writes of other threads count into the CPU of the process.
const folder = mkdtempSync(join(tmpdir(), "sluice-bench-"));
const log = createAccessLog({ path: join(folder, "access.log"), format: "json", sample: "100%" });
for (let round = 0; round < ROUNDS; round += 1) {
  const start = process.cpuUsage();
  const dropped = log.dropped;
  for (let i = 0; i < LINES_PER_ROUND; i += 1) {
    log.record(entry);
    if (i % 400 === 0) await log.flush();
  }
  const used = process.cpuUsage(start);
  const ns = ((used.user + used.system) * 1000) / LINES_PER_ROUND;
  console.log(
    `record to a file, json, round ${round}       ${ns.toFixed(0).padStart(6)} ns CPU  ${log.dropped - dropped} dropped`,
  );
}
await log.close();
rmSync(folder, { recursive: true });

if (slowest > BUDGET_NS) {
  console.error(`over the budget of ${BUDGET_NS} ns`);
  process.exit(1);
}
