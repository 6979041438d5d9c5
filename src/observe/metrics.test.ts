import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Worker } from "node:worker_threads";
import { METRICS } from "./metric-table.ts";
import { Metrics, methodId } from "./metrics.ts";
import { type MetricsMessage, MetricsPage, PAGE_SLOTS } from "./metrics-page.ts";
import { MetricsStore } from "./metrics-store.ts";
import { processMetrics, startThreadMetrics } from "./thread-metrics.ts";

/** Samples by `name{label="value",…}` as in the text format; fails on a line that is not of that format. */
function parse(text: string): Map<string, number> {
  const samples = new Map<string, number>();
  const types = new Map<string, string>();
  for (const line of text.split("\n")) {
    if (line === "") continue;
    const comment = /^# (HELP|TYPE) (\w+) (.+)$/.exec(line);
    if (comment !== null) {
      if (comment[1] === "TYPE") types.set(comment[2]!, comment[3]!);
      continue;
    }
    const sample = /^(\w+)(\{(?:\w+="(?:[^"\\\n]|\\["\\n])*",?)*\})? (\S+)$/.exec(line);
    expect(sample, line).not.toBeNull();
    const base = sample![1]!.replace(/_(bucket|sum|count)$/, "");
    expect(types.has(base) || types.has(sample![1]!), line).toBe(true);
    const key = `${sample![1]}${sample![2] ?? ""}`;
    expect(samples.has(key), `twice: ${key}`).toBe(false);
    samples.set(key, Number(sample![3]));
  }
  return samples;
}

function setUp(workers: number) {
  const store = new MetricsStore();
  const threads = Array.from({ length: workers }, () => {
    const source = store.source();
    return { source, metrics: new Metrics((message) => source.receive(structuredClone(message))) };
  });
  return { store, threads, read: async () => parse(await store.render()) };
}

test("two workers are summed", async () => {
  const { threads, read } = setUp(2);
  const [a, b] = threads.map(({ metrics }) => metrics);
  a!.requests(["api", "web"]).record(1, methodId("GET"), 200, 3);
  a!.requests(["api", "web"]).record(1, methodId("GET"), 200, 700);
  b!.requests(["web"]).record(0, methodId("GET"), 200, 90_000); // the same name at another place of the table
  b!.requests(["web"]).record(-1, methodId("BREW"), 0, 1);
  for (const status of [0, 0, 14, 16, 17, 99, -1]) a!.requests([]).countGrpc("calls", status);
  a!.requests([]).countGrpc("", 12);
  for (const worker of [a!, b!, b!])
    worker.requests([]).countCoded({ coding: "br", result: "encoded", bytesIn: 1000, bytesOut: 100 });
  a!.connections(":8080").add(3);
  b!.connections(":8080").add(2);
  b!.connections(":8080").add(-1);
  const server = b!.upstream("app").server("127.0.0.1:3001");
  for (const status of [200, 200, 0, 700]) server.count(status);
  const samples = await read();
  expect(samples.get('sluice_requests_total{route="web",method="GET",code="200"}')).toBe(3);
  expect(samples.get('sluice_requests_total{route="-",method="other",code="other"}')).toBe(1);
  expect(samples.get('sluice_connections{listener=":8080"}')).toBe(4);
  const coded = 'coding="br",result="encoded"';
  expect(samples.get(`sluice_compressed_answers_total{${coded}}`)).toBe(3);
  expect(samples.get(`sluice_compression_bytes_total{${coded},direction="in"}`)).toBe(3000);
  expect(samples.get(`sluice_compression_bytes_total{${coded},direction="out"}`)).toBe(300);
  const calls = (route: string, status: string) =>
    samples.get(`sluice_grpc_requests_total{route="${route}",status="${status}"}`);
  expect(["0", "14", "16", "other", "none"].map((status) => calls("calls", status))).toEqual([2, 1, 1, 2, 1]);
  expect(calls("-", "12")).toBe(1);
  for (const [code, count] of [
    ["200", 2],
    ["error", 1],
    ["other", 1],
  ] as const) {
    expect(samples.get(`sluice_upstream_requests_total{upstream="app",server="127.0.0.1:3001",code="${code}"}`)).toBe(
      count,
    );
  }
  const bucket = (le: string) => samples.get(`sluice_request_duration_seconds_bucket{route="web",le="${le}"}`);
  expect([
    bucket("0.001"),
    bucket("0.0025"),
    bucket("0.005"),
    bucket("0.5"),
    bucket("1"),
    bucket("60"),
    bucket("+Inf"),
  ]).toEqual([0, 0, 1, 1, 2, 2, 3]);
  expect(samples.get('sluice_request_duration_seconds_count{route="web"}')).toBe(3);
  expect(samples.get('sluice_request_duration_seconds_sum{route="web"}')).toBeCloseTo(90.703, 9);
  expect([...samples.keys()].some((key) => key.includes('route="api"'))).toBe(false); // unused routes cost nothing
});

