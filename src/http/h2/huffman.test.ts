import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { hex } from "./hpack.testing.ts";
import { BYTE_CLASS } from "./hpack-flags.ts";
import { decodedMax, HuffmanReader, huffmanEncode, huffmanLength } from "./huffman.ts";

const reader = new HuffmanReader();

function decode(coded: Buffer): string | null {
  const out = Buffer.alloc(decodedMax(coded.length) + 3, 0x2a);
  const end = reader.decode(coded, 0, coded.length, out, 1);
  return end < 0 ? null : out.latin1Slice(1, end);
}
function encode(bytes: Buffer): Buffer {
  const out = Buffer.alloc(bytes.length * 4 + 1);
  const end = huffmanEncode(bytes, 0, bytes.length, out, 0);
  expect(end).toBe(huffmanLength(bytes, 0, bytes.length));
  return out.subarray(0, end) as Buffer;
}
/** Bytes from bits, filled up with ones. */
const bits = (text: string): Buffer => {
  const digits = text.replaceAll(" ", "").padEnd(Math.ceil(text.replaceAll(" ", "").length / 8) * 8, "1");
  return Buffer.from(digits.match(/.{8}/g)?.map((byte) => Number.parseInt(byte, 2)) ?? []);
};

// RFC 7541 Appendix B: rows of every length, first and last ones of their length.
const CODES: readonly (readonly [byte: number, code: number, bits: number])[] = [
  [0x30, 0x0, 5],
  [0x74, 0x9, 5],
  [0x20, 0x14, 6],
  [0x75, 0x2d, 6],
  [0x3a, 0x5c, 7],
  [0x7a, 0x7b, 7],
  [0x26, 0xf8, 8],
  [0x5a, 0xfd, 8],
  [0x21, 0x3f8, 10],
  [0x3f, 0x3fc, 10],
  [0x27, 0x7fa, 11],
  [0x7c, 0x7fc, 11],
  [0x23, 0xffa, 12],
  [0x3e, 0xffb, 12],
  [0x00, 0x1ff8, 13],
  [0x7e, 0x1ffd, 13],
  [0x5e, 0x3ffc, 14],
  [0x7d, 0x3ffd, 14],
  [0x3c, 0x7ffc, 15],
  [0x7b, 0x7ffe, 15],
  [0x5c, 0x7fff0, 19],
  [0xd0, 0x7fff2, 19],
  [0x80, 0xfffe6, 20],
  [0xe2, 0xfffed, 20],
  [0x99, 0x1fffdc, 21],
  [0xe6, 0x1fffe8, 21],
  [0x81, 0x3fffd2, 22],
  [0xe9, 0x3fffeb, 22],
  [0x01, 0x7fffd8, 23],
  [0xef, 0x7ffff4, 23],
  [0x09, 0xffffea, 24],
  [0xed, 0xfffff5, 24],
  [0xc7, 0x1ffffec, 25],
  [0xeb, 0x1ffffef, 25],
  [0xc0, 0x3ffffe0, 26],
  [0xff, 0x3ffffee, 26],
  [0xcb, 0x7ffffde, 27],
  [0xfe, 0x7fffff0, 27],
  [0x02, 0xfffffe2, 28],
  [0xf9, 0xffffffe, 28],
  [0x0a, 0x3ffffffc, 30],
  [0x16, 0x3ffffffe, 30],
];

describe("codes", () => {
  for (const [byte, code, length] of CODES)
    test(`0x${byte.toString(16)} has ${length} bits`, () => {
      const coded = bits(code.toString(2).padStart(length, "0"));
      expect(encode(Buffer.from([byte]))).toEqual(coded);
      expect(decode(coded)).toBe(String.fromCharCode(byte));
    });

  test("they fill the tree: every byte comes back, at every offset in a byte", () => {
    for (let byte = 0; byte < 256; byte += 1)
      for (let before = 0; before < 8; before += 1) {
        const text = "0".repeat(before) + String.fromCharCode(byte);
        for (const after of ["", "a", "~~", "\n\x16"])
          expect(decode(encode(Buffer.from(text + after, "latin1")))).toBe(text + after);
      }
  });
});

// RFC 7541 §5.2.
const BROKEN: readonly (readonly [name: string, coded: Buffer])[] = [
  ["eight bits of padding", hex("ff")],
  ["eight bits of padding behind a byte", bits("00000 111 11111111")],
  ["padding with a zero", bits("00000 110")],
  ["padding of zeros", bits("00000 000 00000 000 00000 000 0000000")],
  ["EOS alone", hex("ffffffff")],
  ["EOS between bytes", bits(`00000 ${"1".repeat(30)} 00000`)],
  ["EOS at the end", bits(`000000 ${"1".repeat(30)}`)],
  ["a long code that is cut off", hex("fffe")],
  ["a long code without its last bit", bits(`00000 ${(0xfffffe2).toString(2).slice(0, -1)}`)],
  ["fourteen ones", bits("11111 11111 1111")],
];
describe("what no encoder writes", () => {
  for (const [name, coded] of BROKEN) test(name, () => expect(decode(coded)).toBeNull());
});

test("padding of seven ones is fine", () => {
  expect(decode(bits("00000 00000 00000 00000 00000 1111111"))).toBe("00000");
});

test("nothing is nothing", () => {
  expect(decode(Buffer.alloc(0))).toBe("");
  expect(encode(Buffer.alloc(0)).length).toBe(0);
});

test("any bytes come back, and their classes are told", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (array) => {
      const bytes = Buffer.from(array);
      expect(decode(encode(bytes))).toBe(bytes.latin1Slice());
      expect(reader.classes).toBe(bytes.reduce((classes, byte) => classes | BYTE_CLASS[byte]!, 0));
    }),
  );
});

test("what decodes is the one way to write it", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 40 }), (array) => {
      const coded = Buffer.from(array);
      const text = decode(coded);
      if (text !== null) expect(encode(Buffer.from(text, "latin1"))).toEqual(coded);
    }),
    { numRuns: 2000 },
  );
});
