import { afterEach, expect, test } from "bun:test";
import { type Fault, FaultError, fault as makeFault } from "../core/faults.ts";
import { TimerWheel } from "../core/timers.ts";
import { type Connection, type ConnectionHandler, HIGH_WATER } from "../transport/connection.ts";
import { type Dial, dial, listenOn } from "../transport/socket.ts";
import { type TcpContext, type TcpRecord, type TcpServer, TcpSession, type TcpTarget } from "./tcp-session.ts";

const DEADLINE_MS = 5000;
const IDLE_MS = 60_000;
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

/** One end of a connection, client's or server's, that remembers what it saw. */
class Peer implements ConnectionHandler {
  readonly connection: Connection;
  bytes = 0;
  text = "";
  ended = false;
  closed = false;
  error: Error | null = null;
  readonly #onData: (peer: Peer, chunk: Buffer) => void;
  readonly #onEnd: (peer: Peer) => void;
  constructor(connection: Connection, behaviour: Behaviour = {}) {
    this.connection = connection;
    this.#onData = behaviour.onData ?? ((): void => {});
    this.#onEnd = behaviour.onEnd ?? ((): void => {});
    connection.handler = this;
    closers.push(() => connection.destroy());
  }
  onData(chunk: Buffer): void {
    this.bytes += chunk.length;
    if (this.text.length < 10_000) this.text += chunk.latin1Slice();
    this.#onData(this, chunk);
  }
  onDrain(): void {}
  onEnd(): void {
    this.ended = true;
    this.#onEnd(this);
  }
  onClose(error: Error | null): void {
    this.closed = true;
    this.error = error;
  }
  send(bytes: string | Buffer): void {
    const all = typeof bytes === "string" ? Buffer.from(bytes, "latin1") : bytes;
    this.connection.send(all, 0, all.length, false);
  }
  has(text: string): Promise<void> {
    return until(
      () => this.text === text,
      `${JSON.stringify(text)}; there is ${JSON.stringify(this.text.slice(-100))}`,
    );
  }
}
interface Behaviour {
  readonly onData?: (peer: Peer, chunk: Buffer) => void;
  readonly onEnd?: (peer: Peer) => void;
}
const ECHO: Behaviour = { onData: (peer, chunk) => peer.send(chunk), onEnd: (peer) => peer.connection.end() };

interface Backend {
  readonly port: number;
  readonly peers: Peer[];
}
function backend(behaviour: Behaviour = {}, opened: (peer: Peer) => void = () => {}): Backend {
  const peers: Peer[] = [];
  const listener = listenOn({ kind: "tcp", host: "127.0.0.1", port: 0 }, (connection) => {
    const peer = new Peer(connection, behaviour);
    peers.push(peer);
    opened(peer);
    return peer;
  });
  closers.push(() => listener.stop());
  return { port: listener.port, peers };
}
/** A port where nobody listens. */
function refusing(): number {
  const listener = listenOn({ kind: "tcp", host: "127.0.0.1", port: 0 }, () => null);
  listener.stop();
  return listener.port;
}

class FakeServer implements TcpServer {
  readonly name: string;
  readonly proxyProtocol: TcpServer["proxyProtocol"];
  readonly told: string[];
  readonly dial: () => Dial;
  constructor(name: string, told: string[], connect: () => Dial, proxyProtocol: TcpServer["proxyProtocol"] = null) {
    this.proxyProtocol = proxyProtocol;
    this.name = name;
    this.told = told;
    this.dial = connect;
  }
  failed(cause: Fault): void {
    this.told.push(`${this.name} failed ${cause.code}`);
  }
  withdrawn(): void {
    this.told.push(`${this.name} withdrawn`);
  }
  opened(connectMs: number): void {
    this.told.push(`${this.name} opened${connectMs >= 0 ? "" : " early"}`);
  }
  closed(cause: Fault | null): void {
    this.told.push(`${this.name} closed${cause === null ? "" : ` ${cause.code}`}`);
  }
}

