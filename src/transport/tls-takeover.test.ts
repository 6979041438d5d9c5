// TLS that begins on a connection which is open already. Most of it the runtime does not document: these tests are what
// tells when an upgrade changes it.
import { afterEach, expect, test } from "bun:test";
import { connect as connectTcp } from "node:net";
import { type ConnectionOptions, connect, type TLSSocket } from "node:tls";
import { TimerWheel } from "../core/timers.ts";
import { CAPTURED } from "./client-hello.testing.ts";
import type { Connection, ConnectionHandler } from "./connection.ts";
import { memoryPair } from "./memory-pair.ts";
import { listenOn } from "./socket.ts";
import { TestCa } from "./tls.testing.ts";
import type { TlsListenerOptions } from "./tls.ts";
import { makeTlsContext } from "./tls-context.ts";
import { takeOverTls } from "./tls-takeover.ts";

const DEADLINE_MS = 5000;
const ca = await TestCa.make();
const fallback = await ca.issue({ names: ["localhost"], subject: "CN=fallback" });
const named = await ca.issue({ names: ["a.example"], subject: "CN=named" });
const robot = await ca.issue({ subject: "CN=robot", usage: "client" });

const closers: (() => void)[] = [];
afterEach(() => {
  for (const close of closers.splice(0)) close();
});

async function until(holds: () => boolean, what: string): Promise<void> {
  const deadline = performance.now() + DEADLINE_MS;
  while (!holds()) {
    if (performance.now() > deadline) throw new Error(`not within ${DEADLINE_MS} ms: ${what}`);
    await Bun.sleep(2);
  }
}

/** Answers what it reads. */
class Echo implements ConnectionHandler {
  readonly connection: Connection;
  text = "";
  ended = false;
  closed = false;
  constructor(connection: Connection) {
    this.connection = connection;
  }
  onData(chunk: Buffer): void {
    this.text += chunk.latin1Slice();
    this.connection.send(chunk, 0, chunk.length, false);
  }
  onDrain(): void {}
  onEnd(): void {
    this.ended = true;
    this.connection.end();
  }
  onClose(): void {
    this.closed = true;
  }
}

/** A plain listener that reads `cut` bytes at least, waits for `before`, and then begins TLS. */
function rig(options: Partial<TlsListenerOptions> = {}, cut = 1, before: Promise<void> | null = null) {
  const told: string[] = [];
  const accepted: Echo[] = [];
  const outer: Connection[] = [];
  let now = 0;
  const wheel = new TimerWheel(() => now);
  const takeover = takeOverTls(
    {
      fallback: [fallback],
      select: () => null,
      alpn: ["h2", "http/1.1"],
      minVersion: "1.2",
      requestClientCertificate: false,
      wheel,
      onHandshake: (result, version, reason) => told.push([result, version, reason].filter((s) => s !== "").join(" ")),
      ...options,
    },
    (connection) => {
      const echo = new Echo(connection);
      accepted.push(echo);
      return echo;
    },
  );
  const listener = listenOn({ kind: "tcp", host: "127.0.0.1", port: 0 }, (connection) => {
    outer.push(connection);
    let early: Buffer = Buffer.alloc(0);
    return {
      onData(chunk) {
        early = Buffer.concat([early, chunk]);
        if (early.length < cut) return;
        if (before === null) return takeover.take(connection, early);
        connection.pause();
        void before.then(() => takeover.take(connection, early));
      },
      onDrain() {},
      onEnd() {},
      onClose() {},
    };
  });
  closers.push(() => listener.stop());
  const pass = (ms: number): void => {
    for (let left = ms; left > 0; left -= 100) {
      now += 100;
      wheel.turn();
    }
  };
  return { port: listener.port, takeover, told, accepted, outer, pass };
}

interface Client {
  readonly socket: TLSSocket;
  text: string;
  error: string;
  closed: boolean;
}
/** A client of node's whose handshake is through, or has failed. */
async function dialed(port: number, options: ConnectionOptions = {}): Promise<Client> {
  const socket = connect({ host: "127.0.0.1", port, ca: ca.pem, servername: "localhost", ...options });
  const client: Client = { socket, text: "", error: "", closed: false };
  closers.push(() => socket.destroy());
  let ready = false;
  socket.on("secureConnect", () => {
    ready = true;
  });
  socket.on("data", (chunk: Buffer) => {
    client.text += chunk.latin1Slice();
  });
  socket.on("error", (error: Error & { code?: string }) => {
    client.error = error.code ?? error.message;
  });
  socket.on("close", () => {
    client.closed = true;
  });
  await until(() => ready || client.closed, "the handshake");
  return client;
}

