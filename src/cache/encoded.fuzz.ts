// Whatever the content is, and however it came: in each coding it is the same content, and the head says so.
import { type Rng, runAlone } from "../core/fuzz.testing.ts";
import { CODINGS } from "../http/content-codings.ts";
import { bodyOf, decoded, entryOf, policyOf, Room } from "./encoded.testing.ts";
import { Encoder } from "./encoded.ts";
import { makeForms } from "./encoded-forms.ts";

/** Words, repetitions and noise, so that coders have something of everything. */
export function anyContent(rng: Rng, most: number): Buffer {
  const bytes = Buffer.alloc(rng.below(most) + 1);
  for (let at = 0; at < bytes.length; ) {
    const run = Math.min(bytes.length - at, rng.below(2000) + 1);
    const kind = rng.below(4);
    const byte = rng.below(256);
    for (const end = at + run; at < end; at += 1) {
      if (kind === 0) bytes[at] = byte;
      else if (kind === 1) bytes[at] = rng.below(256);
      else if (kind === 2) bytes[at] = 0x61 + rng.below(6);
      else bytes[at] = bytes[Math.max(0, at - 1 - byte)]!;
    }
  }
  return bytes;
}

/** The same in pieces, as a server may send it. */
export function cut(rng: Rng, bytes: Buffer): Buffer[] {
  const pieces: Buffer[] = [];
  for (let at = 0; at < bytes.length; ) {
    const to = Math.min(bytes.length, at + 1 + rng.below(rng.oneIn(3) ? 50 : bytes.length));
    pieces.push(bytes.subarray(at, to) as Buffer);
    at = to;
  }
  return pieces;
}

export function encodedLaw(rng: Rng): void {
  const bytes = anyContent(rng, 20_000);
  const body = bodyOf(...cut(rng, bytes));
  const entry = entryOf(body, rng.oneIn(2) ? { etag: '"1"' } : {});
  const levels = { zstd: 1 + rng.below(3), br: rng.below(5), gzip: 1 + rng.below(9) };
  const policy = policyOf({ minSize: rng.below(200), levels, storedLevels: levels });
  const room = new Room();
  room.set("a", entry);
  const encoder = new Encoder(room);
  for (const coding of CODINGS) {
    const made = encoder.content("a", body, coding, policy);
    if (made === null || !decoded(made, coding).equals(bytes)) throw new Error(`another content in ${coding}`);
    if (encoder.content("a", body, coding, policy) !== made) throw new Error(`made twice: ${coding}`);
  }
  makeForms(entry, policy);
  const isCoded = bytes.length >= policy.minSize;
  for (const coding of CODINGS) {
    const form = entry.forms![coding];
    if ((form !== null) !== isCoded) throw new Error(`forms of ${bytes.length} bytes, from ${policy.minSize} on`);
    const head = form?.hitHead(0);
    if (head !== undefined && head.length !== body.coded![coding]!.body.length) throw new Error("another length");
  }
  if (room.inWork !== 0) throw new Error(`still in work: ${room.inWork}`);
}

if (import.meta.main) runAlone("encoded", encodedLaw);