test("a request that began under another plan counts for its own route", async () => {
  const { threads, read } = setUp(1);
  const requests = threads[0]!.metrics.requests(["new", "moved"]);
  requests.recordRoute(0, "moved", methodId("GET"), 200, 1);
  requests.recordRoute(1, "moved", methodId("GET"), 200, 1);
  requests.recordRoute(7, "gone", methodId("GET"), 204, 1);
  const samples = await read();
  expect(samples.get('sluice_requests_total{route="moved",method="GET",code="200"}')).toBe(2);
  expect(samples.get('sluice_requests_total{route="gone",method="GET",code="204"}')).toBe(1);
  expect(samples.get('sluice_request_duration_seconds_count{route="moved"}')).toBe(2);
  expect([...samples.keys()].some((key) => key.includes('route="new"'))).toBe(false);
});

test("a dead worker's counters stay, its gauges end, and late news of it still count", async () => {
  const { store, threads, read } = setUp(2);
  const late: MetricsMessage[] = [];
  const dying = store.source();
  let delivered = true;
  const metrics = new Metrics((message) => (delivered ? dying.receive(message) : late.push(message)));
  metrics.requests(["r"]).record(0, methodId("GET"), 200, 2000);
  metrics.connections("l").add(5);
  threads[0]!.metrics.connections("l").add(1);
  delivered = false;
  metrics.requests(["r"]).record(0, methodId("POST"), 500, 1);
  dying.close();
  dying.close();
  for (const message of late) dying.receive(message);
  const expected = async () => {
    const samples = await read();
    expect(samples.get('sluice_requests_total{route="r",method="GET",code="200"}')).toBe(1);
    expect(samples.get('sluice_requests_total{route="r",method="POST",code="500"}')).toBe(1);
    expect(samples.get('sluice_request_duration_seconds_count{route="r"}')).toBe(2);
    expect(samples.get('sluice_connections{listener="l"}')).toBe(1);
  };
  await expected();
  threads[1]!.metrics.requests(["r"]).count(0, methodId("GET"), 200);
  expect((await read()).get('sluice_requests_total{route="r",method="GET",code="200"}')).toBe(2);
});

test("label values are escaped, and look-alikes stay apart", async () => {
  const { threads, read } = setUp(1);
  const metrics = threads[0]!.metrics;
  metrics.connections('a"b\\c\nd').add(1);
  metrics.upstream("a,server:b").server("c").count(200);
  metrics.upstream("a").server("b,server:c").count(200);
  const samples = await read();
  expect(samples.get('sluice_connections{listener="a\\"b\\\\c\\nd"}')).toBe(1);
  expect(samples.get('sluice_upstream_requests_total{upstream="a,server:b",server="c",code="200"}')).toBe(1);
  expect(samples.get('sluice_upstream_requests_total{upstream="a",server="b,server:c",code="200"}')).toBe(1);
});

test("methods that nobody standardised make one series", () => {
  const names = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT"];
  expect(new Set(names.map(methodId)).size).toBe(9);
  expect(new Set(["get", "BREW", "", "__proto__", "other"].map(methodId)).size).toBe(1);
});

test("more pages are taken as series come, and no histogram lies across two", async () => {
  const store = new MetricsStore();
  const source = store.source();
  const messages: MetricsMessage[] = [];
  const page = new MetricsPage((message) => {
    messages.push(message);
    source.receive(message);
  });
  for (let i = 0; i < 300; i += 1) page.histogram("sluice_request_duration_seconds", [`r${i}`]).observe(i);
  expect(messages.filter(({ kind }) => kind === "metrics-page").length).toBe(3);
  for (const message of messages) {
    if (message.kind === "metrics-series" && message.name === "sluice_request_duration_seconds") {
      expect((message.slot % PAGE_SLOTS) + 17).toBeLessThanOrEqual(PAGE_SLOTS);
    }
  }
  const samples = parse(await store.render());
  for (let i = 0; i < 300; i += 1) expect(samples.get(`sluice_request_duration_seconds_sum{route="r${i}"}`)).toBe(i);
});

test("series beyond the limit are refused and counted, and counting them harms nobody", async () => {
  const store = new MetricsStore();
  const source = store.source();
  const page = new MetricsPage((message) => source.receive(message), 40);
  page.cell("sluice_connections", ["first"]).add(7);
  for (let i = 0; i < 100; i += 1) page.histogram("sluice_request_duration_seconds", [`r${i}`]).observe(1);
  page.cell("sluice_connections", ["second"]).add(1);
  for (let i = 0; i < 5; i += 1) page.cell("sluice_tunnels", [`t${i}`]).add(1000);
  const samples = parse(await store.render());
  expect(samples.get('sluice_connections{listener="first"}')).toBe(7);
  expect(samples.get("sluice_metric_series_refused_total")).toBe(99 + 2);
  expect(samples.get('sluice_request_duration_seconds_sum{route="r0"}')).toBe(1);
});

