import { describe, expect, test } from "bun:test";
import { tryLaw } from "../../core/fuzz.testing.ts";
import { recordLaw } from "./record.fuzz.ts";
import {
  type DiskRecord,
  decodeRecord,
  ENTRY,
  encodeRecord,
  lengthOf,
  RECORD_BYTES_MAX,
  RECORD_HEADER_BYTES,
  readRecordHeader,
  recordBytes,
  TOMBSTONE,
} from "./record.ts";

const RECORD: DiskRecord = {
  kind: ENTRY,
  key: Buffer.from("https\0a.example\0/x"),
  tags: Buffer.from("p1 p2"),
  meta: Buffer.from([0, 1, 2, 255]),
  head: Buffer.from("HTTP/1.1 200 OK\r\nA: b\r\n"),
  body: Buffer.from("hello"),
  storedAt: 1_800_000_000_123.5,
};
const BYTES = encodeRecord(RECORD);

test("comes back as it was", () => {
  expect(BYTES.length).toBe(recordBytes(RECORD));
  expect(decodeRecord(BYTES)).toEqual(RECORD);
  const tombstone: DiskRecord = { ...RECORD, kind: TOMBSTONE, head: Buffer.alloc(0), body: Buffer.alloc(0) };
  expect(decodeRecord(encodeRecord(tombstone))).toEqual(tombstone);
});

test("the header tells the length without the rest", () => {
  const shifted = Buffer.concat([Buffer.from("before"), BYTES.subarray(0, RECORD_HEADER_BYTES)]);
  expect(lengthOf(readRecordHeader(shifted, 6)!)).toBe(BYTES.length);
});

test("with any bit flipped, it is none", () => {
  for (let bit = 0; bit < BYTES.length * 8; bit += 1) {
    const damaged = Buffer.from(BYTES);
    damaged[bit >> 3]! ^= 1 << (bit & 7);
    if (decodeRecord(damaged) !== null) throw new Error(`bit ${bit} was not seen`);
  }
});

test("cut anywhere, it is none", () => {
  for (let end = 0; end < BYTES.length; end += 1) expect(decodeRecord(BYTES.subarray(0, end))).toBeNull();
});

describe("is none", () => {
  const crc = (bytes: Buffer): Buffer => {
    bytes.writeUInt32LE(Bun.hash.crc32(bytes.subarray(0, 44)), 44);
    return bytes;
  };
  const changed = (value: number, at: number): Buffer => {
    const bytes = Buffer.from(BYTES);
    bytes.writeUInt32LE(value, at);
    return crc(bytes);
  };
  test.each<[string, Buffer]>([
    ["of zeros", Buffer.alloc(200)],
    ["of another format", changed(0x32634c53, 0)],
    ["of an unknown kind", changed(4, 4)],
    ["longer than any", changed(RECORD_BYTES_MAX, 24)],
    ["with lengths that overflow", changed(0xffffffff, 8)],
    ["with the borders of its parts moved", crc(changed(RECORD.key.length + 1, 8))],
  ])("%s", (_, bytes) => {
    expect(decodeRecord(bytes)).toBeNull();
  });
});

test("holds for what is made up", () => {
  expect(tryLaw("record", recordLaw, 1, 2000)).toBe(2000);
});
