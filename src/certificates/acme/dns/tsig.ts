// Signatures of DNS messages with a shared secret (RFC 8945), HMAC-SHA256 only.
import { createHmac, timingSafeEqual } from "node:crypto";
import { CLASS, type DnsMessage, encodeName, encodeRecord, readName, TYPE } from "./message.ts";

export interface TsigKey {
  readonly name: string;
  /** base64 */
  readonly secret: string;
}

/** A message with its signature, and what is needed to check that the answer belongs to it. */
export interface SignedMessage {
  readonly bytes: Buffer;
  readonly mac: Buffer;
}

const ALGORITHM = "hmac-sha256";
/** How far the clocks may be apart (RFC 8945 §10). */
const FUDGE_SECONDS = 300;
const ADDITIONAL_COUNT_AT = 10;
/** RFC 8945 §3 */
const ERRORS: ReadonlyMap<number, string> = new Map([
  [16, "the signature is wrong (BADSIG): is the secret the same?"],
  [17, "it does not know the key (BADKEY)"],
  [18, "the clocks are too far apart (BADTIME)"],
  [22, "it does not accept the length of the signature (BADTRUNC)"],
]);

/** Adds a TSIG record; `nowMs` is the wall clock. */
export function signMessage(message: Buffer, key: TsigKey, nowMs: number): SignedMessage {
  const variables: Variables = { seconds: Math.floor(nowMs / 1000), fudge: FUDGE_SECONDS, error: 0, other: NOTHING };
  const mac = macOf(key, [message, digestVariables(key, variables)]);
  const record = encodeRecord(key.name, TYPE.TSIG, CLASS.ANY, 0, tsigData(variables, mac, message.readUInt16BE(0)));
  const bytes = Buffer.concat([message, record]);
  bytes.writeUInt16BE(message.readUInt16BE(ADDITIONAL_COUNT_AT) + 1, ADDITIONAL_COUNT_AT);
  return { bytes, mac };
}

/**
 * Checks the signature of an answer (RFC 8945 §5.3). Null when it is right, else what is wrong.
 *
 * @throws DnsFormatError when the record is damaged
 */
export function answerFlaw(answer: DnsMessage, key: TsigKey, requestMac: Buffer, nowMs: number): string | null {
  const record = answer.additionals.at(-1);
  if (record?.type !== TYPE.TSIG) return "the answer is not signed";
  const { end } = readName(answer.bytes, record.dataAt);
  const { data } = record;
  const at = end - record.dataAt;
  const macLength = data.length >= at + 10 ? data.readUInt16BE(at + 8) : 0;
  const tail = at + 10 + macLength;
  if (data.length < tail + 6) return "its signature is cut off";
  const mac = data.subarray(at + 10, tail);
  const error = data.readUInt16BE(tail + 2);
  const told = ERRORS.get(error);
  if (told !== undefined) return told;
  const seconds = data.readUIntBE(at, 6);
  const fudge = data.readUInt16BE(at + 6);
  const unsigned = Buffer.from(answer.bytes.subarray(0, record.at));
  unsigned.writeUInt16BE(data.readUInt16BE(tail), 0);
  unsigned.writeUInt16BE(unsigned.readUInt16BE(ADDITIONAL_COUNT_AT) - 1, ADDITIONAL_COUNT_AT);
  const variables: Variables = { seconds, fudge, error, other: data.subarray(tail + 6) };
  const expected = macOf(key, [withLength(requestMac), unsigned, digestVariables(key, variables)]);
  if (mac.length !== expected.length || !timingSafeEqual(mac, expected)) return "the signature of its answer is wrong";
  return Math.abs(nowMs / 1000 - seconds) > fudge ? "the clocks are too far apart" : null;
}

interface Variables {
  readonly seconds: number;
  readonly fudge: number;
  readonly error: number;
  readonly other: Buffer;
}

const NOTHING = Buffer.alloc(0);

const macOf = (key: TsigKey, parts: readonly Buffer[]): Buffer => {
  const hmac = createHmac("sha256", Buffer.from(key.secret, "base64"));
  for (const part of parts) hmac.update(part);
  return hmac.digest();
};

/** RFC 8945 §4.3.3 */
function digestVariables(key: TsigKey, { seconds, fudge, error, other }: Variables): Buffer {
  const classAndTtl = Buffer.from([0, CLASS.ANY, 0, 0, 0, 0]);
  return Buffer.concat([
    encodeName(key.name),
    classAndTtl,
    ...timeParts(seconds, fudge),
    number(error),
    withLength(other),
  ]);
}

/** RFC 8945 §4.2 */
function tsigData({ seconds, fudge, error, other }: Variables, mac: Buffer, originalId: number): Buffer {
  return Buffer.concat([
    ...timeParts(seconds, fudge),
    withLength(mac),
    number(originalId),
    number(error),
    withLength(other),
  ]);
}

function timeParts(seconds: number, fudge: number): Buffer[] {
  const time = Buffer.alloc(8);
  time.writeUIntBE(seconds, 0, 6);
  time.writeUInt16BE(fudge, 6);
  return [encodeName(ALGORITHM), time];
}

const withLength = (bytes: Buffer): Buffer => Buffer.concat([number(bytes.length), bytes]);

function number(value: number): Buffer {
  const bytes = Buffer.alloc(2);
  bytes.writeUInt16BE(value);
  return bytes;
}
