// DNS messages (RFC 1035 §4), as much of them as updates of records and looking for them need.
import { randomInt } from "node:crypto";

export const TYPE = { A: 1, NS: 2, CNAME: 5, SOA: 6, TXT: 16, AAAA: 28, TSIG: 250 } as const;
export const CLASS = { IN: 1, NONE: 254, ANY: 255 } as const;

const HEADER_BYTES = 12;
const LABEL_BYTES_MAX = 63;
const NAME_BYTES_MAX = 255;
/** A name is 127 labels at most, so it cannot need more pointers; more is a ring. */
const POINTERS_MAX = 127;
const TEXT_BYTES_MAX = 255;
const RECURSION_DESIRED = 0x0100;
const OPCODE_UPDATE = 5 << 11;
const IDS = 0x10000;

/** What arrived does not follow RFC 1035. */
export class DnsFormatError extends Error {
  override readonly name = "DnsFormatError";
}

export interface DnsRecord {
  /** Lower case, without the dot at the end. */
  readonly name: string;
  readonly type: number;
  readonly class: number;
  readonly ttlSeconds: number;
  readonly data: Buffer;
  /** Where `data` and the record itself begin in the message: names in them may point to what came before. */
  readonly dataAt: number;
  readonly at: number;
}

export interface DnsMessage {
  readonly id: number;
  readonly isResponse: boolean;
  readonly isAuthoritative: boolean;
  readonly isTruncated: boolean;
  /** RFC 1035 §4.1.1 and RFC 2136 §2.2. */
  readonly rcode: number;
  readonly answers: readonly DnsRecord[];
  readonly authorities: readonly DnsRecord[];
  readonly additionals: readonly DnsRecord[];
  readonly bytes: Buffer;
}

/** A question for all records of one type. */
export function encodeQuery(name: string, type: number, recursion: boolean): Buffer {
  return Buffer.concat([header(recursion ? RECURSION_DESIRED : 0, 1, 0, 0), encodeName(name), numbers(type, CLASS.IN)]);
}

/** An update of a zone (RFC 2136 §2) without any prerequisite. */
export function encodeUpdate(zone: string, changes: readonly Buffer[]): Buffer {
  return Buffer.concat([
    header(OPCODE_UPDATE, 1, 0, changes.length),
    encodeName(zone),
    numbers(TYPE.SOA, CLASS.IN),
    ...changes,
  ]);
}

export function encodeRecord(name: string, type: number, klass: number, ttlSeconds: number, data: Buffer): Buffer {
  const fixed = Buffer.alloc(10);
  fixed.writeUInt16BE(type, 0);
  fixed.writeUInt16BE(klass, 2);
  fixed.writeUInt32BE(ttlSeconds, 4);
  fixed.writeUInt16BE(data.length, 8);
  return Buffer.concat([encodeName(name), fixed, data]);
}

/** The data of a TXT record with one text, in pieces of 255 bytes (RFC 1035 §3.3.14). */
export function encodeText(text: string): Buffer {
  const bytes = Buffer.from(text);
  const parts: Buffer[] = [];
  for (let at = 0; at === 0 || at < bytes.length; at += TEXT_BYTES_MAX) {
    const part = bytes.subarray(at, at + TEXT_BYTES_MAX);
    parts.push(Buffer.of(part.length), part);
  }
  return Buffer.concat(parts);
}

/**
 * Lower case and uncompressed: the canonical form, which TSIG needs (RFC 8945 §4.3.3).
 *
 * @throws RangeError for what is no domain name
 */
export function encodeName(name: string): Buffer {
  const labels = name === "" || name === "." ? [] : name.replace(/\.$/, "").toLowerCase().split(".");
  const parts = labels.flatMap((label) => {
    const bytes = Buffer.from(label, "latin1");
    if (bytes.length === 0 || bytes.length > LABEL_BYTES_MAX) throw new RangeError(`not a domain name: ${name}`);
    return [Buffer.of(bytes.length), bytes];
  });
  const encoded = Buffer.concat([...parts, Buffer.of(0)]);
  if (encoded.length > NAME_BYTES_MAX) throw new RangeError(`not a domain name: ${name}`);
  return encoded;
}

