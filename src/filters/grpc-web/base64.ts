// Base64 (RFC 4648 §4) as it streams: `application/grpc-web-text` in both directions. What is padded may be followed by
// more, as either side may end a piece of its text whenever it wants the other to have what there is so far.
import { fault } from "../../core/faults.ts";
import { FrameTracker } from "../../http/grpc-frames.ts";
import type { HeaderBlock } from "../../http/header-block.ts";
import type { BodyOutput, BodyTransform } from "../../pipeline/body-transform.ts";

const PAD = 64;
const NONE = 255;
const ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
/** By byte: its six bits, PAD, or NONE. */
const SEXTETS = new Uint8Array(256).fill(NONE);
for (let i = 0; i < ALPHABET.length; i += 1) SEXTETS[ALPHABET.charCodeAt(i)] = i;
SEXTETS[0x3d] = PAD;

/** Text in, bytes out. Strict: nothing but the alphabet, every group of four whole, and no bits that say nothing. */
export class Base64Decoder implements BodyTransform {
  #bits = 0;
  /** Characters of the current group of four, and how many of them are padding. */
  #count = 0;
  #padding = 0;

  push(bytes: Buffer, from: number, to: number, out: BodyOutput): void {
    const room = Buffer.allocUnsafe(((to - from + this.#count) >> 2) * 3);
    let end = 0;
    for (let i = from; i < to; i += 1) {
      const sextet = SEXTETS[bytes[i]!]!;
      if (sextet === NONE || (sextet === PAD ? this.#count < 2 : this.#padding > 0)) return refuse(out);
      if (sextet === PAD) this.#padding += 1;
      this.#bits = (this.#bits << 6) | (sextet & 63);
      this.#count += 1;
      if (this.#count < 4) continue;
      const group = this.#bits;
      room[end] = group >> 16;
      room[end + 1] = group >> 8;
      room[end + 2] = group;
      if (this.#padding > 0) {
        if (room[end + 2] !== 0 || (this.#padding > 1 && room[end + 1] !== 0)) return refuse(out);
      }
      end += 3 - this.#padding;
      this.#bits = 0;
      this.#count = 0;
      this.#padding = 0;
    }
    if (end > 0) out.data(room, 0, end);
  }

  end(trailers: HeaderBlock | null, out: BodyOutput): void {
    if (this.#count > 0) return refuse(out);
    out.end(trailers);
  }
}

const refuse = (out: BodyOutput): void => out.fail(fault("request.grpc_web", "not base64"));

const NOTHING = Buffer.alloc(0);

/**
 * Bytes in, text out. Whole messages leave at once; of one that is not whole, up to two bytes wait for the rest of it,
 * so that padding stands at the ends of messages alone, where every client expects it.
 */
export class Base64Encoder implements BodyTransform {
  readonly #frames = new FrameTracker();
  /** Bytes that do not fill a group of three. */
  #rest = NOTHING;

  push(bytes: Buffer, from: number, to: number, out: BodyOutput): void {
    this.#frames.pass(bytes, from, to);
    const piece = bytes.subarray(from, to);
    const all = this.#rest.length === 0 ? piece : Buffer.concat([this.#rest, piece]);
    const whole = this.#frames.between ? all.length : all.length - (all.length % 3);
    // A copy, as the chunk that these one or two bytes lie in may be large.
    this.#rest = whole === all.length ? NOTHING : Buffer.from(all.subarray(whole));
    put(all, whole, out);
  }

  end(trailers: HeaderBlock | null, out: BodyOutput): void {
    put(this.#rest, this.#rest.length, out);
    out.end(trailers);
  }
}

function put(bytes: Uint8Array, length: number, out: BodyOutput): void {
  if (length === 0) return;
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, length).toString("base64");
  out.data(Buffer.from(text, "latin1"), 0, text.length);
}
