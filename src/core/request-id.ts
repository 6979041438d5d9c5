// UUIDv7 (RFC 9562 §5.7): ordered by time, made from a pool of random bytes so that one costs no system call.
import { wallClock } from "./clock.ts";

const POOL_BYTES = 8192;
const RANDOM_BYTES = 10;
const HEX = Uint8Array.from("0123456789abcdef", (digit) => digit.charCodeAt(0));

const pool = new Uint8Array(POOL_BYTES);
let poolAt = POOL_BYTES;
const text = Buffer.alloc(36, "-");
// Where the 16 bytes stand in the text, dashes left out.
const PLACES = [0, 2, 4, 6, 9, 11, 14, 16, 19, 21, 24, 26, 28, 30, 32, 34];
let lastMs = 0;

function put(index: number, byte: number): void {
  const at = PLACES[index]!;
  text[at] = HEX[byte >> 4]!;
  text[at + 1] = HEX[byte & 15]!;
}

/** A new id, 36 characters, lower-case. */
export function uuidV7(): string {
  const ms = wallClock();
  if (ms !== lastMs) {
    lastMs = ms;
    const high = Math.floor(ms / 0x1_0000);
    put(0, (high >>> 24) & 255);
    put(1, (high >>> 16) & 255);
    put(2, (high >>> 8) & 255);
    put(3, high & 255);
    put(4, (ms >>> 8) & 255);
    put(5, ms & 255);
  }
  if (poolAt + RANDOM_BYTES > POOL_BYTES) {
    crypto.getRandomValues(pool);
    poolAt = 0;
  }
  put(6, 0x70 | (pool[poolAt]! & 15));
  put(7, pool[poolAt + 1]!);
  put(8, 0x80 | (pool[poolAt + 2]! & 63));
  for (let i = 3; i < RANDOM_BYTES; i += 1) put(6 + i, pool[poolAt + i]!);
  poolAt += RANDOM_BYTES;
  return text.latin1Slice(0, 36);
}
