import { describe, expect, test } from "bun:test";
import zlib from "node:zlib";
import { ZstdFrames } from "./zstd-frames.ts";

const { ZSTD_c_checksumFlag, ZSTD_c_windowLog } = zlib.constants;
const NOISE = Buffer.from(crypto.getRandomValues(new Uint8Array(300_000)));
const SKIPPABLE = Buffer.from([0x53, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 1, 2, 3]);
const compressed = (bytes: Buffer, params: Record<number, number> = {}) => zlib.zstdCompressSync(bytes, { params });
const streamed = async (bytes: Buffer): Promise<Buffer> => {
  const pieces: Buffer[] = [];
  const stream = zlib.createZstdCompress({ params: { [ZSTD_c_checksumFlag]: 1 } });
  stream.on("data", (piece: Buffer) => void pieces.push(piece));
  stream.write(bytes.subarray(0, 100));
  stream.flush();
  stream.end(bytes.subarray(100));
  await new Promise((resolve) => stream.on("end", resolve));
  return Buffer.concat(pieces);
};

const CASES: readonly (readonly [name: string, bytes: Buffer])[] = [
  ["text", compressed(Buffer.from("hello ".repeat(100)))],
  ["nothing", compressed(Buffer.alloc(0))],
  ["zeros, which are repeated bytes", compressed(Buffer.alloc(1_000_000))],
  ["noise in several raw blocks", compressed(NOISE)],
  ["a checksum", compressed(NOISE, { [ZSTD_c_checksumFlag]: 1, [ZSTD_c_windowLog]: 12 })],
  ["a length of one byte", compressed(Buffer.from("x"))],
  ["a stream without a length", await streamed(NOISE)],
  ["two frames", Buffer.concat([compressed(Buffer.from("a")), compressed(Buffer.from("b"))])],
  ["a frame to skip", Buffer.concat([SKIPPABLE, compressed(Buffer.from("b")), SKIPPABLE])],
];

describe("is whole at its end, however it is cut", () => {
  for (const [name, bytes] of CASES)
    for (const size of [1, 7, 4096, 1_000_000])
      test(`${name}, cut every ${size}`, () => {
        const frames = new ZstdFrames();
        for (let at = 0; at < bytes.length; at += size) frames.push(bytes.subarray(at, at + size) as Buffer);
        expect(frames.isWhole).toBe(true);
      });
});

test("is not whole before its end", () => {
  for (const bytes of [compressed(Buffer.from("hello ".repeat(100))), CASES[4]![1], SKIPPABLE])
    for (const end of [0, 1, 4, 5, 6, 8, bytes.length - 5, bytes.length - 1]) {
      const frames = new ZstdFrames();
      frames.push(bytes.subarray(0, end) as Buffer);
      expect([end, frames.isWhole]).toEqual([end, false]);
    }
});

test("what is no frame is never whole", () => {
  for (const wrong of [Buffer.from("not zstd"), Buffer.from([0x28, 0xb5, 0x2f, 0xfd, 0, 0, 0x06, 0, 0, 0, 0])]) {
    const frames = new ZstdFrames();
    frames.push(wrong);
    frames.push(Buffer.alloc(100));
    expect(frames.isWhole).toBe(false);
  }
});
