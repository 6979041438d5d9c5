// bun bench/attacks.ts [--seconds N] [--only NAME]: attacks on HTTP/2 (RFC 9113 §10.5), each for some seconds, while
// other clients ask at a steady rate. Prints what these notice of it, and what it costs the proxy. Fails when their p99
// is more than twice what it is without an attack, when a request of theirs fails, or when memory grows by over 50 MB.
import { parseArgs } from "node:util";
import { AttackedProcess, AttackerProcess, type AttackReport } from "../test/support/h2-attacker.ts";
import { ATTACKS } from "../test/support/h2-attacks.ts";
import { H2Peer } from "../test/support/h2-peer.ts";
import { get } from "../test/support/h2-wire.ts";
import { MixedLoadProcess } from "../test/support/mixed-load.ts";
import { Folder, runConfig, type SluiceProcess } from "../test/support/sluice.ts";
import { cpuSeconds, residentBytes } from "./proc.ts";
import { median } from "./results.ts";

const MEGABYTE = 1024 * 1024;
const GROWTH_BYTES_MAX = 50 * MEGABYTE;
const SLOWER_MAX = 2;
/** Below this a p99 says more about the machine than about the proxy, in milliseconds. */
const P99_FLOOR_MS = 2;
const ATTACKERS = 4;
/** Requests a second of the other clients, by HTTP/1.1; by HTTP/2 they pause so long after each answer. */
const RATE = 300;
const PAUSE_MS = 5;
/** The rate stays as it is when answers take long. */
const CONNECTIONS_MAX = 4000;
const MEMORY_EVERY_MS = 200;
/** So many runs without an attack: what is normal is the median of the last ones. */
const NORMAL_RUNS = 3;

interface Seen {
  /** Milliseconds, by HTTP/1.1 and by HTTP/2. */
  readonly p99: number;
  readonly p99H2: number;
  readonly failed: number;
  /** The most that memory has grown, in bytes. */
  readonly growth: number;
  /** Of one core, in percent. */
  readonly cpu: number;
  readonly report: AttackReport | null;
}

/** One after the other on one connection until `stop` says so; answers with the times, or what went wrong. */
async function askByH2(port: number, stop: AbortSignal): Promise<{ times: number[]; failed: number }> {
  const times: number[] = [];
  let failed = 0;
  await using peer = await H2Peer.connect(port);
  for (let stream = 1; !stop.aborted; stream += 2) {
    const from = performance.now();
    const heard = await peer.send(get(stream, "/small")).answer(stream);
    times.push(performance.now() - from);
    if (heard.status !== 200) failed += 1;
    peer.streams.delete(stream);
    peer.frames.length = 0;
    await Bun.sleep(PAUSE_MS);
  }
  return { times, failed };
}

const p99Of = (times: number[]): number => times.sort((a, b) => a - b)[Math.floor(times.length * 0.99)] ?? 0;

/** Watches memory for so long; answers with the most that it has been above `before`. */
async function watchMemory(proxy: SluiceProcess, before: number, seconds: number): Promise<number> {
  let most = 0;
  for (const until = performance.now() + seconds * 1000; performance.now() < until; ) {
    await Bun.sleep(MEMORY_EVERY_MS);
    most = Math.max(most, residentBytes(proxy.pid) - before);
  }
  return most;
}

async function run(proxy: SluiceProcess, attack: string | null, seconds: number): Promise<Seen> {
  const port = proxy.port();
  const stop = new AbortController();
  const before = residentBytes(proxy.pid);
  await using load = new MixedLoadProcess({ port, rate: RATE, connections: CONNECTIONS_MAX });
  const asking = askByH2(port, stop.signal);
  asking.catch(() => {});
  await using attacker = attack === null ? null : new AttackerProcess({ port, attack, connections: ATTACKERS });
  const cpuBefore = cpuSeconds(proxy.pid);
  const growth = await watchMemory(proxy, before, seconds);
  const cpu = ((cpuSeconds(proxy.pid) - cpuBefore) / seconds) * 100;
  stop.abort();
  const { times, failed } = await asking;
  const report = attacker === null ? null : await attacker.stop();
  const mix = await load.stop();
  for (const complaint of mix.complaints) console.error(`${attack}: ${complaint}`);
  return {
    p99: mix.latencies["200"]?.p99 ?? Number.POSITIVE_INFINITY,
    p99H2: p99Of(times),
    failed: failed + mix.sent - (mix.answers["GET 200"] ?? 0),
    growth,
    cpu,
    report,
  };
}

