import { describe, expect, test } from "bun:test";
import { FrameTracker } from "../../http/grpc-frames.ts";
import { HeaderBlock } from "../../http/header-block.ts";
import { cuts, feed } from "../../pipeline/body.testing.ts";
import { TrailersToFrame, trailerFrame } from "./frames.ts";

/** Frames as they lie in a body: flags, four bytes of length, the message. */
const frames = (...lengths: readonly number[]): Buffer =>
  Buffer.concat(
    lengths.map((length, at) => {
      const frame = Buffer.alloc(5 + length, 0x2a);
      frame[0] = at % 2;
      frame.writeUInt32BE(length, 1);
      return frame;
    }),
  );

describe("frames are followed", () => {
  for (const lengths of [[0], [1], [3, 0, 0, 2], [7, 1]] as const)
    test(`${lengths}, at every cut`, () => {
      const body = frames(...lengths);
      const ends = new Set([0]);
      let end = 0;
      for (const length of lengths) {
        end += 5 + length;
        ends.add(end);
      }
      for (const pieces of cuts(body)) {
        const tracker = new FrameTracker();
        let at = 0;
        for (const piece of pieces) {
          tracker.pass(piece, 0, piece.length);
          at += piece.length;
          expect([at, tracker.between]).toEqual([at, ends.has(at)]);
        }
      }
    });

  test("of the greatest length", () => {
    const tracker = new FrameTracker();
    tracker.pass(Buffer.from([0, 255, 255, 255, 255]), 0, 5);
    const piece = Buffer.alloc(1 << 20);
    for (let left = 4_294_967_295; left > 0; left -= piece.length) {
      expect(tracker.between).toBe(false);
      tracker.pass(piece, 0, Math.min(left, piece.length));
    }
    expect(tracker.between).toBe(true);
  });
});

describe("trailers as a frame", () => {
  test("names in lower case, values as they are", () => {
    const frame = trailerFrame(
      HeaderBlock.of([
        ["Grpc-Status", "0"],
        ["grpc-message", "gr%C3%BCn"],
        ["x-id-bin", "AAEC"],
        ["X-Twice", "a"],
        ["x-twice", "b\xe9"],
      ]),
    );
    const lines = "grpc-status:0\r\ngrpc-message:gr%C3%BCn\r\nx-id-bin:AAEC\r\nx-twice:a\r\nx-twice:b\xe9\r\n";
    expect(frame.subarray(0, 5)).toEqual(Buffer.from([0x80, 0, 0, 0, lines.length]));
    expect(frame.latin1Slice(5)).toBe(lines);
  });
  test("they stand behind the messages, which pass as they are", () => {
    const body = frames(3, 4);
    const trailers = HeaderBlock.of([["grpc-status", "5"]]);
    for (const pieces of cuts(body)) {
      const out = feed(new TrailersToFrame(), pieces, trailers);
      expect(out.bytes).toEqual(Buffer.concat([body, trailerFrame(trailers)]));
      expect([out.trailers, out.pieces.length]).toEqual([null, pieces.length + 1]);
    }
  });
  test("without any, the status is unknown", () => {
    const out = feed(new TrailersToFrame(), []);
    expect(out.bytes.latin1Slice(5)).toStartWith("grpc-status:2\r\n");
  });
});
