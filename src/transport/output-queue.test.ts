import { describe, expect, test } from "bun:test";
import { freeSpent, SPENT_MIN } from "../core/spent.ts";
import { OutputQueue } from "./output-queue.ts";

describe("output that waits", () => {
  const drained = (given: boolean): { atHalf: boolean; atEnd: boolean } => {
    const bytes = Buffer.from(new ArrayBuffer(SPENT_MIN));
    const queue = new OutputQueue();
    queue.push(bytes, 0, bytes.length, false, given);
    let half = true;
    const take = (piece: Buffer): number => (half ? piece.length >> 1 : piece.length);
    queue.drainTo(take);
    freeSpent();
    const atHalf = bytes.buffer.detached;
    half = false;
    queue.drainTo(take);
    freeSpent();
    return { atHalf, atEnd: bytes.buffer.detached };
  };

  test("is freed once its last byte has gone", () => expect(drained(true)).toEqual({ atHalf: false, atEnd: true }));
  test("stays if others may look at it", () => expect(drained(false)).toEqual({ atHalf: false, atEnd: false }));
});