/** @throws DnsFormatError */
export function decodeMessage(bytes: Buffer): DnsMessage {
  if (bytes.length < HEADER_BYTES) throw new DnsFormatError("too short");
  const flags = bytes.readUInt16BE(2);
  let at = HEADER_BYTES;
  for (let left = bytes.readUInt16BE(4); left > 0; left -= 1) at = readName(bytes, at).end + 4;
  const section = (count: number): DnsRecord[] => {
    const records: DnsRecord[] = [];
    for (let left = count; left > 0; left -= 1) {
      const record = readRecord(bytes, at);
      at = record.dataAt + record.data.length;
      records.push(record);
    }
    return records;
  };
  return {
    id: bytes.readUInt16BE(0),
    isResponse: (flags & 0x8000) !== 0,
    isAuthoritative: (flags & 0x0400) !== 0,
    isTruncated: (flags & 0x0200) !== 0,
    rcode: flags & 0x000f,
    answers: section(bytes.readUInt16BE(6)),
    authorities: section(bytes.readUInt16BE(8)),
    additionals: section(bytes.readUInt16BE(10)),
    bytes,
  };
}

/** The text of a TXT record, its pieces put together. */
export function textOf({ data }: DnsRecord): string {
  const parts: Buffer[] = [];
  for (let at = 0; at < data.length; at += 1 + data[at]!) parts.push(data.subarray(at + 1, at + 1 + data[at]!));
  return Buffer.concat(parts).toString();
}

/**
 * The name in the data of an NS or CNAME record.
 *
 * @throws DnsFormatError
 */
export const nameIn = (message: DnsMessage, record: DnsRecord): string => readName(message.bytes, record.dataAt).name;

function readRecord(bytes: Buffer, at: number): DnsRecord {
  const { name, end } = readName(bytes, at);
  const dataAt = end + 10;
  if (dataAt > bytes.length) throw new DnsFormatError("a record is cut off");
  const length = bytes.readUInt16BE(end + 8);
  if (dataAt + length > bytes.length) throw new DnsFormatError("a record is cut off");
  return {
    name,
    type: bytes.readUInt16BE(end),
    class: bytes.readUInt16BE(end + 2),
    ttlSeconds: bytes.readUInt32BE(end + 4),
    data: bytes.subarray(dataAt, dataAt + length),
    dataAt,
    at,
  };
}

/** A name that may be compressed (RFC 1035 §4.1.4), and where what follows it begins. */
export function readName(bytes: Buffer, from: number): { readonly name: string; readonly end: number } {
  const labels: string[] = [];
  let end = -1;
  let length = 0;
  let pointers = 0;
  for (let at = from; ; ) {
    const size = bytes[at];
    if (size === undefined) throw new DnsFormatError("a name is cut off");
    if (size >= 0xc0) {
      const low = bytes[at + 1];
      if (low === undefined || ++pointers > POINTERS_MAX) throw new DnsFormatError("a name points nowhere");
      if (end < 0) end = at + 2;
      at = (size & 0x3f) * 256 + low;
      continue;
    }
    if (size > LABEL_BYTES_MAX) throw new DnsFormatError("a label of an unknown kind");
    at += 1;
    if (size === 0) return { name: labels.join(".").toLowerCase(), end: end < 0 ? at : end };
    length += size + 1;
    if (at + size > bytes.length || length >= NAME_BYTES_MAX) throw new DnsFormatError("a name is too long");
    labels.push(bytes.toString("latin1", at, at + size));
    at += size;
  }
}

function header(flags: number, questions: number, answers: number, authorities: number): Buffer {
  return numbers(randomInt(IDS), flags, questions, answers, authorities, 0);
}

function numbers(...values: readonly number[]): Buffer {
  const bytes = Buffer.alloc(values.length * 2);
  for (const [at, value] of values.entries()) bytes.writeUInt16BE(value, at * 2);
  return bytes;
}
