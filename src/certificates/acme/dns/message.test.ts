import { expect, test } from "bun:test";
import fc from "fast-check";
import {
  CLASS,
  DnsFormatError,
  decodeMessage,
  encodeName,
  encodeQuery,
  encodeRecord,
  encodeText,
  encodeUpdate,
  nameIn,
  readName,
  TYPE,
  textOf,
} from "./message.ts";

const label = fc.stringMatching(/^[a-z0-9_-]{1,63}$/);
const domain = fc
  .array(label, { maxLength: 6 })
  .map((labels) => labels.join("."))
  .filter((name) => name.length <= 253);

/** An answer with these records, made from a query for `name`. */
function answerWith(name: string, records: readonly Buffer[]): Buffer {
  const bytes = Buffer.concat([encodeQuery(name, TYPE.TXT, true), ...records]);
  bytes.writeUInt16BE(0x8580, 2);
  bytes.writeUInt16BE(records.length, 6);
  return bytes;
}

test("what is written is read again", () => {
  fc.assert(
    fc.property(domain, fc.array(fc.string({ maxLength: 700 }), { maxLength: 4 }), (name, texts) => {
      const records = texts.map((text) => encodeRecord(name, TYPE.TXT, CLASS.IN, 30, encodeText(text)));
      const { answers, ...message } = decodeMessage(answerWith(name, records));
      expect(message).toMatchObject({ isResponse: true, isAuthoritative: true, isTruncated: false, rcode: 0 });
      expect(answers.map(textOf)).toEqual(texts.map((text) => Buffer.from(text).toString()));
      for (const each of answers) expect(each).toMatchObject({ name, type: TYPE.TXT, class: CLASS.IN, ttlSeconds: 30 });
    }),
  );
});

test("whatever arrives is read, or is a format error", () => {
  const valid = answerWith("a.test", [encodeRecord("a.test", TYPE.TXT, CLASS.IN, 1, encodeText("x"))]);
  const mutated = fc.array(fc.tuple(fc.nat(valid.length - 1), fc.nat(255))).map((changes) => {
    const bytes = Buffer.from(valid);
    for (const [at, value] of changes) bytes[at] = value;
    return bytes;
  });
  const any = fc.uint8Array({ maxLength: 600 }).map((bytes) => Buffer.from(bytes));
  fc.assert(
    fc.property(
      fc.oneof(
        any,
        mutated,
        fc.nat(valid.length).map((end) => valid.subarray(0, end)),
      ),
      (bytes) => {
        try {
          const message = decodeMessage(bytes);
          for (const record of message.answers) {
            textOf(record);
            nameIn(message, record);
          }
        } catch (error) {
          expect(error).toBeInstanceOf(DnsFormatError);
        }
      },
    ),
    { numRuns: 2000 },
  );
});

test("names may point backwards, and not in rings", () => {
  const bytes = Buffer.from("\x00\x03foo\x04test\x00\x01x\xc0\x01\xc0\x0e", "latin1");
  expect(readName(bytes, 11)).toEqual({ name: "x.foo.test", end: 15 });
  expect(() => readName(Buffer.from([0xc0, 0x00]), 0)).toThrow(DnsFormatError);
  expect(() => readName(Buffer.from([1, 97, 0xc0, 0x00]), 0)).toThrow(DnsFormatError);
});

test("what is no domain name is not written", () => {
  expect(encodeName("A.Test.")).toEqual(encodeName("a.test"));
  expect(encodeName(".")).toEqual(Buffer.of(0));
  for (const name of ["a..test", ".a", "x".repeat(64), `${"a.".repeat(127)}ab`])
    expect(() => encodeName(name)).toThrow(RangeError);
});

test("an update is as RFC 2136 has it", () => {
  const change = encodeRecord("_acme-challenge.a.test", TYPE.TXT, CLASS.NONE, 0, encodeText("v"));
  const update = encodeUpdate("a.test", [change]);
  expect(update.subarray(2).toString("hex")).toBe(
    `2800000100000001000001610474657374000006${"0001"}${change.toString("hex")}`,
  );
});
