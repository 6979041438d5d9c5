import { expect, test } from "bun:test";
import { TimerWheel } from "../core/timers.ts";
import { type ConnectionHandler, HIGH_WATER } from "./connection.ts";
import { type MemoryConnection, memoryPair } from "./memory-pair.ts";
import { Tunnel, type TunnelOutcome } from "./tunnel.ts";

const IDLE_MS = 60_000;

class Far implements ConnectionHandler {
  text = "";
  ended = false;
  closed = false;
  error: Error | null = null;
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
  onClose(error: Error | null): void {
    this.closed = true;
    this.error = error;
  }
  /** How it ended, if it did. */
  get end(): string {
    return !this.closed ? (this.ended ? "ended" : "open") : this.error === null ? "closed" : "reset";
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
  const outcomes: TunnelOutcome[] = [];
  const bytesOf = (text: string | null): Buffer | null => (text === null ? null : Buffer.from(text, "latin1"));
  const [a, b] = [new Far(outerA), new Far(outerB)];
  const tunnel = new Tunnel(
    innerA,
    bytesOf(earlyA),
    innerB,
    bytesOf(earlyB),
    IDLE_MS,
    wheel,
    (fromA, fromB, outcome) => {
      closed.push([fromA, fromB]);
      outcomes.push(outcome);
    },
  );
  const pass = (ms: number): void => {
    for (let left = ms; left > 0; left -= 100) {
      now += 100;
      wheel.turn();
    }
  };
  return { a, b, innerA, innerB, tunnel, closed, outcomes, pass };
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

for (const [side, outcome] of [
  ["a", "lostA"],
  ["b", "lostB"],
] as const)
  test(`a reset of ${side} is a reset of the other side: what it has is not the whole`, async () => {
    const { a, b, innerA, innerB, closed, outcomes } = rig();
    const [one, other] = side === "a" ? [a, b] : [b, a];
    one.send("half of i");
    await settle();
    one.connection.destroy(true);
    await settle();
    expect([other.text, other.ended, other.end]).toEqual(["half of i", false, "reset"]);
    expect(closed).toEqual([side === "a" ? [9, 0] : [0, 9]]);
    expect(outcomes).toEqual([outcome]);
    expect([innerA.closed, innerB.closed]).toEqual([true, true]);
  });

for (const side of ["a", "b"] as const)
  test(`a reset of ${side} after the other side has ended`, async () => {
    const { a, b, outcomes } = rig();
    const [one, other] = side === "a" ? [a, b] : [b, a];
    other.connection.end();
    await settle();
    one.send("half of i");
    await settle();
    one.connection.destroy(true);
    await settle();
    expect([other.text, other.ended, other.end]).toEqual(["half of i", false, "reset"]);
    expect(outcomes).toEqual([side === "a" ? "lostA" : "lostB"]);
  });

test("a side that breaks after its end has said everything: the other side gets it all", async () => {
  const { a, b, outcomes, pass } = rig();
  const text = "x".repeat(10 * 65_536);
  a.send(text);
  a.connection.end();
  await settle();
  b.connection.pause();
  b.send("late");
  await settle();
  a.connection.destroy(true);
  await settle();
  expect(outcomes).toEqual(["lostA"]);
  pass(1000);
  b.connection.resume();
  await settle();
  expect([b.text.length, b.end]).toEqual([text.length, "ended"]);
});

test("both sides see a reset when it is cut, whatever is queued", async () => {
  const { a, b, tunnel, closed, outcomes } = rig();
  b.connection.pause();
  a.send("x".repeat(10 * 65_536));
  await settle();
  tunnel.cut();
  tunnel.cut();
  tunnel.close();
  await settle();
  expect([a.end, b.end]).toEqual(["reset", "reset"]);
  expect(closed).toHaveLength(1);
  expect(outcomes).toEqual(["cut"]);
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

for (const end of ["silence", "the other side's reset", "a cut"] as const)
  test(`a side that never reads does not keep its connection after ${end}`, async () => {
    const { a, b, innerB, tunnel, closed, pass } = rig();
    b.connection.pause();
    a.send("x".repeat(10 * 65_536));
    await settle();
    if (end === "the other side's reset") a.connection.destroy(true);
    else pass(IDLE_MS + 1000);
    if (end === "a cut") tunnel.cut(); // it is over by then, but not through
    await settle();
    expect(closed).toHaveLength(1);
    expect(innerB.closed).toBe(end !== "silence"); // what is queued gets its time
    pass(25_000);
    await settle();
    expect(innerB.closed).toBe(true);
    expect(b.end).toBe("reset"); // it has not got everything
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

test("the memory of what has been passed on is freed", async () => {
  const { a, b, innerA } = rig();
  const chunks: Buffer[] = [];
  const half = innerA.handler;
  innerA.handler = {
    onData(chunk) {
      chunks.push(chunk);
      half.onData(chunk);
    },
    onDrain: () => half.onDrain(),
    onEnd: () => half.onEnd(),
    onClose: (error) => half.onClose(error),
  };
  const text = "0123456789abcdef".repeat(4096);
  for (let i = 0; i < 3; i += 1) {
    a.send(text);
    await settle();
  }
  expect(b.text).toBe(text.repeat(3));
  expect(chunks.map((chunk) => chunk.length)).toEqual([0, 0, 0]);
});