for (const version of ["TLSv1.2", "TLSv1.3"] as const)
  test(`${version}: bytes both ways, and the end`, async () => {
    const { port, told, accepted, outer } = rig();
    const client = await dialed(port, { minVersion: version, maxVersion: version, ALPNProtocols: ["http/1.1"] });
    client.socket.write("hello");
    await until(() => client.text === "hello", "the echo");
    const [echo] = accepted;
    expect(told).toEqual([`ok ${version.slice(4)}`]);
    expect(echo!.connection).toBe(outer[0]!);
    expect(echo!.text).toBe("hello");
    expect(echo!.connection.remoteAddress).toBe("127.0.0.1");
    expect(echo!.connection.remotePort).toBe(client.socket.localPort!);
    expect(echo!.connection.tls).toMatchObject({
      serverName: "localhost",
      version: version.slice(4),
      alpn: "http/1.1",
    });
    client.socket.end();
    await until(() => echo!.closed && client.closed, "both closed");
    expect([echo!.ended, client.error]).toEqual([true, ""]);
  });

test("a megabyte each way, however much of the start was read before", async () => {
  for (const cut of [1, 5, 200]) {
    const { port } = rig({}, cut);
    const client = await dialed(port);
    const all = Buffer.alloc(1_048_576, "0123456789abcdef");
    client.socket.write(all);
    await until(() => client.text.length === all.length, "the echo");
    expect(client.text === all.latin1Slice()).toBe(true);
  }
});

test("announced addresses stay", async () => {
  const { port, outer, accepted } = rig({}, 1, Promise.resolve());
  const dialing = dialed(port);
  await until(() => outer.length === 1, "the connection");
  outer[0]!.announce({ address: "192.0.2.1", port: 7 }, { address: "192.0.2.2", port: 8 });
  await dialing;
  await until(() => accepted.length === 1, "our end of the handshake");
  const { remoteAddress, remotePort, localAddress, localPort } = accepted[0]!.connection;
  expect([remoteAddress, remotePort, localAddress, localPort]).toEqual(["192.0.2.1", 7, "192.0.2.2", 8]);
});

test("TLS may begin later, on a connection that was paused", async () => {
  const { promise, resolve } = Promise.withResolvers<void>();
  const { port, told } = rig({}, 1, promise);
  const dialing = dialed(port);
  await Bun.sleep(20);
  expect(told).toEqual([]);
  resolve();
  const client = await dialing;
  client.socket.write("x");
  await until(() => client.text === "x", "the echo");
});

test("the certificate for a name, at once and later", async () => {
  const context = makeTlsContext([named]);
  for (const answer of [context, Promise.resolve(context)]) {
    const { port, told } = rig({ select: (name) => (name === "a.example" ? answer : null) });
    const client = await dialed(port, { servername: "a.example" });
    expect(client.socket.getPeerCertificate().subject.CN).toBe("named");
    expect((await dialed(port)).socket.getPeerCertificate().subject.CN).toBe("fallback");
    await until(() => told.length === 2, "both handshakes");
    expect(told).toEqual(["ok 1.3", "ok 1.3"]);
  }
});

test("sessions are taken up again, on other connections", async () => {
  const { port, told } = rig();
  const first = await dialed(port);
  const session = Promise.withResolvers<Buffer>();
  first.socket.once("session", session.resolve);
  first.socket.write("x");
  const second = await dialed(port, { session: await session.promise });
  expect(second.socket.isSessionReused()).toBe(true);
  await until(() => told.length === 2, "both handshakes");
  expect(told).toEqual(["ok 1.3", "resumed 1.3"]);
});

test("client certificates", async () => {
  const { port, accepted } = rig({ requestClientCertificate: true, clientCa: ca.pem });
  await dialed(port, { cert: robot.certPem, key: robot.keyPem });
  await dialed(port);
  await until(() => accepted.length === 2, "both");
  expect(accepted.map(({ connection: { tls } }) => [tls!.authorized, tls!.clientCertificate?.subject ?? null])).toEqual(
    [
      [true, "CN=robot"],
      [false, null],
    ],
  );
});