/** A listener whose sessions go to these servers in order, on a clock of its own. */
function proxy(
  ports: readonly (number | (() => Dial))[],
  options: Partial<TcpTarget> & { proxyProtocol?: TcpServer["proxyProtocol"]; begin?: boolean } = {},
) {
  const { proxyProtocol = null, begin = true, ...rest } = options;
  let now = 0;
  const wheel = new TimerWheel(() => now);
  const told: string[] = [];
  const asked: string[] = [];
  const records: TcpRecord[] = [];
  const sessions = new Set<TcpSession>();
  const servers = ports.map(
    (port, index) =>
      new FakeServer(
        `s${index}`,
        told,
        typeof port === "number" ? () => dial({ kind: "tcp", host: "127.0.0.1", port }) : port,
        proxyProtocol,
      ),
  );
  const target: TcpTarget = {
    upstream: "db",
    attempts: 3,
    choose(client, tried) {
      asked.push(`${client} after ${tried.map((each) => each.name).join(",")}`);
      return servers[tried.length] ?? null;
    },
    ...rest,
  };
  const context: TcpContext = {
    name: ":5432",
    target,
    idleMs: IDLE_MS,
    wheel,
    tcpClosed: (_, record) => records.push(record),
  };
  const listener = listenOn({ kind: "tcp", host: "127.0.0.1", port: 0 }, (connection) => {
    const session = new TcpSession(connection, context);
    sessions.add(session);
    closers.push(() => connection.destroy());
    if (begin) session.begin();
    return session;
  });
  closers.push(() => listener.stop());
  const pass = (ms: number): void => {
    for (let left = ms; left > 0; left -= 100) {
      now += 100;
      wheel.turn();
    }
  };
  const connect = async (): Promise<Peer> =>
    new Peer(await dial({ kind: "tcp", host: "127.0.0.1", port: listener.port }).promise);
  return { port: listener.port, told, asked, records, sessions, pass, connect };
}

test("bytes go both ways; the record says how many", async () => {
  const { port } = backend(ECHO);
  const { connect, records, told, asked } = proxy([port]);
  const client = await connect();
  client.send("hello");
  await client.has("hello");
  client.send(", again");
  await client.has("hello, again");
  client.connection.end();
  await until(() => client.closed, "closed");
  expect(client.error).toBeNull();
  await until(() => records.length === 1, "a record");
  const { durationMs, connectMs, ...rest } = records[0]!;
  expect(rest).toEqual({
    listener: ":5432",
    client: "127.0.0.1",
    clientPort: client.connection.localPort,
    upstream: "db",
    server: "s0",
    attempts: 1,
    bytesIn: 12,
    bytesOut: 12,
    fault: null,
  });
  expect(connectMs).toBeGreaterThanOrEqual(0);
  expect(durationMs).toBeGreaterThanOrEqual(connectMs);
  expect(told).toEqual(["s0 opened", "s0 closed"]);
  expect(asked).toEqual(["127.0.0.1 after "]);
});

test("a server that speaks first is heard", async () => {
  const { port } = backend({}, (peer) => queueMicrotask(() => peer.send("220 ready")));
  const { connect } = proxy([port]);
  await (await connect()).has("220 ready");
});

test("the client's end passes on, and the server goes on answering", async () => {
  const { port, peers } = backend();
  const { connect, records } = proxy([port]);
  const client = await connect();
  client.send("question");
  client.connection.end();
  await until(() => peers[0]?.ended === true, "the end at the server");
  expect(peers[0]!.text).toBe("question");
  peers[0]!.send("answer");
  await client.has("answer");
  expect(client.ended).toBe(false);
  expect(records).toEqual([]);
  peers[0]!.send(", rest");
  peers[0]!.connection.end();
  await client.has("answer, rest");
  await until(() => client.closed && peers[0]!.closed && records.length === 1, "closed");
  expect(records[0]).toMatchObject({ bytesIn: 8, bytesOut: 12, fault: null });
});

test("the server's end passes on, and the client goes on sending", async () => {
  const { port, peers } = backend({}, (peer) => queueMicrotask(() => peer.connection.end()));
  const { connect, records } = proxy([port]);
  const client = await connect();
  await until(() => client.ended, "the end at the client");
  client.send("late");
  await until(() => peers[0]?.text === "late", "bytes at the server");
  expect(records).toEqual([]);
  client.connection.end();
  await until(() => records.length === 1 && peers[0]!.closed, "closed");
  expect(records[0]).toMatchObject({ bytesIn: 4, bytesOut: 0, fault: null });
});

test("a server that refuses: the next one gets everything", async () => {
  const { port, peers } = backend(ECHO);
  const { connect, records, told, asked } = proxy([refusing(), refusing(), port]);
  const client = await connect();
  client.send("hello");
  await client.has("hello");
  expect(peers[0]!.text).toBe("hello");
  client.connection.end();
  await until(() => records.length === 1, "a record");
  expect(records[0]).toMatchObject({ server: "s2", attempts: 3, fault: null });
  const refused = ["s0 failed upstream.connect_refused", "s1 failed upstream.connect_refused"];
  expect(told).toEqual([...refused, "s2 opened", "s2 closed"]);
  expect(asked).toEqual(["127.0.0.1 after ", "127.0.0.1 after s0", "127.0.0.1 after s0,s1"]);
});

