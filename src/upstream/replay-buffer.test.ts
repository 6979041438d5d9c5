import { expect, test } from "bun:test";
import fc from "fast-check";
import type { H1Client } from "./h1-client.ts";
import { ReplayBuffer } from "./replay-buffer.ts";

/** What it would send. */
function replayed(buffer: ReplayBuffer): string {
  let sent = "";
  buffer.sendTo({
    sendData: (bytes: Buffer, from: number, to: number) => {
      sent += bytes.latin1Slice(from, to);
    },
  } as unknown as H1Client);
  return sent;
}

const bytes = Buffer.from("0123456789");

test.each([
  ["nothing", 10, [], "", true],
  ["one piece", 10, [[2, 5]], "234", true],
  [
    "several, in their order",
    10,
    [
      [0, 3],
      [7, 10],
      [3, 4],
    ],
    "0127893",
    true,
  ],
  ["as many bytes as there may be", 10, [[0, 10]], "0123456789", true],
  ["one byte more", 9, [[0, 10]], "", false],
  [
    "one byte more, later",
    9,
    [
      [0, 5],
      [5, 10],
    ],
    "01234",
    false,
  ],
  ["bodies are not kept at all", 0, [[0, 1]], "", false],
] as const)("%s", (_, max, pieces, text, fits) => {
  const buffer = new ReplayBuffer(max);
  let all = true;
  for (const [from, to] of pieces) all = buffer.add(bytes, from, to, false) && all;
  expect([all, replayed(buffer)]).toEqual([fits, text]);
});

test("what was not sent to anybody is kept, however much it is", () => {
  const buffer = new ReplayBuffer(3);
  expect(buffer.add(bytes, 0, 3, false)).toBe(true);
  expect(buffer.add(bytes, 3, 10, true)).toBe(true);
  expect(replayed(buffer)).toBe("0123456789");
  expect(buffer.add(bytes, 0, 1, false)).toBe(false); // …but no more of what is being sent
});

test("a body in many small pieces costs more than its bytes: their number has an end", () => {
  const buffer = new ReplayBuffer(1_000_000);
  let kept = 0;
  while (buffer.add(bytes, 0, 1, false)) kept += 1;
  expect(kept).toBe(256);
});

test("property: it sends what was added, and can do so again", () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.nat(10), fc.nat(10)), { maxLength: 50 }), (pieces) => {
      const buffer = new ReplayBuffer(1000);
      let text = "";
      for (const [a, b] of pieces) {
        const [from, to] = [Math.min(a, b), Math.max(a, b)];
        expect(buffer.add(bytes, from, to, false)).toBe(true);
        text += bytes.latin1Slice(from, to);
      }
      expect([replayed(buffer), replayed(buffer)]).toEqual([text, text]);
    }),
  );
});

test("a small part of a large chunk does not keep all of it", () => {
  const chunk = Buffer.from(new ArrayBuffer(65_536)).fill("x");
  const buffer = new ReplayBuffer(100_000);
  buffer.add(chunk, 0, 5, false);
  buffer.add(chunk, 0, 20_000, false);
  const kept: Buffer[] = [];
  buffer.sendTo({ sendData: (bytes: Buffer) => void kept.push(bytes) } as unknown as H1Client);
  expect(kept.map((bytes) => bytes.buffer === chunk.buffer)).toEqual([false, true]);
  expect(replayed(buffer)).toBe("x".repeat(20_005));
});
