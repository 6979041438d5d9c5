// That a real server takes these signatures, and ours its own, is shown in test/acme.test.ts; here are the bad ones.

import { expect, test } from "bun:test";
import { createHmac } from "node:crypto";
import { CLASS, decodeMessage, encodeName, encodeQuery, encodeRecord, TYPE } from "./message.ts";
import { answerFlaw, signMessage } from "./tsig.ts";

const KEY = { name: "key.test", secret: Buffer.alloc(32, 1).toString("base64") };
const NOW_MS = 1_780_000_000_000;
const number = (value: number, bytes: number): Buffer => {
  const buffer = Buffer.alloc(bytes);
  buffer.writeUIntBE(value, 0, bytes);
  return buffer;
};

interface Twist {
  readonly seconds?: number;
  readonly error?: number;
  readonly secret?: string;
  readonly requestMac?: Buffer;
  /** Done to the answer after it was signed. */
  readonly damage?: (bytes: Buffer) => Buffer;
}

/** What a server answers to a signed update, by the letter of RFC 8945 §4.3 and §5.3. */
function serverAnswer(request: Buffer, requestMac: Buffer, twist: Twist) {
  const answer = Buffer.from(encodeQuery("a.test", TYPE.SOA, false));
  answer.writeUInt16BE(request.readUInt16BE(0), 0);
  answer.writeUInt16BE(0xa800, 2);
  const algorithm = encodeName("hmac-sha256");
  const time = Buffer.concat([number(twist.seconds ?? NOW_MS / 1000, 6), number(300, 2)]);
  const end = Buffer.concat([number(twist.error ?? 0, 2), number(0, 2)]);
  const variables = Buffer.concat([encodeName(KEY.name), number(CLASS.ANY, 2), number(0, 4), algorithm, time, end]);
  const given = twist.requestMac ?? requestMac;
  const hmac = createHmac("sha256", Buffer.from(twist.secret ?? KEY.secret, "base64"));
  const mac = hmac.update(number(given.length, 2)).update(given).update(answer).update(variables).digest();
  const data = Buffer.concat([algorithm, time, number(mac.length, 2), mac, answer.subarray(0, 2), end]);
  const bytes = Buffer.concat([answer, encodeRecord(KEY.name, TYPE.TSIG, CLASS.ANY, 0, data)]);
  bytes.writeUInt16BE(1, 10);
  return decodeMessage(twist.damage?.(bytes) ?? bytes);
}

const flip = (at: number) => (bytes: Buffer) => {
  bytes[at]! ^= 1;
  return bytes;
};
const unsigned = (bytes: Buffer): Buffer => {
  bytes.writeUInt16BE(0, 10);
  return bytes;
};
const CASES: readonly (readonly [name: string, twist: Twist, want: RegExp | null])[] = [
  ["right", {}, null],
  ["at the edge of the time", { seconds: NOW_MS / 1000 - 300 }, null],
  ["of another time", { seconds: NOW_MS / 1000 - 301 }, /clocks/],
  ["with another secret", { secret: Buffer.alloc(32, 2).toString("base64") }, /signature of its answer is wrong/],
  ["to another request", { requestMac: Buffer.alloc(32) }, /signature of its answer is wrong/],
  ["changed on the way", { damage: flip(3) }, /signature of its answer is wrong/],
  ["without a signature", { damage: unsigned }, /not signed/],
  ["that says BADKEY", { error: 17 }, /BADKEY/],
  ["that says BADTIME", { error: 18 }, /BADTIME/],
];
for (const [name, twist, want] of CASES)
  test(`an answer ${name}`, () => {
    const { bytes, mac } = signMessage(encodeQuery("a.test", TYPE.SOA, false), KEY, NOW_MS);
    expect(decodeMessage(bytes).additionals).toHaveLength(1);
    const flaw = answerFlaw(serverAnswer(bytes, mac, twist), KEY, mac, NOW_MS);
    if (want === null) expect(flaw).toBeNull();
    else expect(flaw).toMatch(want);
  });