for (const [name, ports, attempts, want] of [
  ["no server at all", 0, 3, { server: "", attempts: 0, fault: { code: "upstream.none", detail: "db" } }],
  ["no server left", 1, 3, { server: "s0", attempts: 1, fault: { code: "upstream.connect_refused" } }],
  ["no attempt left", 3, 2, { server: "s1", attempts: 2, fault: { code: "upstream.connect_refused" } }],
] as const)
  test(`${name}: the client is reset`, async () => {
    const { connect, records, told } = proxy(Array.from({ length: ports }, refusing), { attempts });
    const client = await connect();
    await until(() => client.closed, "closed");
    expect(client.ended).toBe(false);
    expect(client.error).not.toBeNull();
    expect(records).toHaveLength(1);
    expect(records[0]).toMatchObject({ ...want, bytesIn: 0, bytesOut: 0, connectMs: -1 });
    expect(told).toHaveLength(want.attempts);
  });

/** A connect that never ends by itself. */
function endless() {
  const events: string[] = [];
  const { promise, reject, resolve } = Promise.withResolvers<Connection>();
  const connect = (): Dial => {
    events.push("dial");
    return {
      promise,
      cancel() {
        events.push("cancel");
        reject(new Error("cancelled"));
      },
    };
  };
  return { connect, events, resolve };
}

for (const how of ["with bytes sent", "silently"] as const)
  test(`a client that leaves while the server is connected, ${how}`, async () => {
    const { connect: never, events } = endless();
    const { connect, records, told } = proxy([never]);
    const client = await connect();
    await until(() => events.length === 1, "the dial");
    if (how === "with bytes sent") client.send("x".repeat(1000));
    client.connection.destroy(true);
    await until(() => records.length === 1, "a record");
    expect(records[0]).toMatchObject({ server: "s0", fault: { code: "client.gone" }, connectMs: -1 });
    expect(events).toEqual(["dial", "cancel"]);
    await Bun.sleep(0); // the rejected dial is heard of, too
    expect(told).toEqual(["s0 withdrawn"]);
    expect(records).toHaveLength(1);
  });

test("a connect that comes up after the client has left is closed", async () => {
  const { port, peers } = backend();
  const late = Promise.withResolvers<Connection>();
  const { connect, records, told } = proxy([() => ({ promise: late.promise, cancel() {} })]);
  const client = await connect();
  await until(() => records.length === 0 && client.connection.remotePort > 0, "connected");
  client.connection.destroy(true);
  await until(() => records.length === 1, "a record");
  late.resolve(await dial({ kind: "tcp", host: "127.0.0.1", port }).promise);
  await until(() => peers[0]?.ended === true || peers[0]?.closed === true, "closed");
  expect(told).toEqual(["s0 withdrawn"]);
});

test("while there is no server, a client's bytes wait with it", async () => {
  const { port, peers } = backend();
  const late = Promise.withResolvers<Connection>();
  const { connect } = proxy([() => ({ promise: late.promise, cancel() {} })]);
  const client = await connect();
  const all = Buffer.alloc(24 * 1024 * 1024, "abcdefgh");
  client.send(all);
  client.connection.end();
  await until(() => client.connection.queued > 0, "a full socket");
  const before = client.connection.queued;
  await Bun.sleep(20);
  // What the system's buffers and one chunk hold, and no more.
  expect(client.connection.queued).toBe(before);
  late.resolve(await dial({ kind: "tcp", host: "127.0.0.1", port }).promise);
  await until(() => peers[0]?.ended === true, "everything");
  expect(peers[0]!.bytes).toBe(all.length);
});

test("a client that ended before there was a server is answered", async () => {
  const onEnd = (peer: Peer): void => {
    peer.send(`got ${peer.text}`);
    peer.connection.end();
  };
  const { port } = backend({ onEnd });
  const late = Promise.withResolvers<Connection>();
  const { connect, sessions } = proxy([() => ({ promise: late.promise, cancel() {} })]);
  const client = await connect();
  client.connection.end();
  await until(() => sessions.size === 1, "accepted");
  await Bun.sleep(5);
  late.resolve(await dial({ kind: "tcp", host: "127.0.0.1", port }).promise);
  await client.has("got ");
  await until(() => client.closed, "closed");
});

