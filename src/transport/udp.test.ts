import { afterEach, expect, test } from "bun:test";
import { connectUdp, isUdpTaken, listenUdp, type UdpHandler } from "./udp.ts";

const DEADLINE_MS = 5000;
const closers: (() => void)[] = [];
afterEach(() => {
  for (const close of closers.splice(0)) close();
});
const HERE = { host: "127.0.0.1", port: 0 };

/** Waits until something holds that nobody tells of. */
async function until(holds: () => boolean, what: string): Promise<void> {
  const deadline = performance.now() + DEADLINE_MS;
  while (!holds()) {
    if (performance.now() > deadline) throw new Error(`not within ${DEADLINE_MS} ms: ${what}`);
    await Bun.sleep(2);
  }
}

class Seen implements UdpHandler {
  readonly datagrams: Buffer[] = [];
  readonly errors: (string | undefined)[] = [];
  onDatagram(bytes: Buffer): void {
    this.datagrams.push(bytes);
  }
  onUnreachable(error: Error): void {
    this.errors.push((error as { code?: string }).code);
  }
}

function echo(address = HERE) {
  const from: string[] = [];
  const listener = listenUdp(address, (bytes, port, address) => {
    from.push(`${address} ${bytes.length}`);
    listener.send(bytes, port, address);
  });
  closers.push(() => listener.stop());
  return { port: listener.port, from, listener };
}
function client(port: number) {
  const seen = new Seen();
  const connection = connectUdp({ host: "127.0.0.1", port }, seen);
  closers.push(() => connection.close());
  return { seen, connection };
}

test("a socket is open at once, with the port that it got", () => {
  expect(echo().port).toBeGreaterThan(0);
});

test("datagrams keep their borders, from none to all the bytes that there can be", async () => {
  const { port, from } = echo();
  const { seen, connection } = client(port);
  for (const size of [0, 1, 1500, 65_507]) {
    const before = seen.datagrams.length;
    expect(connection.send(Buffer.alloc(size, "ab"))).toBe(true);
    await until(() => seen.datagrams.length > before, `${size} bytes`);
    expect(seen.datagrams.at(-1)!.equals(Buffer.alloc(size, "ab"))).toBe(true);
  }
  expect(from).toEqual([0, 1, 1500, 65_507].map((size) => `127.0.0.1 ${size}`));
});

test("more than a datagram holds is not sent, and ends nothing", async () => {
  const { port, listener } = echo();
  const { seen, connection } = client(port);
  expect(connection.send(Buffer.alloc(65_508))).toBe(false);
  expect(listener.send(Buffer.alloc(65_508), port, "127.0.0.1")).toBe(false);
  connection.send(Buffer.from("x"));
  await until(() => seen.datagrams.length === 1, "an answer");
  expect(seen.errors).toEqual([]);
});

test("what arrived may be kept", async () => {
  const { port } = echo();
  const { seen, connection } = client(port);
  for (const text of ["one", "two", "three"]) connection.send(Buffer.from(text));
  await until(() => seen.datagrams.length === 3, "answers");
  expect(seen.datagrams.map(String)).toEqual(["one", "two", "three"]);
});

test("a peer that is not there is told of; not after the socket was closed", async () => {
  const { port, listener } = echo();
  listener.stop();
  const { seen, connection } = client(port);
  connection.send(Buffer.from("x"));
  await until(() => seen.errors.length > 0, "an error");
  expect(seen.errors[0]).toBe("ECONNREFUSED");
  const closed = client(port);
  closed.connection.send(Buffer.from("x"));
  closed.connection.close();
  expect(closed.connection.send(Buffer.from("x"))).toBe(false);
  await Bun.sleep(5);
  expect(closed.seen.errors).toEqual([]);
});

test("answers to somebody who is gone end nothing", async () => {
  const { port, listener, from } = echo();
  const gone = client(port);
  gone.connection.send(Buffer.from("x"));
  gone.connection.close();
  await until(() => from.length === 1, "the datagram");
  listener.send(Buffer.from("again"), 1, "127.0.0.1");
  const { seen, connection } = client(port);
  connection.send(Buffer.from("y"));
  await until(() => seen.datagrams.length === 1, "an answer");
});

test("an address can be shared, and whether it is taken can be seen", () => {
  const { port, listener } = echo();
  expect(echo({ ...HERE, port }).port).toBe(port);
  expect(isUdpTaken({ ...HERE, port })).toBe(true);
  listener.stop();
  expect(isUdpTaken({ ...HERE, port })).toBe(true);
  closers.pop()!();
  expect(isUdpTaken({ ...HERE, port })).toBe(false);
});

test("an address that is not ours is refused with the system's error", () => {
  expect(() => listenUdp({ host: "192.0.2.1", port: 0 }, () => {})).toThrow(
    expect.objectContaining({ code: "EADDRNOTAVAIL" }),
  );
});
