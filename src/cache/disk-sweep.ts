// A purge of the disk tier by what the records say: by the beginning of their keys, or by a tag. It goes over the
// segments one after the other, each in one step of some 20 ms, so that writing goes on in between.
import type { RecordHeader } from "../engines/storage/record.ts";

/** What is to go. */
export interface SweepRule {
  readonly what: "prefix" | "tag" | "all";
  /** The beginning of keys, or a tag; "" for all. */
  readonly value: string;
  /** It stays, and is stale from this time on, in milliseconds since 1970; null: it goes. */
  readonly staleAt: number | null;
}

const SPACE = " ";

export class DiskSweep {
  readonly rule: SweepRule;
  /** Entries removed, or made stale, so far. */
  removed = 0;
  /** The last segment that has been gone over. */
  last = 0;
  readonly #value: Buffer;

  constructor(rule: SweepRule) {
    this.rule = rule;
    this.#value = Buffer.from(rule.value);
  }

  /** Whether a record has to go. `front` is its key, tags and what follows. */
  matches(header: RecordHeader, front: Buffer): boolean {
    if (this.rule.what === "tag") {
      const tags = front.toString("utf8", header.keyBytes, header.keyBytes + header.tagsBytes);
      return tags.split(SPACE).includes(this.rule.value);
    }
    const { length } = this.#value;
    return length <= header.keyBytes && this.#value.compare(front, 0, length) === 0;
  }
}
