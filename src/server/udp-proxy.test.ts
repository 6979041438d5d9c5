import { afterEach, expect, test } from "bun:test";
import type { Fault } from "../core/faults.ts";
import { TimerWheel } from "../core/timers.ts";
import { connectUdp, listenUdp, type UdpAddress, type UdpHandler } from "../transport/udp.ts";
import { type UdpContext, UdpProxy, type UdpRecord, type UdpServer } from "./udp-proxy.ts";

const DEADLINE_MS = 5000;
const IDLE_MS = 30_000;
const HERE = { host: "127.0.0.1", port: 0 };
const closers: (() => void)[] = [];
afterEach(() => {
  for (const close of closers.splice(0)) close();
});

/** Waits until something holds that nobody tells of. */
async function until(holds: () => boolean, what: string): Promise<void> {
  const deadline = performance.now() + DEADLINE_MS;
  while (!holds()) {
    if (performance.now() > deadline) throw new Error(`not within ${DEADLINE_MS} ms: ${what}`);
    await Bun.sleep(2);
  }
}

class Client implements UdpHandler {
  readonly got: string[] = [];
  readonly #connection;
  constructor(port: number) {
    this.#connection = connectUdp({ host: "127.0.0.1", port }, this);
    closers.push(() => this.#connection.close());
  }
  onDatagram(bytes: Buffer): void {
    this.got.push(bytes.latin1Slice());
  }
  onUnreachable(): void {
    this.got.push("unreachable");
  }
  send(text: string): void {
    this.#connection.send(Buffer.from(text, "latin1"));
  }
  async ask(text: string): Promise<string> {
    const before = this.got.length;
    this.send(text);
    await until(() => this.got.length > before, `an answer to ${text.slice(0, 20)}`);
    return this.got.at(-1)!;
  }
}

/** A server that answers with its name and what it got. */
function server(name: string, answers = true) {
  const peers = new Set<number>();
  const got: string[] = [];
  const listener = listenUdp(HERE, (bytes, port, address) => {
    peers.add(port);
    got.push(bytes.latin1Slice());
    if (answers) listener.send(Buffer.concat([Buffer.from(`${name}:`), bytes]), port, address);
  });
  closers.push(() => listener.stop());
  return { address: { host: "127.0.0.1", port: listener.port }, peers, got, stop: () => listener.stop() };
}

interface Options {
  readonly sessions?: number;
  readonly sessionsPerAddress?: number;
  readonly address?: UdpAddress;
}

/** A listener that gives its clients these servers in turn, on a clock of its own. */
function proxy(addresses: readonly UdpServer["address"][], options: Options = {}) {
  let now = 0;
  let turn = 0;
  let open = 0;
  const wheel = new TimerWheel(() => now);
  const told: string[] = [];
  const records: UdpRecord[] = [];
  const drops: string[] = [];
  const clients: string[] = [];
  const context: UdpContext = {
    name: ":53",
    idleMs: IDLE_MS,
    sessions: options.sessions ?? 1000,
    sessionsPerAddress: options.sessionsPerAddress ?? 1000,
    wheel,
    target: {
      upstream: "dns",
      choose(client) {
        clients.push(client);
        const address = addresses[turn % addresses.length];
        if (address === undefined) return null;
        const name = `s${turn++ % addresses.length}`;
        return {
          name,
          address,
          answered: (ms) => told.push(`${name} answered${ms >= 0 ? "" : " early"}`),
          failed: (cause: Fault) => told.push(`${name} failed ${cause.code}`),
          closed: (answered) => told.push(`${name} closed${answered ? "" : " unanswered"}`),
        };
      },
    },
    udpSessions: (change) => {
      open += change;
    },
    udpClosed: (record) => records.push(record),
    udpDropped: (why) => drops.push(why),
  };
  const udp = new UdpProxy(context);
  udp.listen(options.address ?? HERE);
  udp.serve();
  closers.push(() => udp.destroy());
  const pass = (ms: number): void => {
    for (let left = ms; left > 0; left -= 100) {
      now += 100;
      wheel.turn();
    }
  };
  return { udp, port: udp.port, told, records, drops, clients, pass, open: () => open };
}
const at = (address: UdpAddress) => (): UdpAddress => address;

test("a hundred clients, each with a session of its own", async () => {
  const backend = server("a");
  const { port, udp, records, pass, told, open } = proxy([at(backend.address)]);
  const clients = Array.from({ length: 100 }, () => new Client(port));
  for (const round of [1, 2, 3])
    expect(await Promise.all(clients.map((client, i) => client.ask(`${i}/${round}`)))).toEqual(
      clients.map((_, i) => `a:${i}/${round}`),
    );
  expect(backend.peers.size).toBe(100);
  expect([udp.sessions, open()]).toEqual([100, 100]);
  expect(records).toEqual([]);
  pass(IDLE_MS + 1000);
  expect([udp.sessions, open()]).toEqual([0, 0]);
  expect(records).toHaveLength(100);
  expect(records.map(({ bytesIn }) => bytesIn).reduce((a, b) => a + b)).toBe(3 * (10 * 3 + 90 * 4));
  expect(told.slice(0, 100)).toEqual(clients.map(() => "s0 answered"));
  expect(told.slice(100)).toEqual(clients.map(() => "s0 closed"));
});

test("the record", async () => {
  const { port, records, pass } = proxy([at(server("a").address)]);
  const client = new Client(port);
  await client.ask("hello");
  await client.ask("again");
  pass(IDLE_MS + 1000);
  const { durationMs, clientPort, ...rest } = records[0]!;
  expect(rest).toEqual({
    listener: ":53",
    client: "127.0.0.1",
    upstream: "dns",
    server: "s0",
    bytesIn: 10,
    bytesOut: 14,
    datagramsIn: 2,
    datagramsOut: 2,
    fault: null,
  });
  expect(clientPort).toBeGreaterThan(0);
  expect(durationMs).toBeGreaterThanOrEqual(0);
});

test("a client stays with its server until its session is over", async () => {
  const { port, pass } = proxy([at(server("a").address), at(server("b").address)]);
  const [one, two] = [new Client(port), new Client(port)];
  expect(await one.ask("1")).toBe("a:1");
  expect(await two.ask("2")).toBe("b:2");
  for (let i = 0; i < 4; i += 1) {
    pass(IDLE_MS - 1000); // each datagram puts the end off
    expect([await one.ask("x"), await two.ask("y")]).toEqual(["a:x", "b:y"]);
  }
  pass(IDLE_MS + 1000);
  expect(await two.ask("3")).toBe("a:3");
  expect(await one.ask("4")).toBe("b:4");
});

test("datagrams of every size pass", async () => {
  const { port } = proxy([at(server("").address)]);
  const client = new Client(port);
  for (const size of [0, 1, 1472, 65_506]) expect(await client.ask("x".repeat(size))).toBe(`:${"x".repeat(size)}`);
});

test("a server may answer several times, or never", async () => {
  const quiet = server("a", false);
  const { port, pass, told, records } = proxy([at(quiet.address)]);
  const client = new Client(port);
  client.send("1");
  client.send("2");
  await until(() => quiet.got.length === 2, "datagrams");
  const [peer] = quiet.peers;
  const answers = listenUdp({ host: "127.0.0.1", port: quiet.address.port }, () => {});
  for (const text of ["a", "b", "c"]) answers.send(Buffer.from(text), peer!, "127.0.0.1");
  await until(() => client.got.length === 3, "answers");
  answers.stop();
  pass(IDLE_MS + 1000);
  expect(records[0]).toMatchObject({ datagramsIn: 2, datagramsOut: 3 });
  const other = new Client(port);
  other.send("x");
  await until(() => quiet.got.length === 3, "the datagram");
  pass(IDLE_MS + 1000);
  expect(told).toEqual(["s0 answered", "s0 closed", "s0 closed unanswered"]);
});

test("what strangers send to a session's socket does not reach the client", async () => {
  const backend = server("a");
  const { port } = proxy([at(backend.address)]);
  const client = new Client(port);
  await client.ask("1");
  const [peer] = backend.peers;
  const stranger = server("stranger");
  const socket = new Client(peer!);
  socket.send("forged");
  await client.ask("2");
  expect(client.got).toEqual(["a:1", "a:2"]);
  expect(stranger.got).toEqual([]);
});

test("above the limit datagrams of new clients are dropped and counted; room is used again", async () => {
  const { port, udp, drops, pass } = proxy([at(server("a").address)], { sessions: 3 });
  const clients = Array.from({ length: 5 }, () => new Client(port));
  for (const client of clients.slice(0, 3)) await client.ask("1");
  for (const client of clients.slice(3)) client.send("2");
  await until(() => drops.length === 2, "drops");
  expect(drops).toEqual(["sessions", "sessions"]);
  expect(udp.sessions).toBe(3);
  expect(await clients[0]!.ask("3")).toBe("a:3");
  pass(IDLE_MS + 1000);
  expect(await clients[4]!.ask("4")).toBe("a:4");
  expect(clients[3]!.got).toEqual([]);
});

test("one address may have only so many", async () => {
  const { port, drops } = proxy([at(server("a").address)], { sessionsPerAddress: 1 });
  await new Client(port).ask("1");
  new Client(port).send("2");
  await until(() => drops.length === 1, "a drop");
});

test("a server that refuses is told of, and the client's next datagram goes to another", async () => {
  const gone = server("gone");
  gone.stop();
  const { port, told, records, udp } = proxy([at(gone.address), at(server("b").address)]);
  const client = new Client(port);
  client.send("lost");
  await until(() => told.length === 1, "the refusal");
  expect(told).toEqual(["s0 failed upstream.connect_refused"]);
  expect(records[0]).toMatchObject({ server: "s0", datagramsIn: 1, fault: { code: "upstream.connect_refused" } });
  expect(udp.sessions).toBe(0);
  expect(await client.ask("again")).toBe("b:again");
});

test("a server that goes away in the middle of a session", async () => {
  const leaving = server("a");
  const { port, told } = proxy([at(leaving.address), at(server("b").address)]);
  const client = new Client(port);
  await client.ask("1");
  leaving.stop();
  client.send("2");
  await until(() => told.length === 2, "the refusal");
  expect(told).toEqual(["s0 answered", "s0 failed upstream.connect_refused"]);
  expect(await client.ask("3")).toBe("b:3");
});

test("no server: dropped and counted", async () => {
  const { port, drops, udp } = proxy([]);
  new Client(port).send("1");
  await until(() => drops.length === 1, "a drop");
  expect(drops).toEqual(["no-server"]);
  expect(udp.sessions).toBe(0);
});

test("while a name is looked up, the first datagrams wait, in order", async () => {
  const backend = server("a");
  const found = Promise.withResolvers<UdpAddress>();
  const { port, drops } = proxy([() => found.promise]);
  const client = new Client(port);
  for (let i = 0; i < 20; i += 1) client.send(`${i}`);
  await until(() => drops.length === 4, "drops");
  expect(drops).toEqual(Array.from({ length: 4 }, () => "waiting"));
  found.resolve(backend.address);
  await until(() => client.got.length === 16, "answers");
  expect(client.got).toEqual(Array.from({ length: 16 }, (_, i) => `a:${i}`));
});

test("a name that is not found fails the server; one found too late is not used", async () => {
  const late = Promise.withResolvers<UdpAddress>();
  const { port, told, pass } = proxy([() => Promise.reject(new Error("NXDOMAIN")), () => late.promise]);
  const client = new Client(port);
  client.send("1");
  await until(() => told.length === 1, "the failure");
  client.send("2");
  await until(() => told.length === 1 && client.got.length === 0, "quiet");
  await Bun.sleep(5);
  pass(IDLE_MS + 1000);
  late.resolve({ host: "127.0.0.1", port: 9 });
  await Bun.sleep(5);
  expect(told).toEqual(["s0 failed upstream.connect_refused", "s1 closed unanswered"]);
});

test("clients of a socket for both families are known by their IPv4 address", async () => {
  const { port, clients, records, udp } = proxy([at(server("a").address)], { address: { host: "::", port: 0 } });
  expect(await new Client(port).ask("1")).toBe("a:1");
  udp.destroy();
  expect(clients).toEqual(["127.0.0.1"]);
  expect(records[0]!.client).toBe("127.0.0.1");
});

test("drain: no new sessions, the others go on, and with the last one the socket is closed", async () => {
  const { port, udp, drops, pass } = proxy([at(server("a").address)]);
  const client = new Client(port);
  await client.ask("1");
  udp.drain();
  expect(await client.ask("2")).toBe("a:2");
  new Client(port).send("3");
  await until(() => drops.length === 1, "a drop");
  expect(drops).toEqual(["draining"]);
  pass(IDLE_MS + 1000);
  expect(udp.port).toBe(0);
  expect(await client.ask("4")).toBe("unreachable");
});

test("destroy ends the sessions, each with its record", async () => {
  const { port, udp, records, told } = proxy([at(server("a").address)]);
  for (const client of [new Client(port), new Client(port)]) await client.ask("1");
  udp.destroy();
  udp.destroy();
  expect(told).toEqual(["s0 answered", "s0 answered", "s0 closed", "s0 closed"]);
  expect(records).toHaveLength(2);
  expect([udp.port, udp.sessions]).toEqual([0, 0]);
});

test("before it serves nothing is forwarded", async () => {
  const { udp, drops } = proxy([at(server("a").address)]);
  const idle = new UdpProxy(udp.context);
  idle.listen(HERE);
  closers.push(() => idle.destroy());
  const client = new Client(idle.port);
  client.send("1");
  await until(() => drops.length === 1, "a drop");
  idle.serve();
  expect(await client.ask("2")).toBe("a:2");
});
