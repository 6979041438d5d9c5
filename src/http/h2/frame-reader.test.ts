import { describe, expect, test } from "bun:test";
import { frame, hear } from "./frame-reader.testing.ts";
import { FLAG, TYPE } from "./frames.ts";

const PADDED_DATA = frame(TYPE.data, FLAG.padded, 1, "\x03body\0\0\0");

const CASES: readonly (readonly [name: string, bytes: Buffer, want: readonly string[]])[] = [
  ["nothing", Buffer.alloc(0), []],
  ["a payload", frame(TYPE.ping, 1, 0, "12345678"), ["frame 6 flags 1 stream 0 8 bytes", "payload 12345678"]],
  ["an empty payload", frame(TYPE.settings, 1, 0), ["frame 4 flags 1 stream 0 0 bytes", "payload "]],
  [
    "the reserved bit of the stream",
    frame(TYPE.ping, 0, 0x8000_0003, "x"),
    ["frame 6 flags 0 stream 3 1 bytes", "payload x"],
  ],
  ["DATA", frame(TYPE.data, 1, 5, "body"), ["frame 0 flags 1 stream 5 4 bytes", "content of 4", "data body"]],
  ["empty DATA", frame(TYPE.data, 0, 5), ["frame 0 flags 0 stream 5 0 bytes", "content of 0", "data "]],
  ["padding", PADDED_DATA, ["frame 0 flags 8 stream 1 8 bytes", "content of 4", "data body"]],
  [
    "padding of no bytes",
    frame(TYPE.data, FLAG.padded, 1, "\0body"),
    ["frame 0 flags 8 stream 1 5 bytes", "content of 4", "data body"],
  ],
  [
    "nothing but padding",
    frame(TYPE.data, FLAG.padded, 1, "\x02\0\0"),
    ["frame 0 flags 8 stream 1 3 bytes", "content of 0", "data "],
  ],
  [
    "too much padding",
    frame(TYPE.data, FLAG.padded, 1, "\x03\0\0"),
    ["frame 0 flags 8 stream 1 3 bytes", "bad padding"],
  ],
  ["no padding length", frame(TYPE.data, FLAG.padded, 1), ["frame 0 flags 8 stream 1 0 bytes", "bad padding"]],
  [
    "padding of HEADERS is left to others",
    frame(TYPE.headers, FLAG.padded, 1, "\x09x"),
    ["frame 1 flags 8 stream 1 2 bytes", "payload \x09x"],
  ],
  ["an unknown frame is stepped over", frame(0x16, 255, 9, "what"), ["frame 22 flags 255 stream 9 4 bytes"]],
  ["an unknown frame without payload", frame(0xff, 0, 9), ["frame 255 flags 0 stream 9 0 bytes"]],
  [
    "PRIORITY_UPDATE is known",
    frame(TYPE.priorityUpdate, 0, 0, "u=1"),
    ["frame 16 flags 0 stream 0 3 bytes", "payload u=1"],
  ],
];
/** What follows is heard as well, unless the frame was the last one. */
const NEXT = frame(TYPE.ping, 0, 0, "next");

for (const [name, bytes, want] of CASES)
  describe(name, () => {
    const isLast = want.at(-1) === "bad padding";
    const all = Buffer.concat([bytes, NEXT]) as Buffer;
    const heard = isLast ? want : [...want, "frame 6 flags 0 stream 0 4 bytes", "payload next"];
    test("in one piece", () => expect(hear([all])).toEqual([...heard]));
    test("byte by byte", () => {
      const pieces = Array.from(all, (_, i) => all.subarray(i, i + 1) as Buffer);
      expect(hear(pieces)).toEqual([...heard]);
    });
    test("in any two pieces", () => {
      for (let at = 0; at <= all.length; at += 1)
        expect(hear([all.subarray(0, at) as Buffer, all.subarray(at) as Buffer])).toEqual([...heard]);
    });
  });

test("a refused frame is the last one", () => {
  const bytes = Buffer.concat([NEXT, frame(TYPE.goaway, 0, 0, "x"), NEXT]) as Buffer;
  expect(hear([bytes, NEXT], TYPE.goaway)).toEqual([
    "frame 6 flags 0 stream 0 4 bytes",
    "payload next",
    "frame 7 flags 0 stream 0 1 bytes",
  ]);
});

test("an announced length costs nothing before its bytes come", () => {
  const before = process.memoryUsage().arrayBuffers;
  const header = frame(TYPE.headers, 0, 1, "xx", 16_384);
  for (let i = 0; i < 2000; i += 1) hear([header]);
  expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(2000 * 2048);
});
