// Datagrams forwarded as they are, by a proxy of two workers.
import { expect, test } from "bun:test";
import { refusingPort } from "./support/ports.ts";
import { runConfig, type SluiceProcess } from "./support/sluice.ts";
import { Streams } from "./support/streams.ts";
import { type UdpClient, type UdpEcho, udpClient, udpEcho } from "./support/udp.ts";
import { until } from "./support/wait.ts";

const LISTENER = "udp 127.0.0.1:0";

/** UDP servers a, b, c, … and the log of a proxy in front of them. */
class Datagrams implements AsyncDisposable {
  readonly servers: UdpEcho[] = [];
  readonly clients: UdpClient[] = [];
  readonly streams = new Streams();

  static async start(count: number): Promise<Datagrams> {
    const datagrams = new Datagrams();
    for (let i = 0; i < count; i += 1) datagrams.servers.push(await udpEcho(String.fromCharCode(97 + i)));
    return datagrams;
  }
  address(at: number): string {
    return `127.0.0.1:${this.servers[at]!.port}`;
  }
  config(udp: object = {}, servers = this.servers.map((_, at) => this.address(at)), listener: object = {}) {
    const listeners = [{ address: "127.0.0.1:0", udp: { to: "app", ...udp }, ...listener }];
    return { ...this.streams.config(), listeners, upstreams: { app: { servers } } };
  }
  run(udp: object = {}, servers?: string[], listener: object = {}): Promise<SluiceProcess> {
    return runConfig(this.streams.folder, this.config(udp, servers, listener));
  }
  /** Clients of the proxy's listener, each with a port of its own. */
  async connect(proxy: SluiceProcess, count: number): Promise<UdpClient[]> {
    const clients = await Promise.all(Array.from({ length: count }, () => udpClient(proxy.port())));
    this.clients.push(...clients);
    return clients;
  }
  async [Symbol.asyncDispose](): Promise<void> {
    for (const each of [...this.clients, ...this.servers]) await each[Symbol.asyncDispose]();
    await this.streams[Symbol.asyncDispose]();
  }
}

const metric = async (proxy: SluiceProcess, name: string, labels: string): Promise<number> =>
  (await proxy.metrics()).get(`${name}{listener="${LISTENER}"${labels}}`) ?? 0;

test("fifty clients, each with one server for as long as its session lasts", async () => {
  await using datagrams = await Datagrams.start(2);
  await using proxy = await datagrams.run({ idle: "1200ms" });
  const clients = await datagrams.connect(proxy, 50);
  const names = (await Promise.all(clients.map((client, i) => client.ask(`${i}`)))).map((text) => text[0]!);
  for (let round = 0; round < 3; round += 1)
    expect(await Promise.all(clients.map((client, i) => client.ask(`${round}/${i}`)))).toEqual(
      names.map((name, i) => `${name}:${round}/${i}`),
    );
  for (const server of datagrams.servers) expect(Math.abs(server.peers.size - 25)).toBeLessThanOrEqual(1);
  expect(await metric(proxy, "sluice_udp_sessions", "")).toBe(50);
  const lines = await datagrams.streams.logged(50);
  expect(await metric(proxy, "sluice_udp_sessions", "")).toBe(0);
  const bytesIn = clients.map((_, i) => 4 * `${i}`.length + 6).reduce((a, b) => a + b);
  expect(lines.map((line) => line.bytesIn).reduce((a, b) => a + b)).toBe(bytesIn);
  const { durationMs, ...first } = lines[0]!;
  expect(first).toMatchObject({ protocol: "udp", ip: "127.0.0.1", listener: LISTENER, upstream: "app" });
  expect(Object.keys(first)).not.toContain("fault");
  expect(durationMs).toBeGreaterThan(1150);
  expect(await metric(proxy, "sluice_stream_sessions_total", ',upstream="app",result="ok"')).toBe(50);
  expect(await metric(proxy, "sluice_stream_bytes_total", ',direction="in"')).toBe(bytesIn);
  expect(await metric(proxy, "sluice_stream_bytes_total", ',direction="out"')).toBe(bytesIn + 50 * 4 * 2);
});

test("a session less than there are clients", async () => {
  await using datagrams = await Datagrams.start(1);
  await using proxy = await datagrams.run({ sessions: 3, idle: "60s" });
  const clients = await datagrams.connect(proxy, 20);
  for (const client of clients) client.send("x");
  const dropped = () => metric(proxy, "sluice_udp_datagrams_dropped_total", ',reason="sessions"');
  await until(async () => (await dropped()) + datagrams.servers[0]!.peers.size === 20, "all to be served or dropped");
  // Each worker has three, if it has got three clients.
  expect(datagrams.servers[0]!.peers.size).toBeLessThanOrEqual(6);
  expect(datagrams.servers[0]!.peers.size).toBeGreaterThanOrEqual(3);
  const [served] = clients.filter((client) => client.got.length > 0);
  expect(await served!.ask("again")).toBe("a:again");
});

test("sessions of one address", async () => {
  await using datagrams = await Datagrams.start(1);
  await using proxy = await datagrams.run({}, undefined, { limits: { connectionsPerAddress: 1 } });
  const clients = await datagrams.connect(proxy, 8);
  for (const client of clients) client.send("x");
  const dropped = () => metric(proxy, "sluice_udp_datagrams_dropped_total", ',reason="sessions"');
  await until(async () => (await dropped()) + datagrams.servers[0]!.peers.size === 8, "all to be served or dropped");
  expect(datagrams.servers[0]!.peers.size).toBeLessThanOrEqual(2);
});

test("a server that is dead, or dies: the client's next datagrams go to another", async () => {
  await using datagrams = await Datagrams.start(2);
  const dead = `127.0.0.1:${await refusingPort()}`;
  await using proxy = await datagrams.run({}, [dead, datagrams.address(0), datagrams.address(1)]);
  const clients = await datagrams.connect(proxy, 12);
  const served = async (client: UdpClient): Promise<boolean> => (await client.answer("x", 200)) !== null;
  for (const client of clients) await until(() => served(client), "an answer");
  const refused = datagrams.streams.lines.filter(({ server }) => server === dead);
  for (const { fault } of refused) expect(fault).toBe("upstream.connect_refused");
  expect(refused.length).toBeLessThanOrEqual(6);

  await datagrams.servers[0]!.stop();
  for (const client of clients) {
    await until(() => served(client), "another answer");
    expect(client.got.at(-1)).toBe("b:x");
  }
});

test("a reload keeps the sessions; a listener that goes takes no new ones", async () => {
  await using datagrams = await Datagrams.start(2);
  const only = (at: number): string[] => [datagrams.address(at)];
  await using proxy = await datagrams.run({ idle: "60s" }, only(0));
  const [one, two, three] = (await datagrams.connect(proxy, 3)) as [UdpClient, UdpClient, UdpClient];
  expect(await one.ask("1")).toBe("a:1");
  await datagrams.streams.reload(proxy, datagrams.config({ idle: "60s" }, only(1)));
  expect(await one.ask("2")).toBe("a:2");
  expect(await two.ask("3")).toBe("b:3");
  const gone = { ...datagrams.streams.config(), upstreams: {}, listeners: [{ address: "127.0.0.1:0" }] };
  await datagrams.streams.reload(proxy, { ...gone, routes: [{ respond: {} }], shutdown: { drain: "60s" } });
  expect(await one.ask("4")).toBe("a:4");
  three.send("5");
  await until(
    async () => (await metric(proxy, "sluice_udp_datagrams_dropped_total", ',reason="draining"')) === 1,
    "the drop",
  );
  expect(three.got).toEqual([]);
});
