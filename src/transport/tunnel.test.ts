import { expect, test } from "bun:test";
import { TimerWheel } from "../core/timers.ts";
import { type ConnectionHandler, HIGH_WATER } from "./connection.ts";
import { type MemoryConnection, memoryPair } from "./memory-pair.ts";
import { Tunnel } from "./tunnel.ts";

const IDLE_MS = 60_000;

class Far implements ConnectionHandler {
  text = "";
  ended = false;
  closed = false;
  readonly connection: MemoryConnection;
  constructor(connection: MemoryConnection) {
    this.connection = connection;
    connection.handler = this;
  }
  onData(chunk: Buffer): void {
    this.text += chunk.latin1Slice();
  }
  onDrain(): void {}
  onEnd(): void {
    this.ended = true;
  }
  onClose(): void {
    this.closed = true;
  }
  send(text: string): void {
    const bytes = Buffer.from(text, "latin1");
    this.connection.send(bytes, 0, bytes.length, false);
  }
}

/** A tunnel between two pairs in memory, on a clock of its own. */
function rig(earlyA: string | null = null, earlyB: string | null = null) {
  let now = 0;
  const wheel = new TimerWheel(() => now);
  const [outerA, innerA] = memoryPair();
  const [outerB, innerB] = memoryPair();
  const closed: [number, number][] = [];
  const bytesOf = (text: string | null): Buffer | null => (text === null ? null : Buffer.from(text, "latin1"));
  const [a, b] = [new Far(outerA), new Far(outerB)];
  const tunnel = new Tunnel(innerA, bytesOf(earlyA), innerB, bytesOf(earlyB), IDLE_MS, wheel, (fromA, fromB) => {
    closed.push([fromA, fromB]);
  });
  const pass = (ms: number): void => {
    for (let left = ms; left > 0; left -= 100) {
      now += 100;
      wheel.turn();
    }
  };
  return { a, b, innerA, innerB, tunnel, closed, pass };
}
/** Everything in memory happens in microtasks: once a macrotask comes, it has happened. */
const settle = (): Promise<void> => Bun.sleep(1);

test("early bytes of both sides come first", async () => {
  const { a, b, tunnel, closed } = rig("from a,", "from b,");
  a.send("more a");
  b.send("more b");
  await settle();
  expect(b.text).toBe("from a,more a");
  expect(a.text).toBe("from b,more b");
  tunnel.close();
  tunnel.close();
  await settle();
  expect(closed).toEqual([[13, 13]]);
  expect([a.ended, b.ended]).toEqual([true, true]);
});

test("a side that ends may still be sent to; when both have ended it is over", async () => {
  const { a, b, closed } = rig();
  a.connection.end();
  await settle();
  expect(b.ended).toBe(true);
  b.send("late");
  await settle();
  expect(a.text).toBe("late");
  expect(closed).toEqual([]);
  b.connection.end();
  await settle();
  expect(closed).toEqual([[0, 4]]);
  expect([a.closed, b.closed]).toEqual([true, true]);
});

test("a side that does not read holds the other back, with bounded queues", async () => {
  const { a, b, innerB } = rig();
  b.connection.pause();
  for (let i = 0; i < 100; i += 1) {
    a.send("x".repeat(65_536));
    await settle();
  }
  expect(a.connection.queued).toBeGreaterThan(50 * 65_536);
  expect(innerB.queued).toBeLessThan(4 * HIGH_WATER);
  b.connection.resume();
  await settle();
  expect(b.text.length).toBe(100 * 65_536);
});

test("a reset of one side ends the other, with what was on its way", async () => {
  const { a, b, closed } = rig();
  a.send("last words");
  await settle();
  a.connection.destroy(true);
  await settle();
  expect(b.text).toBe("last words");
  expect(b.ended).toBe(true);
  expect(closed).toEqual([[10, 0]]);
});

test("silence ends it, bytes in either direction put that off", async () => {
  const { a, b, closed, pass } = rig();
  for (let i = 0; i < 4; i += 1) {
    pass(IDLE_MS - 1000);
    (i % 2 === 0 ? a : b).send("!");
    await settle();
  }
  expect(closed).toEqual([]);
  pass(IDLE_MS + 1000);
  await settle();
  expect(closed).toEqual([[2, 2]]);
  expect([a.ended, b.ended]).toEqual([true, true]);
});

for (const end of ["silence", "the other side's reset"] as const)
  test(`a side that never reads does not keep its connection after ${end}`, async () => {
    const { a, b, innerB, closed, pass } = rig();
    b.connection.pause();
    a.send("x".repeat(10 * 65_536));
    await settle();
    if (end === "silence") pass(IDLE_MS + 1000);
    else a.connection.destroy(true);
    await settle();
    expect(closed).toHaveLength(1);
    expect(innerB.closed).toBe(false); // what is queued gets its time
    pass(25_000);
    await settle();
    expect(innerB.closed).toBe(true);
    expect(closed).toHaveLength(1);
  });

test("a side that reads slowly gets everything after the other has gone", async () => {
  const { a, b, pass } = rig();
  b.connection.pause();
  const text = "x".repeat(3 * 65_536);
  a.send(text);
  await settle();
  a.connection.close();
  while (b.text.length < text.length) {
    const before = b.text.length;
    pass(8000);
    b.connection.resume();
    await Promise.resolve();
    b.connection.pause();
    await settle();
    expect(b.text.length).toBeGreaterThan(before);
  }
  b.connection.resume();
  await settle();
  expect(b.ended).toBe(true);
});
