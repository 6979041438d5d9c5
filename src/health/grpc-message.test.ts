import { expect, test } from "bun:test";
import fc from "fast-check";
import { decodeHealthResponse, encodeHealthRequest, frameMessage } from "./grpc-message.ts";

test("requests", () => {
  expect(encodeHealthRequest("").toString("hex")).toBe("");
  expect(encodeHealthRequest("ab").toString("hex")).toBe("0a026162");
  expect(encodeHealthRequest("é".repeat(100)).toString("hex")).toBe(`0ac801${"c3a9".repeat(100)}`);
  expect(frameMessage(encodeHealthRequest("ab")).toString("hex")).toBe("00000000040a026162");
});

const ANSWERS: readonly (readonly [name: string, message: string, status: number | null])[] = [
  ["nothing set", "", 0],
  ["serving", "0801", 1],
  ["the last one counts", "08010802", 2],
  ["a long varint", "08ffffffff0f", 0xffffffff],
  ["too long a varint", "08ffffffffffffffffffff01", null],
  ["a negative number", "08ffffffffffffffffff01", null],
  ["an open varint", "0881", null],
  ["other fields of every type", "1001190102030405060708220161250102030408012a00", 1],
  ["a group", "0b08010c", null],
  ["a field that is cut", "220561", null],
  ["field number 0", "0001", null],
  ["the wrong type of field 1", "0a0101", 0],
];
for (const [name, message, status] of ANSWERS)
  test(`answer: ${name}`, () => expect(decodeHealthResponse(frameMessage(Buffer.from(message, "hex")))).toBe(status));

test("any bytes give a status or null", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 40 }), fc.boolean(), (bytes, framed) => {
      const status = decodeHealthResponse(framed ? frameMessage(Buffer.from(bytes)) : Buffer.from(bytes));
      expect(status === null || (Number.isSafeInteger(status) && status >= 0)).toBe(true);
    }),
  );
});
