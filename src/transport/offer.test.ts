// What a connection takes at once, of bytes and of files: in order with all else that is sent, and nothing twice.
import { afterAll, expect, test } from "bun:test";
import { closeSync, mkdtempSync, openSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { TimerWheel } from "../core/timers.ts";
import type { Connection } from "./connection.ts";
import { inFlightMax } from "./sendfile.ts";
import { dial, listenOn, NOBODY, type SocketAddress } from "./socket.ts";
import { TestCa } from "./tls.testing.ts";
import { listenTls } from "./tls.ts";
import { dialTls, TlsClient } from "./tls-client.ts";

const BYTES = 8 * 1024 * 1024;
const DEADLINE_MS = 8000;
const CONTENT = Buffer.alloc(BYTES);
for (let i = 0; i < BYTES; i += 4) CONTENT.writeUInt32LE(i, i);

const folder = mkdtempSync(join(tmpdir(), "offer-"));
const path = join(folder, "file");
writeFileSync(path, CONTENT);
afterAll(() => rmSync(folder, { recursive: true }));

const ca = await TestCa.make();
const pair = await ca.issue();

/** A client's end whose bytes are gathered, and the server's end of its connection. */
async function connect(
  kind: "tcp" | "unix" | "tls",
): Promise<{ server: Connection; got: Buffer[]; client: Connection }> {
  const accepted = Promise.withResolvers<Connection>();
  const accept = (connection: Connection) => {
    accepted.resolve(connection);
    return NOBODY;
  };
  const address: SocketAddress =
    kind === "unix" ? { kind, path: join(folder, "s.sock") } : { kind: "tcp", host: "127.0.0.1", port: 0 };
  const tls = {
    fallback: [pair],
    select: () => null,
    alpn: [],
    requestClientCertificate: false,
    wheel: new TimerWheel(),
    minVersion: "1.3",
  } as const;
  const listener = kind === "tls" ? listenTls(address, tls, accept) : listenOn(address, accept);
  const to = address.kind === "tcp" ? { ...address, port: listener.port } : address;
  const trust = new TlsClient({ serverName: "localhost", ca: ca.pem, verify: true });
  const client = await (kind === "tls" ? dialTls(to, trust) : dial(to)).promise;
  const got: Buffer[] = [];
  client.handler = { ...NOBODY, onData: (chunk) => void got.push(chunk) };
  const server = await accepted.promise;
  listener.stop();
  return { server, got, client };
}

const lengthOf = (pieces: readonly Buffer[]): number => pieces.reduce((sum, piece) => sum + piece.length, 0);

async function until(condition: () => boolean, what: string): Promise<void> {
  const deadline = performance.now() + DEADLINE_MS;
  while (!condition()) {
    if (performance.now() > deadline) throw new Error(`not in time: ${what}`);
    await Bun.sleep(1);
  }
}

/** Sends all of the content: what is taken at once by `take`, and a little more by `send`, until it drains. */
async function sendAll(server: Connection, take: (from: number) => number): Promise<number> {
  let at = 0;
  let short = 0;
  while (at < BYTES) {
    const taken = take(at);
    at += taken;
    if (taken > 0 || at === BYTES) continue;
    short += 1;
    const more = Math.min(BYTES - at, 100_000);
    server.send(CONTENT, at, at + more, true);
    at += more;
    await until(() => server.queued === 0, "the queue to drain");
  }
  return short;
}

for (const kind of ["tcp", "unix", "tls"] as const)
  test(`bytes that are offered over ${kind}`, async () => {
    const { server, client, got } = await connect(kind);
    const piece = Buffer.alloc(200_000);
    const short = await sendAll(server, (from) => {
      const length = CONTENT.copy(piece, 0, from, from + piece.length);
      const taken = server.offer!(piece, 0, length);
      piece.fill("!"); // whatever was not taken must not come
      return taken;
    });
    await until(() => lengthOf(got) >= BYTES, "all of it");
    expect(short).toBeGreaterThan(0);
    expect(Buffer.concat(got).equals(CONTENT)).toBe(true);
    expect(server.sent).toBe(BYTES);
    client.destroy();
    server.destroy();
    expect(server.offer!(piece, 0, 10)).toBe(0);
  });

for (const kind of ["tcp", "unix"] as const)
  test(`a file that is moved over ${kind}`, async () => {
    const { server, client, got } = await connect(kind);
    const fd = openSync(path, "r");
    let moved = 0;
    await sendAll(server, (from) => {
      const taken = server.move!(fd, from, 1_000_000);
      moved += taken;
      return taken;
    });
    await until(() => lengthOf(got) >= BYTES, "all of it");
    expect(Buffer.concat(got).equals(CONTENT)).toBe(true);
    expect(moved).toBeGreaterThan(BYTES / 2);
    expect(server.sent).toBe(BYTES);
    expect(server.move!(fd, BYTES, 10)).toBe(0); // behind its end
    client.destroy();
    server.destroy();
    expect(server.move!(fd, 0, 10)).toBe(0);
    closeSync(fd);
    expect(server.move!(fd, 0, 10)).toBe(0);
  });

test("over TLS nothing is moved", async () => {
  const { server, client } = await connect("tls");
  const fd = openSync(path, "r");
  expect([server.inFlightMax, server.move!(fd, 0, 10)]).toEqual([Number.POSITIVE_INFINITY, 0]);
  closeSync(fd);
  client.destroy();
  server.destroy();
});

test("what may be under way is more than a socket's buffer", async () => {
  const { server, client } = await connect("tcp");
  client.pause();
  let taken = 0;
  for (let more = -1; more !== 0; taken += more) more = server.offer!(CONTENT, 0, 1_000_000);
  expect(taken + 1).toBeLessThan(inFlightMax());
  client.destroy();
  server.destroy();
});
