// The first message of a TLS client, read without answering it: whom it wants to reach, and what it speaks. A proxy
// that forwards TLS as it is decides by that. Sans-I/O: bytes in, result out, whatever the pieces they came in.
import { type ClientHello, type InvalidHello, readHelloBody } from "./client-hello-body.ts";
import { ALERT, type Alert } from "./tls-alert.ts";

/** Most bytes of the message. Real ones have 200 to 2,000, and with post-quantum keys not twice that. */
export const HELLO_BYTES_MAX = 16_384;
/** Most records that it may be spread over; clients that hide the name from middleboxes use two or three. */
const HELLO_RECORDS_MAX = 16;

/** "not-tls" is any other protocol, the hello of SSL 2.0 included. */
export type ClientHelloResult = ClientHello | InvalidHello | { readonly kind: "more" } | { readonly kind: "not-tls" };

const MORE: ClientHelloResult = { kind: "more" };
const NOT_TLS: ClientHelloResult = { kind: "not-tls" };
const invalid = (alert: Alert, reason: string): InvalidHello => ({ kind: "invalid", reason, alert });

const RECORD_HANDSHAKE = 22;
const RECORD_HEADER_BYTES = 5;
const RECORD_BYTES_MAX = 16_384; // RFC 8446 §5.1
const CLIENT_HELLO = 1;
const MESSAGE_HEADER_BYTES = 4;
const MAJOR = 3;

/**
 * Reads the hello at the start of `bytes`, which are all that has come so far. What it says of some bytes, "more"
 * apart, it says of the same with others behind them too. It has decided once it has seen as much as its limits allow.
 */
export function readClientHello(bytes: Buffer): ClientHelloResult {
  const fragments: Buffer[] = [];
  let have = 0;
  let at = 0;
  for (;;) {
    const length = readRecordHeader(bytes, at, fragments.length);
    if (typeof length !== "number") return length;
    const start = at + RECORD_HEADER_BYTES;
    const end = start + length;
    const fragment = bytes.subarray(start, Math.min(end, bytes.length)) as Buffer;
    fragments.push(fragment);
    have += fragment.length;
    const wanted = messageLength(fragments, have);
    if (typeof wanted !== "number") return wanted;
    if (have > wanted || (have === wanted && end > bytes.length))
      return invalid(ALERT.unexpectedMessage, "something follows the hello in its record");
    if (have === wanted) {
      const message = fragments.length === 1 ? fragment : Buffer.concat(fragments, have);
      return readHelloBody(message.subarray(MESSAGE_HEADER_BYTES) as Buffer);
    }
    if (end > bytes.length) return MORE;
    at = end;
  }
}

/** The length of the record at `at`, the `before + 1`-th of the message; or what there is to say without it. */
function readRecordHeader(bytes: Buffer, at: number, before: number): number | ClientHelloResult {
  if (bytes.length <= at) return MORE;
  if (bytes[at] !== RECORD_HANDSHAKE)
    return before === 0 ? NOT_TLS : invalid(ALERT.unexpectedMessage, "another record within the hello");
  if (before === HELLO_RECORDS_MAX)
    return invalid(ALERT.illegalParameter, `a hello in more than ${HELLO_RECORDS_MAX} records`);
  if (bytes.length <= at + 1) return MORE;
  // The minor version is to be ignored (RFC 8446 §5.1).
  if (bytes[at + 1] !== MAJOR)
    return before === 0 ? NOT_TLS : invalid(ALERT.protocolVersion, "a record of another protocol within the hello");
  if (bytes.length < at + RECORD_HEADER_BYTES) return MORE;
  const length = bytes.readUInt16BE(at + 3);
  if (length === 0) return invalid(ALERT.unexpectedMessage, "an empty handshake record");
  if (length > RECORD_BYTES_MAX) return invalid(ALERT.recordOverflow, `a record of ${length} bytes`);
  return length;
}

/** Bytes of the message with its header; Infinity while that cannot be seen; or why it is none of ours. */
function messageLength(fragments: readonly Buffer[], have: number): number | InvalidHello {
  let seen = 0;
  let header = 0;
  for (const fragment of fragments) {
    for (let i = 0; i < fragment.length && seen < MESSAGE_HEADER_BYTES; i += 1) {
      const byte = fragment[i]!;
      if (seen === 0 && byte !== CLIENT_HELLO) return invalid(ALERT.unexpectedMessage, `a handshake message ${byte}`);
      header = seen === 0 ? 0 : header * 256 + byte;
      seen += 1;
    }
  }
  if (have < MESSAGE_HEADER_BYTES) return Number.POSITIVE_INFINITY;
  if (header > HELLO_BYTES_MAX) return invalid(ALERT.illegalParameter, `a hello of ${header} bytes`);
  return MESSAGE_HEADER_BYTES + header;
}

const FIRST_BYTES = 2048;

/** Collects the pieces of a connection's start, and reads them. */
export class ClientHelloReader {
  #bytes: Buffer | null = null;
  #length = 0;

  /** All that has come so far, as it came: who carries on with the connection needs it. */
  get bytes(): Buffer {
    return this.#bytes === null ? Buffer.alloc(0) : (this.#bytes.subarray(0, this.#length) as Buffer);
  }

  /** Takes the next piece, which now belongs to the reader. Not to be called again once it has decided. */
  push(chunk: Buffer): ClientHelloResult {
    const length = this.#length + chunk.length;
    if (this.#bytes === null) {
      this.#bytes = chunk; // in most cases it is the whole
    } else {
      if (this.#bytes.length < length) {
        // Twice the room each time, so that bytes that come one by one cost no more than their number.
        const larger = Buffer.allocUnsafe(Math.max(FIRST_BYTES, length, 2 * this.#bytes.length));
        this.#bytes.copy(larger, 0, 0, this.#length);
        this.#bytes = larger;
      }
      chunk.copy(this.#bytes, this.#length);
    }
    this.#length = length;
    return readClientHello(this.bytes);
  }
}