test("settings change for the handshakes from then on", async () => {
  const { port, takeover } = rig();
  const settings = { minVersion: "1.3", requestClientCertificate: false } as const;
  const before = await dialed(port);
  takeover.update({ ...settings, fallback: [await ca.issue({ subject: "CN=next" })] });
  expect((await dialed(port)).socket.getPeerCertificate().subject.CN).toBe("next");
  expect((await dialed(port, { maxVersion: "TLSv1.2" })).error).toContain("PROTOCOL_VERSION");
  before.socket.write("still");
  await until(() => before.text === "still", "the echo");
});

test("no common protocol: refused with its alert", async () => {
  const { port, told } = rig();
  const client = await dialed(port, { ALPNProtocols: ["smtp"] });
  expect(client.error).toContain("NO_APPLICATION_PROTOCOL");
  expect(told).toEqual(["failed no common protocol"]);
});

const HELLO = CAPTURED.find(({ client }) => client.startsWith("curl"))!.bytes;
const BROKEN: readonly (readonly [name: string, bytes: readonly (Buffer | null)[], want: string])[] = [
  ["garbage in place of a hello", [Buffer.from("GET / HTTP/1.1\r\n\r\n")], "failed plain HTTP"],
  ["garbage behind the hello", [HELLO, Buffer.from("rubbish, rubbish")], "failed not TLS"],
  ["half a hello and the end", [HELLO.subarray(0, 100) as Buffer, null], "failed closed"],
  ["a hello and the end", [HELLO, null], "failed closed"],
];
for (const [name, pieces, want] of BROKEN)
  test(`${name}: told once, closed`, async () => {
    const { port, told, accepted, outer, takeover } = rig();
    const socket = connectTcp(port, "127.0.0.1");
    closers.push(() => socket.destroy());
    socket.on("error", () => {});
    for (const piece of pieces) {
      if (piece === null) socket.end();
      else await new Promise((resolve) => socket.write(piece, resolve));
      await Bun.sleep(5); // so that each comes by itself
    }
    await until(() => outer[0]?.closed === true, "closed");
    expect([told, accepted.length, takeover.handshakes]).toEqual([[want], 0, 0]);
  });

test("a handshake that takes too long is cut off", async () => {
  const { port, told, outer, pass } = rig({ handshakeMs: 2000 });
  const socket = connectTcp(port, "127.0.0.1");
  closers.push(() => socket.destroy());
  socket.on("error", () => {});
  socket.write(HELLO.subarray(0, 50));
  await until(() => outer.length === 1, "the connection");
  await Bun.sleep(20);
  pass(1500);
  expect(told).toEqual([]);
  pass(1000);
  await until(() => outer[0]!.closed, "closed");
  expect(told).toEqual(["timeout"]);
});

test("too many handshakes at a time", async () => {
  const { port, told, takeover } = rig({ handshakesMax: 1 });
  const socket = connectTcp(port, "127.0.0.1");
  closers.push(() => socket.destroy());
  socket.write(HELLO);
  await until(() => takeover.handshakes === 1, "the first");
  expect((await dialed(port)).closed).toBe(true);
  expect(told).toEqual(["refused too many handshakes"]);
});

test("a thousand abandoned handshakes leave nothing behind", async () => {
  const { port, told, takeover } = rig();
  for (let round = 0; round < 20; round += 1) {
    const sockets = Array.from({ length: 50 }, () => connectTcp(port, "127.0.0.1"));
    for (const socket of sockets) {
      socket.on("error", () => {});
      socket.write(HELLO);
    }
    await until(() => takeover.handshakes === 50, "all of them");
    for (const socket of sockets) socket.destroy();
    await until(() => takeover.handshakes === 0, "their ends");
  }
  expect(told.length).toBe(1000);
  expect(new Set(told)).toEqual(new Set(["failed closed"]));
}, 20_000);

test("a connection in memory has no TLS", () => {
  const { takeover } = rig();
  expect(() => takeover.take(memoryPair()[0], HELLO)).toThrow(TypeError);
});
