// A record comes back as it was written; damaged in any way, it does not come back at all.
// `bun src/engines/storage/record.fuzz.ts 182` replays one seed.
import { type Rng, runAlone } from "../../core/fuzz.testing.ts";
import { type DiskRecord, decodeRecord, ENTRY, encodeRecord, recordBytes, TOMBSTONE } from "./record.ts";

export function randomRecord(rng: Rng): DiskRecord {
  const part = (max: number): Buffer => Buffer.from(Array.from({ length: rng.below(max) }, () => rng.below(256)));
  const kind = rng.oneIn(5) ? TOMBSTONE : ENTRY;
  const storedAt = rng.below(1 << 30);
  return { kind, key: part(60), tags: part(30), meta: part(40), head: part(200), body: part(600), storedAt };
}

export function recordLaw(rng: Rng): void {
  const record = randomRecord(rng);
  const bytes = encodeRecord(record);
  const behind = Buffer.concat([bytes, encodeRecord(randomRecord(rng))]);
  for (const whole of [bytes, behind]) {
    const back = decodeRecord(whole);
    if (back === null || !Bun.deepEquals(back, record, true)) throw new Error("another record came back");
  }
  const damaged = Buffer.from(behind);
  const at = rng.below(recordBytes(record));
  const kind = rng.below(3);
  if (kind === 0) damaged[at] = damaged[at]! ^ (1 << rng.below(8));
  else if (kind === 1)
    damaged.fill(0, at, recordBytes(record)); // as a file that grew but was never written
  else damaged.copyWithin(at, at + 1 + rng.below(8));
  if (damaged.equals(behind)) return;
  if (decodeRecord(damaged) !== null && !damaged.subarray(0, bytes.length).equals(bytes))
    throw new Error(`damage of kind ${kind} at ${at} was not seen`);
  if (decodeRecord(bytes.subarray(0, at)) !== null) throw new Error(`cut at ${at}, it was still taken`);
}

if (import.meta.main) runAlone("record", recordLaw);