for (const [side, fault] of [
  ["client", "client.gone"],
  ["server", "upstream.reset"],
] as const)
  test(`a reset by the ${side} reaches the other side as one`, async () => {
    const { port, peers } = backend(ECHO);
    const { connect, records, told } = proxy([port]);
    const client = await connect();
    client.send("hello");
    await client.has("hello");
    const [one, other] = side === "client" ? [client, peers[0]!] : [peers[0]!, client];
    one.connection.destroy(true);
    await until(() => other.closed, "the reset at the other side");
    expect([other.ended, other.error === null]).toEqual([false, false]);
    await until(() => records.length === 1, "a record");
    expect(records[0]).toMatchObject({ bytesIn: 5, bytesOut: 5, fault: { code: fault } });
    expect(told).toEqual(["s0 opened", `s0 closed ${fault}`]);
  });

test("a server that resets while bytes for it are on their way: the client sees a reset, too", async () => {
  const { port, peers } = backend();
  const { connect, records } = proxy([port]);
  const client = await connect();
  client.send("hello");
  await until(() => peers[0]?.text === "hello", "bytes at the server");
  // The proxy learns of the reset by a write that fails.
  client.send("more");
  peers[0]!.connection.destroy(true);
  client.send("and more");
  await until(() => client.closed && records.length === 1, "closed");
  expect([client.ended, client.error === null]).toEqual([false, false]);
  expect(records[0]!.fault?.code).toBe("upstream.reset");
});

test("a server that resets after a client that has ended: a reset, not the end of its answer", async () => {
  const { port, peers } = backend();
  const { connect, records } = proxy([port]);
  const client = await connect();
  client.connection.end();
  await until(() => peers[0]?.ended === true, "the end at the server");
  peers[0]!.send("half an ans");
  await client.has("half an ans");
  peers[0]!.connection.destroy(true);
  await until(() => client.closed && records.length === 1, "closed");
  expect([client.ended, client.error === null]).toEqual([false, false]);
  expect(records[0]!.fault?.code).toBe("upstream.reset");
});

for (const when of ["before it has begun", "while it waits for a server", "with a server"] as const)
  test(`a session that is cut ${when}: both sides see a reset, and it is recorded once`, async () => {
    const { port, peers } = backend(ECHO);
    const { connect: never, events } = endless();
    const { connect, records, sessions, told } = proxy([when === "while it waits for a server" ? never : port], {
      begin: when !== "before it has begun",
    });
    const client = await connect();
    if (when === "with a server") {
      client.send("hello");
      await client.has("hello");
    } else await until(() => sessions.size === 1 && (events.length === 1 || when.startsWith("before")), "accepted");
    const [session] = [...sessions];
    session!.drain(); // this is the end of one that has not begun, and nothing to others
    expect(records).toHaveLength(when === "before it has begun" ? 1 : 0);
    for (let i = 0; i < 2; i += 1) session!.cut();
    expect(records.map((record) => record.fault?.code)).toEqual(["proxy.shutdown"]);
    await until(() => client.closed, "closed");
    expect([client.ended, client.error === null]).toEqual([false, false]);
    if (when === "with a server") {
      await until(() => peers[0]!.closed, "closed at the server");
      expect([peers[0]!.ended, peers[0]!.error === null]).toEqual([false, false]);
    }
    const want = { before: [], while: ["s0 withdrawn"], with: ["s0 opened", "s0 closed proxy.shutdown"] };
    expect(told).toEqual(want[when.split(" ")[0] as keyof typeof want]);
  });

test("who is turned away does not stand in line again", async () => {
  const full = (): Dial => ({
    promise: Promise.reject(new FaultError(makeFault("upstream.queue_timeout"))),
    cancel() {},
  });
  const { connect, records, told } = proxy([full, backend(ECHO).port]);
  const client = await connect();
  await until(() => client.closed, "closed");
  expect(client.error).not.toBeNull();
  expect(told).toEqual(["s0 failed upstream.queue_timeout"]);
  expect(records[0]).toMatchObject({ attempts: 1, fault: { code: "upstream.queue_timeout" } });
});