type Normal = Pick<Seen, "p99" | "p99H2" | "cpu">;

function problemOf(seen: Seen, normal: Normal): string {
  const most = (before: number) => SLOWER_MAX * Math.max(before, P99_FLOOR_MS);
  if (seen.failed > 0) return `${seen.failed} failed`;
  if (seen.p99 > most(normal.p99) || seen.p99H2 > most(normal.p99H2)) return "slower";
  return seen.growth > GROWTH_BYTES_MAX ? "memory" : "";
}

function line(name: string, seen: Seen, normal: Normal, problem: string): string {
  const { growth, report } = seen;
  const cpu = `${seen.cpu.toFixed(0)} (${normal.cpu.toFixed(0)})`;
  const ends = Object.entries(report?.ends ?? {}).map(([end, count]) => `${end} ${count}`);
  const sent = report === null ? "" : `${(report.bytes / MEGABYTE).toFixed(1)} MB`;
  const p99 = `${seen.p99.toFixed(1)} (${normal.p99.toFixed(1)})`;
  const p99H2 = `${seen.p99H2.toFixed(1)} (${normal.p99H2.toFixed(1)})`;
  return `| ${[name, sent, ends.join(", "), p99, p99H2, cpu, (growth / MEGABYTE).toFixed(1), problem].join(" | ")} |`;
}

/** The server of those whose times are measured: it names what it was asked for. Requests come one at a time. */
function serve(): Bun.TCPSocketListener<undefined> {
  return Bun.listen({
    hostname: "127.0.0.1",
    port: 0,
    socket: {
      data(socket, chunk) {
        const target = chunk.latin1Slice(0, 100).split(" ")[1];
        socket.write(`HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-Echo: ${target}\r\n\r\nsmall`);
      },
    },
  });
}

async function main(): Promise<number> {
  const text = { type: "string" } as const;
  const { values } = parseArgs({ options: { seconds: text, only: text } });
  const seconds = Number(values.seconds ?? 10);
  if (!(seconds > 0)) {
    console.error("Usage: bun bench/attacks.ts [--seconds N] [--only NAME]");
    return 2;
  }
  const backend = serve();
  await using attacked = await AttackedProcess.start();
  using folder = new Folder();
  await using proxy = await runConfig(folder, {
    workers: 1,
    listeners: [{ address: "127.0.0.1:0", h2c: true, timeouts: { header: "1s", body: "2s" } }],
    routes: [
      { match: { path: ["/held", "/big", "/attack", "/echo"] }, to: `http://127.0.0.1:${attacked.port}` },
      { to: `http://127.0.0.1:${backend.port}` },
    ],
  });
  await run(proxy, null, seconds); // warm
  console.log("| attack | sent | ends | p99 HTTP/1.1, ms | p99 HTTP/2, ms | CPU, % | growth, MB | problem |");
  console.log("| --- | --- | --- | --- | --- | --- | --- | --- |");
  let problems = 0;
  const normals: Seen[] = [];
  for (const { name } of ATTACKS.filter((attack) => attack.name.includes(values.only ?? ""))) {
    // Other work on the machine comes and goes, so what is normal is looked at again and again.
    do normals.push(await run(proxy, null, seconds));
    while (normals.length < NORMAL_RUNS);
    const last = normals.slice(-NORMAL_RUNS);
    const middle = (figure: keyof Normal) => median(last.map((each) => each[figure]));
    const normal = { p99: middle("p99"), p99H2: middle("p99H2"), cpu: middle("cpu") };
    const seen = await run(proxy, name, seconds);
    const problem = problemOf(seen, normal);
    if (problem !== "") problems += 1;
    console.log(line(name, seen, normal, problem));
  }
  return problems === 0 ? 0 : 1;
}

try {
  process.exitCode = await main();
} catch (error) {
  console.error(error instanceof SuppressedError ? error.suppressed : error);
  process.exitCode = 1;
}
