import { describe, expect, test } from "bun:test";
import { type Rng, tryLaw } from "../../core/fuzz.testing.ts";
import { ByteQueue } from "./byte-queue.ts";

/** Takes all that waits, at most `size` bytes at a time. */
function drain(queue: ByteQueue, size: number): string {
  let text = "";
  while (queue.length > 0) {
    const length = Math.min(size, queue.to - queue.from);
    text += queue.bytes.latin1Slice(queue.from, queue.from + length);
    queue.take(length);
  }
  return text;
}

describe("what is kept", () => {
  test("a large piece where it lies", () => {
    const queue = new ByteQueue();
    const chunk = Buffer.alloc(4000, "a");
    queue.push(chunk, 100, 3000);
    expect([queue.bytes === chunk, queue.from, queue.to, queue.length]).toEqual([true, 100, 3000, 2900]);
  });

  test("a small share of a large chunk as a copy, so that the chunk is free", () => {
    const queue = new ByteQueue();
    const chunk = Buffer.alloc(20_000, "a");
    queue.push(chunk, 0, 2000);
    chunk.fill("b");
    expect([queue.bytes === chunk, drain(queue, 9999)]).toEqual([false, "a".repeat(2000)]);
  });

  test("single bytes together, and those are as they were", () => {
    const queue = new ByteQueue();
    const chunk = Buffer.alloc(1);
    for (let i = 0; i < 5000; i += 1) {
      chunk[0] = 0x61 + (i % 26);
      queue.push(chunk, 0, 1);
    }
    expect([queue.to - queue.from, queue.length]).toEqual([4096, 5000]);
    const want = Array.from({ length: 5000 }, (_, i) => String.fromCharCode(0x61 + (i % 26))).join("");
    expect(drain(queue, 7)).toBe(want);
    expect([queue.length, queue.bytes.length, queue.from, queue.to]).toEqual([0, 0, 0, 0]);
  });

  test("nothing that has been taken", () => {
    const queue = new ByteQueue();
    const chunk = Buffer.alloc(2000);
    for (let i = 0; i < 1000; i += 1) queue.push(chunk, 0, 2000);
    for (let i = 0; i < 990; i += 1) {
      queue.push(chunk, 0, 2000);
      queue.take(2000);
      queue.take(1999);
      queue.take(1);
    }
    expect(queue.length).toBe(20_000);
    expect(drain(queue, 3000).length).toBe(20_000);
  });
});

function queueLaw(rng: Rng): void {
  const queue = new ByteQueue();
  let want = "";
  for (let step = 0; step < 100; step += 1) {
    if (rng.oneIn(2)) {
      const length = rng.below(rng.pick([4, 900, 5000]));
      const chunk = Buffer.alloc(length + rng.below(rng.pick([2, 9000])));
      for (let i = 0; i < chunk.length; i += 1) chunk[i] = rng.below(256);
      const from = rng.below(chunk.length - length + 1);
      if (length === 0) continue;
      queue.push(chunk, from, from + length);
      want += chunk.latin1Slice(from, from + length);
    } else if (queue.length > 0) {
      const size = 1 + rng.below(queue.to - queue.from);
      const got = queue.bytes.latin1Slice(queue.from, queue.from + size);
      queue.take(size);
      if (got !== want.slice(0, size)) throw new Error(`step ${step}: other bytes`);
      want = want.slice(size);
    }
    if (queue.length !== want.length) throw new Error(`step ${step}: ${queue.length} and not ${want.length}`);
  }
}

test("any order of pieces", () => void tryLaw("byte queue", queueLaw, 1, 300));
