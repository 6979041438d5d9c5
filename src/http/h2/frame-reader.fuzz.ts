// Whatever bytes come: the frame reader does not throw, and says the same wherever the bytes are cut.
// `bun src/http/h2/frame-reader.fuzz.ts 182` replays one seed.
import { type Rng, runAlone } from "../../core/fuzz.testing.ts";
import { frame, hear } from "./frame-reader.testing.ts";
import { TYPE } from "./frames.ts";

const TYPES: readonly number[] = [...Object.values(TYPE), 0x0b, 0x16, 0xff];

export function bytesOf(rng: Rng, length: number): Buffer {
  const bytes = Buffer.alloc(length);
  for (let i = 0; i < length; i += 1) bytes[i] = rng.below(256);
  return bytes;
}

/** Pieces of any size, empty ones too. */
export function cut(rng: Rng, bytes: Buffer): Buffer[] {
  const pieces: Buffer[] = [];
  const most = rng.pick([1, 2, 10, 100, 5000]);
  for (let at = 0; at < bytes.length; ) {
    const to = Math.min(bytes.length, at + rng.below(most + 1));
    pieces.push(bytes.subarray(at, to) as Buffer);
    at = to;
  }
  return pieces;
}

export function frameReaderLaw(rng: Rng): void {
  const frames: Buffer[] = [];
  for (let count = rng.below(8); count >= 0; count -= 1) {
    if (rng.oneIn(20)) frames.push(bytesOf(rng, rng.below(30)));
    const payload = bytesOf(rng, rng.oneIn(4) ? 0 : rng.below(rng.pick([4, 12, 600])));
    const flags = rng.oneIn(3) ? rng.below(256) : rng.pick([0, 1, 4, 5, 8, 9]);
    // Padding that often fits.
    if (payload.length > 0 && rng.oneIn(2)) payload[0] = rng.below(payload.length);
    frames.push(frame(rng.pick(TYPES), flags, rng.below(2 ** 32), payload));
  }
  const bytes = Buffer.concat(frames) as Buffer;
  const refused = rng.oneIn(4) ? rng.pick(TYPES) : -1;
  const whole = hear([bytes], refused);
  const pieces = cut(rng, bytes);
  const heard = hear(pieces, refused);
  if (JSON.stringify(heard) !== JSON.stringify(whole))
    throw new Error(`${JSON.stringify(heard)} and not ${JSON.stringify(whole)} of ${pieces.length} pieces`);
}

if (import.meta.main) runAlone("frame reader", frameReaderLaw);
