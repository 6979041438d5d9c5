// HTTP/2 frames (RFC 9113 §4 and §6) as the tests write and read them, whether they make sense or not.
import { ERROR_NAMES } from "../../src/http/h2/frames.ts";
import { encodeFields, type Fields } from "./h2-hpack.ts";

const TYPES = [
  "DATA",
  "HEADERS",
  "PRIORITY",
  "RST_STREAM",
  "SETTINGS",
  "PUSH_PROMISE",
  "PING",
  "GOAWAY",
  "WINDOW_UPDATE",
  "CONTINUATION",
] as const;
export type FrameType = (typeof TYPES)[number];

export type ErrorName = (typeof ERROR_NAMES)[number];

export const END_STREAM = 0x1;
export const ACK = 0x1;
export const END_HEADERS = 0x4;
export const PADDED = 0x8;
export const PRIORITISED = 0x20;

export const SETTING = {
  HEADER_TABLE_SIZE: 1,
  ENABLE_PUSH: 2,
  MAX_CONCURRENT_STREAMS: 3,
  INITIAL_WINDOW_SIZE: 4,
  MAX_FRAME_SIZE: 5,
  MAX_HEADER_LIST_SIZE: 6,
  ENABLE_CONNECT_PROTOCOL: 8,
  NO_RFC7540_PRIORITIES: 9,
} as const;
export type SettingName = keyof typeof SETTING;
export type Settings = Partial<Record<SettingName, number>>;

export const PREFACE = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
const FRAME_HEAD = 9;

export interface Frame {
  /** The number where it has no name. */
  readonly type: FrameType | number;
  readonly flags: number;
  readonly stream: number;
  readonly payload: Buffer;
}

type Bytes = string | Buffer | readonly number[];
const bytesOf = (bytes: Bytes): Buffer =>
  typeof bytes === "string" ? Buffer.from(bytes, "latin1") : Buffer.isBuffer(bytes) ? bytes : Buffer.from([...bytes]);

/** Any frame at all; `length` is what it claims, by default the truth. */
export function frame(type: FrameType | number, stream: number, flags = 0, payload: Bytes = "", length = -1): Buffer {
  const body = bytesOf(payload);
  const head = Buffer.alloc(FRAME_HEAD);
  head.writeUIntBE(length < 0 ? body.length : length, 0, 3);
  head[3] = typeof type === "number" ? type : TYPES.indexOf(type);
  head[4] = flags;
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, body]);
}

/** The frame that the bytes begin with; null while it is not all there. */
export function firstFrame(bytes: Buffer): Frame | null {
  if (bytes.length < FRAME_HEAD) return null;
  const end = FRAME_HEAD + bytes.readUIntBE(0, 3);
  if (bytes.length < end) return null;
  const type = TYPES[bytes[3]!] ?? bytes[3]!;
  return { type, flags: bytes[4]!, stream: bytes.readUInt32BE(5), payload: bytes.subarray(FRAME_HEAD, end) };
}

export const uint32 = (value: number): Buffer => Buffer.from([value >>> 24, value >>> 16, value >>> 8, value]);
/** The payload of a padded frame. */
export const padded = (payload: Bytes, padding: number): Buffer =>
  Buffer.concat([Buffer.from([padding]), bytesOf(payload), Buffer.alloc(padding)]);

export const data = (stream: number, content: Bytes = "", flags = 0): Buffer => frame("DATA", stream, flags, content);
export const lastData = (stream: number, content: Bytes = ""): Buffer => data(stream, content, END_STREAM);
/** A HEADERS frame that is the whole block, unless the flags say otherwise. */
export const headers = (stream: number, fields: Fields | Buffer, flags = END_HEADERS): Buffer =>
  frame("HEADERS", stream, flags, Buffer.isBuffer(fields) ? fields : encodeFields(fields));
export const lastHeaders = (stream: number, fields: Fields | Buffer): Buffer =>
  headers(stream, fields, END_HEADERS | END_STREAM);
export const continuation = (stream: number, fields: Fields | Buffer, flags = END_HEADERS): Buffer =>
  frame("CONTINUATION", stream, flags, Buffer.isBuffer(fields) ? fields : encodeFields(fields));
/** What PRIORITY holds, and HEADERS with its flag; `weight` is the byte. */
export const dependency = (on: number, weight = 15, exclusive = false): Buffer =>
  Buffer.concat([uint32(exclusive ? (on | 0x8000_0000) >>> 0 : on), Buffer.from([weight])]);
export const priority = (stream: number, on = 0, weight = 15): Buffer =>
  frame("PRIORITY", stream, 0, dependency(on, weight));
export const rst = (stream: number, code: ErrorName | number = "CANCEL"): Buffer =>
  frame("RST_STREAM", stream, 0, uint32(typeof code === "number" ? code : ERROR_NAMES.indexOf(code)));
/** Settings in the order they are written; a list may hold one twice, and unknown ones. */
export function settings(values: Settings | readonly (readonly [id: number, value: number])[] = {}): Buffer {
  const list = Array.isArray(values)
    ? (values as readonly (readonly [number, number])[])
    : Object.entries(values as Settings).map(([name, value]) => [SETTING[name as SettingName], value!] as const);
  const entry = ([id, value]: readonly [number, number]) => Buffer.concat([Buffer.from([id >> 8, id]), uint32(value)]);
  return frame("SETTINGS", 0, 0, Buffer.concat(list.map(entry)));
}
export const SETTINGS_ACK = frame("SETTINGS", 0, ACK);
export const ping = (content = "tests' ping".slice(0, 8), flags = 0): Buffer => frame("PING", 0, flags, content);
export const goaway = (last: number, code: ErrorName | number = "NO_ERROR", debug = ""): Buffer =>
  frame(
    "GOAWAY",
    0,
    0,
    Buffer.concat([
      uint32(last),
      uint32(typeof code === "number" ? code : ERROR_NAMES.indexOf(code)),
      Buffer.from(debug),
    ]),
  );
export const windowUpdate = (stream: number, increment: number): Buffer =>
  frame("WINDOW_UPDATE", stream, 0, uint32(increment));

/** The fields of a request. */
export const requestFields = (method: string, path: string, more: Fields = []): Fields => [
  [":method", method],
  [":scheme", "http"],
  [":authority", "app.example"],
  [":path", path],
  ...more,
];
/** A whole request without a body. */
export const get = (stream: number, path = "/", more: Fields = []): Buffer =>
  lastHeaders(stream, requestFields("GET", path, more));
/** A request whose body follows. */
export const post = (stream: number, path = "/", more: Fields = []): Buffer =>
  headers(stream, requestFields("POST", path, more));
/** An answer's head whose body follows. */
export const respond = (stream: number, status: number | string, more: Fields = []): Buffer =>
  headers(stream, [[":status", String(status)], ...more]);

/** One line about a frame, for messages of tests. */
export function show({ type, flags, stream, payload }: Frame): string {
  const code = (at: number) => ERROR_NAMES[payload.readUInt32BE(at)] ?? payload.readUInt32BE(at);
  const detail =
    type === "RST_STREAM"
      ? code(0)
      : type === "GOAWAY"
        ? `${code(4)} ${payload.latin1Slice(8)}`
        : `${payload.length} bytes`;
  return `${type} stream ${stream} flags ${flags} ${detail}`;
}
