// UUIDv7 (RFC 9562 §5.7): ordered by time, made from a pool of random digits so that one costs no system call.
import { wallClock } from "./clock.ts";

const POOL_BYTES = 4096;
/** Digits that one id takes from the pool. */
const DIGITS = 19;
const HEX = Uint8Array.from("0123456789abcdef", (digit) => digit.charCodeAt(0));
/** For each digit the one with its low two bits and the bits of the variant: 8, 9, a or b. */
const VARIANT = new Uint8Array(256);
HEX.forEach((digit, value) => {
  VARIANT[digit] = "89ab".charCodeAt(value & 3);
});

const random = Buffer.alloc(POOL_BYTES);
let pool = Buffer.alloc(0);
let poolAt = 0;
const text = Buffer.from("00000000-0000-7000-8000-000000000000");
let lastMs = 0;

/** The 48 bits of the time as 12 digits. */
function writeTime(ms: number): void {
  let rest = ms;
  for (let at = 12; at >= 0; at -= 1) {
    if (at === 8) continue;
    const digit = rest % 16;
    text[at] = HEX[digit]!;
    rest = (rest - digit) / 16;
  }
}

function refill(): void {
  crypto.getRandomValues(random);
  pool = Buffer.from(random.toString("hex"), "latin1");
  poolAt = 0;
}

/** A new id, 36 characters, lower-case. */
export function uuidV7(): string {
  const ms = wallClock();
  if (ms !== lastMs) {
    lastMs = ms;
    writeTime(ms);
  }
  if (poolAt + DIGITS > pool.length) refill();
  let from = poolAt;
  poolAt += DIGITS;
  for (let at = 15; at < 18; at += 1) text[at] = pool[from++]!;
  text[19] = VARIANT[pool[from++]!]!;
  for (let at = 20; at < 23; at += 1) text[at] = pool[from++]!;
  for (let at = 24; at < 36; at += 1) text[at] = pool[from++]!;
  return text.latin1Slice(0, 36);
}