test("series that are read at each rendering end when they are not read any more", async () => {
  const { store, threads, read } = setUp(1);
  let servers = ["a", "b"];
  store.onRender(() =>
    servers.map((server, at) => ({ name: "sluice_upstream_in_flight", labels: ["app", server], value: at + 1 })),
  );
  store.onRender(() => [{ name: "sluice_connections", labels: ["l"], value: 2 }]);
  threads[0]!.metrics.connections("l").add(3);
  const samples = await read();
  expect(samples.get('sluice_upstream_in_flight{upstream="app",server="a"}')).toBe(1);
  expect(samples.get('sluice_upstream_in_flight{upstream="app",server="b"}')).toBe(2);
  expect(samples.get('sluice_connections{listener="l"}')).toBe(5); // beside what is counted
  servers = ["b"];
  const later = await read();
  expect(later.has('sluice_upstream_in_flight{upstream="app",server="a"}')).toBe(false);
  expect(later.get('sluice_upstream_in_flight{upstream="app",server="b"}')).toBe(1);
});

test("what the process and a thread use", async () => {
  const { store, threads, read } = setUp(2);
  store.onCollect(processMetrics(threads[0]!.metrics.page));
  const running = startThreadMetrics(threads[1]!.metrics, "1");
  const samples = await read();
  running.stop();
  expect(samples.get("process_cpu_seconds_total")).toBeGreaterThan(0);
  expect(samples.get("process_resident_memory_bytes")).toBeGreaterThan(1e6);
  expect(Math.abs(samples.get("process_start_time_seconds")! - Date.now() / 1000)).toBeLessThan(3600);
  expect(samples.get('sluice_worker_cpu_seconds_total{worker="1"}')).toBeGreaterThan(0);
  expect(samples.get('sluice_worker_memory_bytes{worker="1"}')).toBeGreaterThan(1e5);
  expect(samples.get('sluice_worker_event_loop_lag_seconds{worker="1"}')).toBe(0);
});

let folder = "";
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "sluice-metrics-"));
});
afterAll(() => rmSync(folder, { recursive: true }));

test("a real thread's numbers are seen while it runs and after it was ended", async () => {
  const file = join(folder, "worker.ts");
  await Bun.write(
    file,
    `import { parentPort } from "node:worker_threads";
     import { Metrics, methodId } from ${JSON.stringify(join(import.meta.dir, "metrics.ts"))};
     const metrics = new Metrics((message) => parentPort.postMessage(message));
     const requests = metrics.requests(["r"]);
     parentPort.on("message", (n) => {
       for (let i = 0; i < n; i += 1) requests.record(0, methodId("GET"), 204, 1);
       parentPort.postMessage("counted");
     });`,
  );
  const store = new MetricsStore();
  const source = store.source();
  const worker = new Worker(file);
  const counted = async (n: number) => {
    const done = new Promise<void>((resolve) => {
      worker.on("message", function take(message: MetricsMessage | "counted") {
        if (message !== "counted") return source.receive(message);
        worker.off("message", take);
        resolve();
      });
    });
    worker.postMessage(n);
    await done;
    return parse(await store.render()).get('sluice_requests_total{route="r",method="GET",code="204"}');
  };
  expect(await counted(1000)).toBe(1000);
  expect(await counted(500)).toBe(1500);
  await worker.terminate();
  source.close();
  expect(parse(await store.render()).get('sluice_requests_total{route="r",method="GET",code="204"}')).toBe(1500);
});

test("docs/observability.md names every metric with its labels", async () => {
  const page = await Bun.file(join(import.meta.dir, "../../docs/observability.md")).text();
  for (const [name, { type, labels }] of Object.entries(METRICS)) {
    const row = `| \`${name}${labels.length === 0 ? "" : `{${labels.join(",")}}`}\` | ${type} |`;
    expect(page).toContain(row);
  }
});

test("series of a server that is gone end, and their places are used again", async () => {
  const store = new MetricsStore();
  const source = store.source();
  const metrics = new Metrics((message) => source.receive(message));
  const upstream = metrics.upstream("app");
  for (let i = 0; i < 30_000; i += 1) {
    const server = upstream.server(`10.0.${i >> 8}.${i & 255}:80`);
    server.count(200);
    server.count(0);
    server.end();
  }
  upstream.server("last:80").count(200);
  const text = await store.render();
  expect(text).toContain('sluice_upstream_requests_total{upstream="app",server="last:80",code="200"} 1');
  expect(text).not.toContain("10.0.");
  expect(text).toContain("sluice_metric_series_refused_total 0");
});
