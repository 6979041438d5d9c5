// The two messages of grpc.health.v1, and the frame around a message of gRPC. Small enough to be written by hand.

/** Field 1, length-delimited: HealthCheckRequest.service (Protocol Buffers encoding, "Message Structure"). */
const SERVICE_TAG = 0x0a;
const FRAME_HEAD_BYTES = 5; // a flag for compression, then the length (gRPC over HTTP/2, Length-Prefixed-Message)
const VARINT_BYTES_MAX = 10;

/** HealthCheckRequest. */
export function encodeHealthRequest(service: string): Buffer {
  const name = Buffer.from(service);
  if (name.length === 0) return name; // fields with their default value are not sent
  const length: number[] = [];
  let rest = name.length;
  for (; rest > 0x7f; rest >>>= 7) length.push((rest & 0x7f) | 0x80);
  length.push(rest);
  return Buffer.concat([Buffer.from([SERVICE_TAG, ...length]), name]);
}

/** A message in its frame, not compressed. */
export function frameMessage(message: Buffer): Buffer {
  const frame = Buffer.alloc(FRAME_HEAD_BYTES + message.length);
  frame.writeUInt32BE(message.length, 1);
  message.copy(frame, FRAME_HEAD_BYTES);
  return frame;
}

/** `status` of the one framed HealthCheckResponse in `body`; null when it is none. */
export function decodeHealthResponse(body: Buffer): number | null {
  if (body.length < FRAME_HEAD_BYTES || body[0] !== 0) return null;
  if (body.readUInt32BE(1) !== body.length - FRAME_HEAD_BYTES) return null;
  const cursor = { bytes: body, at: FRAME_HEAD_BYTES };
  let status = 0;
  while (cursor.at < body.length) {
    const tag = varint(cursor);
    if (tag === null || tag >>> 3 === 0) return null;
    if (tag >>> 3 === 1 && (tag & 7) === 0) {
      const value = varint(cursor);
      if (value === null) return null;
      status = value;
    } else if (!skip(cursor, tag & 7)) return null; // fields that are not known are passed over
  }
  return status;
}

interface Cursor {
  readonly bytes: Buffer;
  at: number;
}

/** Reads an integer; null when it does not end, or is no safe integer. */
function varint(cursor: Cursor): number | null {
  let value = 0;
  for (let i = 0; i < VARINT_BYTES_MAX; i += 1) {
    const byte = cursor.bytes[cursor.at];
    if (byte === undefined) return null;
    cursor.at += 1;
    value += (byte & 0x7f) * 2 ** (7 * i);
    if (byte < 0x80) return Number.isSafeInteger(value) ? value : null;
  }
  return null;
}

/** Passes over a value by its wire type. False when it does not fit into the message. */
function skip(cursor: Cursor, wireType: number): boolean {
  if (wireType === 0) return varint(cursor) !== null;
  const length = wireType === 1 ? 8 : wireType === 5 ? 4 : wireType === 2 ? varint(cursor) : null;
  if (length === null || length > cursor.bytes.length - cursor.at) return false;
  cursor.at += length;
  return true;
}
