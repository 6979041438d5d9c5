import { describe, expect, test } from "bun:test";
import { HEX_VALUE, isAuthority, listMembers, NAME_BYTE, TCHAR } from "./grammar.ts";
import { contentLength, transferCoding } from "./h1/framing.ts";
import { CHUNK_FRAME_BYTES_MAX, writeChunkHead } from "./h1/writer.ts";

test("byte classes", () => {
  for (let byte = 0; byte < 256; byte += 1) {
    const char = String.fromCharCode(byte);
    const isToken = /[!#$%&'*+.^_`|~0-9A-Za-z-]/.test(char);
    expect([byte, TCHAR[byte]]).toEqual([byte, Number(isToken)]);
    expect([byte, NAME_BYTE[byte]]).toEqual([byte, char === "_" ? 3 : Number(isToken)]);
    expect([byte, HEX_VALUE[byte]]).toEqual([byte, /[0-9a-fA-F]/.test(char) ? Number.parseInt(char, 16) : 255]);
  }
});

describe("authority", () => {
  for (const text of [
    "a",
    "A.b-c_d~e",
    "a:",
    "a:0",
    "a:65535",
    "1.2.3.4:80",
    "[::]",
    "[::1]:80",
    "[1:2:3:4:5:6:7:8]",
    "[::ffff:1.2.3.4]",
    "!$&'()*+;=",
    "a".repeat(255),
  ])
    test(`good: ${text}`, () => expect(isAuthority(text)).toBe(true));
  for (const text of [
    "",
    ":",
    ":80",
    "a:b",
    "a:65536",
    "a:000080",
    "a:-1",
    "a:80:80",
    "a b",
    "a,b",
    "a/b",
    "a@b",
    "a%41",
    "a?b",
    "a#b",
    "[",
    "[]",
    "[::1",
    "::1",
    "[::1]80",
    "[1.2.3.4]",
    "[:]",
    "[:::]",
    "[g::]",
    "[::1%25lo]",
    "[v1.a:b]",
    "a\u0100",
    "\xe9",
    "a\0",
    "a".repeat(300),
  ])
    test(`bad: ${JSON.stringify(text)}`, () => expect(isAuthority(text)).toBe(false));
});

test("list members", () => {
  const cases: readonly (readonly [value: string, members: readonly string[]])[] = [
    ["", [""]],
    ["a", ["a"]],
    [" A ,\tb\t, C d", ["a", "b", "c d"]],
    [",a,,", ["", "a", "", ""]],
    ["a\x0b,\xa0b", ["a\x0b", "\xa0b"]],
  ];
  for (const [value, members] of cases) expect(listMembers(value)).toEqual([...members]);
});

test("Content-Length: digits up to 2^53 - 1, exactly", () => {
  for (const [text, length] of [
    ["0", 0],
    ["00", 0],
    ["9007199254740991", Number.MAX_SAFE_INTEGER],
    ["9007199254740992", -1],
    ["9007199254740993", -1],
    ["9999999999999999", -1],
    ["0000000000000001", 1],
    ["00000000000000001", -1],
    ["", -1],
    ["1 ", -1],
    ["+1", -1],
    ["1,1", -1],
    ["\xb2", -1],
  ] as const) {
    const bytes = Buffer.from(`x${text}y`, "latin1");
    expect([text, contentLength(bytes, 1, bytes.length - 1)]).toEqual([text, length]);
  }
});

test("Transfer-Encoding", () => {
  for (const [value, coding] of [
    ["chunked", "chunked"],
    [" Chunked\t", "chunked"],
    ["gzip", "unknown"],
    ["gzip, chunked", "unknown"],
    ["gzip, deflate , chunked", "unknown"],
    ["chunked, gzip", "invalid"],
    ["chunked, chunked", "invalid"],
    ["chunked, gzip, chunked", "invalid"],
    ["", "invalid"],
    [",", "invalid"],
    ["chunked,", "invalid"],
    ["chunked;a", "invalid"],
    ["chunked\x0b", "invalid"],
    ["\xa0chunked", "invalid"],
  ] as const)
    expect([value, transferCoding(value)]).toEqual([value, coding]);
});

test("chunk sizes are written as they are read, around every power of 16", () => {
  const out = Buffer.alloc(CHUNK_FRAME_BYTES_MAX);
  const sizes = [1, Number.MAX_SAFE_INTEGER];
  for (let power = 16; power < Number.MAX_SAFE_INTEGER; power *= 16) sizes.push(power - 1, power, power + 1);
  for (const size of sizes) {
    const end = writeChunkHead(out, 0, size);
    expect(out.latin1Slice(0, end)).toBe(`${size.toString(16)}\r\n`);
    expect(end + 2).toBeLessThanOrEqual(CHUNK_FRAME_BYTES_MAX);
  }
});