test("a reader that is slow holds the other side back, with bounded memory", async () => {
  const all = Buffer.alloc(32 * 1024 * 1024, "abcdefgh");
  const { port, peers } = backend({}, (peer) => queueMicrotask(() => peer.send(all)));
  const { connect, records, sessions } = proxy([port]);
  const client = await connect();
  client.connection.pause();
  await until(() => peers.length === 1, "connected");
  let last = -1;
  await until(() => {
    const { sent } = peers[0]!.connection;
    const isStill = sent > 0 && sent === last;
    last = sent;
    return isStill;
  }, "the server is held back");
  const [session] = [...sessions];
  // A chunk may arrive at once, and another before reading stops.
  expect(session!.connection.queued).toBeLessThan(HIGH_WATER + 2 * 524_288);
  expect(peers[0]!.connection.queued).toBeGreaterThan(0);
  client.connection.resume();
  await until(() => client.bytes === all.length, "everything");
  client.connection.end();
  peers[0]!.connection.end();
  await until(() => records.length === 1, "a record");
  expect(records[0]).toMatchObject({ bytesOut: all.length, fault: null });
});

test("silence ends a session; bytes put that off", async () => {
  const { port, peers } = backend(ECHO);
  const { connect, records, pass, told } = proxy([port]);
  const client = await connect();
  client.send("a");
  await client.has("a");
  pass(IDLE_MS - 1000);
  client.send("b");
  await client.has("ab");
  pass(IDLE_MS - 1000);
  expect(records).toEqual([]);
  pass(2000);
  await until(() => client.ended && peers[0]!.ended, "the end");
  expect(records).toHaveLength(1);
  expect(records[0]).toMatchObject({ bytesIn: 2, bytesOut: 2, fault: null });
  expect(told).toEqual(["s0 opened", "s0 closed"]);
});

for (const version of ["v1", "v2"] as const)
  test(`the PROXY header comes before the client's bytes: ${version}`, async () => {
    const { port, peers } = backend();
    const { connect, records, port: own } = proxy([port], { proxyProtocol: version });
    const client = await connect();
    client.send("hello");
    await until(() => peers[0]?.text.endsWith("hello") === true, "bytes at the server");
    const { localPort } = client.connection;
    const ports = [localPort >> 8, localPort & 255, own >> 8, own & 255];
    const want =
      version === "v1"
        ? `PROXY TCP4 127.0.0.1 127.0.0.1 ${localPort} ${own}\r\n`
        : `\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\x7f\0\0\x01\x7f\0\0\x01${String.fromCharCode(...ports)}`;
    expect(peers[0]!.text).toBe(`${want}hello`);
    client.connection.destroy(true);
    await until(() => records.length === 1, "a record");
    expect(records[0]!.bytesIn).toBe(5);
  });

test("announced addresses are passed on", async () => {
  const { port, peers } = backend();
  const late = Promise.withResolvers<Connection>();
  const { connect, sessions } = proxy([() => ({ promise: late.promise, cancel() {} })], { proxyProtocol: "v1" });
  await connect();
  await until(() => sessions.size === 1, "accepted");
  const [session] = [...sessions];
  session!.connection.announce({ address: "2001:db8::7", port: 7 }, { address: "2001:db8::8", port: 8 });
  late.resolve(await dial({ kind: "tcp", host: "127.0.0.1", port }).promise);
  await until(() => (peers[0]?.text.length ?? 0) > 0, "bytes at the server");
  expect(peers[0]!.text).toBe("PROXY TCP6 2001:db8::7 2001:db8::8 7 8\r\n");
});

test("nothing is asked of servers before the session is begun", async () => {
  const { port } = backend(ECHO);
  const chosen: string[] = [];
  const records: TcpRecord[] = [];
  const wheel = new TimerWheel(() => 0);
  const server = new FakeServer("s0", [], () => dial({ kind: "tcp", host: "127.0.0.1", port }));
  const target: TcpTarget = {
    upstream: "db",
    attempts: 1,
    choose(client) {
      chosen.push(client);
      return server;
    },
  };
  const context = {
    name: ":1",
    target,
    idleMs: IDLE_MS,
    wheel,
    tcpClosed: (_: unknown, r: TcpRecord) => records.push(r),
  };
  const sessions: TcpSession[] = [];
  const listener = listenOn({ kind: "tcp", host: "127.0.0.1", port: 0 }, (connection) => {
    sessions.push(new TcpSession(connection, context));
    return sessions.at(-1)!;
  });
  closers.push(() => listener.stop());
  const connect = async () => new Peer(await dial({ kind: "tcp", host: "127.0.0.1", port: listener.port }).promise);
  const [one, other] = [await connect(), await connect()];
  one.send("hello");
  other.connection.destroy(true);
  await until(() => records.length === 1, "the record of the one that left");
  expect(records[0]).toMatchObject({ server: "", attempts: 0, fault: { code: "client.gone" } });
  expect(chosen).toEqual([]);
  for (const session of sessions) session.begin();
  await one.has("hello");
  expect(chosen).toEqual(["127.0.0.1"]);
});
