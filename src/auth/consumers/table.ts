// The consumers that the admin API keeps, as all threads see them: one piece of shared memory, which the supervisor
// alone writes (table-writer.ts). What a slot or a consumer's place refers to is never changed, only replaced: what was
// read of it holds for as long as the reference is the same, which two loads tell.
//
//   head | slots: tag, reference | places of consumers: reference | records
//
// A reference is where a record begins, in units of eight bytes; 0 for none.
import type { ConsumerDetails, CredentialDetails, Kind } from "./entries.ts";
import { DIGEST_BYTES, KIND } from "./entries.ts";

/** Words of the head. */
export const HEAD = { slots: 0, consumers: 1, used: 2, filled: 3, changes: 4 } as const;
const HEAD_BYTES = 64;
/** A slot whose entry was removed: those behind it may still be looked for. */
export const REMOVED = -1;

/** A record of a credential: digest, end, consumer, kind, whether it is disabled, and its details as JSON. */
export const CREDENTIAL = { endsAt: 32, consumer: 40, kind: 44, disabled: 45, length: 48, json: 52 } as const;
/** One of a consumer, with how many credentials there are; behind the details stand their kinds and digests. */
export const CONSUMER = { endsAt: 0, disabled: 8, count: 9, length: 12, json: 16 } as const;
/** A kind and a digest. */
export const HAS_BYTES = 1 + DIGEST_BYTES;

/** Bytes of a table with so much room. `slots` is a power of two. */
export const tableBytes = (slots: number, consumers: number, recordBytes: number): number =>
  HEAD_BYTES + slots * 8 + consumers * 4 + (consumers % 2) * 4 + recordBytes;

/** Where in the memory things are. */
export interface Layout {
  readonly head: Int32Array;
  readonly slots: Int32Array;
  readonly consumers: Int32Array;
  /** Bytes of the whole memory. */
  readonly bytes: Buffer;
  readonly view: DataView;
  /** Where the first record may be. */
  readonly recordsAt: number;
}

export function layoutOf(memory: SharedArrayBuffer, slotCount: number, consumerCount: number): Layout {
  const placesAt = HEAD_BYTES + slotCount * 8;
  return {
    head: new Int32Array(memory, 0, HEAD_BYTES / 4),
    slots: new Int32Array(memory, HEAD_BYTES, slotCount * 2),
    consumers: new Int32Array(memory, placesAt, consumerCount),
    bytes: Buffer.from(memory),
    view: new DataView(memory),
    recordsAt: tableBytes(slotCount, consumerCount, 0),
  };
}

/** An entry that was found, with what tells whether it is still the same. */
export interface Found {
  readonly slot: number;
  readonly ref: number;
  readonly consumer: number;
  readonly consumerRef: number;
  /** That of the consumer, where that is earlier. */
  readonly endsAt: number;
  readonly isDisabled: boolean;
  readonly isConsumerDisabled: boolean;
  readonly credential: CredentialDetails;
  readonly details: ConsumerDetails;
}

export class ConsumerTable {
  readonly layout: Layout | null;
  /** Of the slot that was found last. */
  ref = 0;

  /** Memory without a byte is a table with nobody in it. */
  constructor(memory: SharedArrayBuffer) {
    const head = memory.byteLength === 0 ? null : new Int32Array(memory, 0, HEAD_BYTES / 4);
    this.layout = head === null ? null : layoutOf(memory, head[HEAD.slots]!, head[HEAD.consumers]!);
  }

  /** Counts changes of any kind. */
  get changes(): number {
    return this.layout === null ? 0 : Atomics.load(this.layout.head, HEAD.changes);
  }

  /** Whether what was found is what would be found now. */
  holds(slot: number, ref: number, consumer: number, consumerRef: number): boolean {
    const layout = this.layout;
    return (
      layout !== null &&
      Atomics.load(layout.slots, slot * 2 + 1) === ref &&
      Atomics.load(layout.consumers, consumer) === consumerRef
    );
  }

  /** The slot of an entry; -1 for none. Its reference, as it was then, is in `ref`. */
  slotOf(digest: Uint8Array, kind: Kind): number {
    const layout = this.layout;
    if (layout === null) return -1;
    const { slots, bytes } = layout;
    const mask = slots.length / 2 - 1;
    const tag = wordAt(digest, 4);
    let slot = wordAt(digest, 0) & mask;
    for (let looked = 0; looked <= mask; looked += 1) {
      const ref = Atomics.load(slots, slot * 2 + 1);
      if (ref === 0) return -1;
      if (ref > 0 && slots[slot * 2] === tag) {
        const at = ref * 8;
        if (
          bytes[at + CREDENTIAL.kind] === kind &&
          bytes.compare(digest, 0, DIGEST_BYTES, at, at + DIGEST_BYTES) === 0
        ) {
          this.ref = ref;
          return slot;
        }
      }
      slot = (slot + 1) & mask;
    }
    return -1;
  }

  /** The entry of a digest; null for none. */
  find(digest: Uint8Array, kind: Kind): Found | null {
    const slot = this.slotOf(digest, kind);
    if (slot < 0) return null;
    const { slots, consumers, bytes, view } = this.layout!;
    const { ref } = this;
    const at = ref * 8;
    const consumer = view.getUint32(at + CREDENTIAL.consumer, true);
    const consumerRef = Atomics.load(consumers, consumer);
    // It is being removed; and its place may be another consumer's by now.
    if (consumerRef <= 0 || Atomics.load(slots, slot * 2 + 1) !== ref) return null;
    const of = consumerRef * 8;
    return {
      slot,
      ref,
      consumer,
      consumerRef,
      endsAt: Math.min(view.getFloat64(at + CREDENTIAL.endsAt, true), view.getFloat64(of + CONSUMER.endsAt, true)),
      isDisabled: bytes[at + CREDENTIAL.disabled] === 1,
      isConsumerDisabled: bytes[of + CONSUMER.disabled] === 1,
      credential: jsonAt(bytes, view, at + CREDENTIAL.length) as CredentialDetails,
      details: jsonAt(bytes, view, of + CONSUMER.length) as ConsumerDetails,
    };
  }

  /** The place of the consumer who has this entry; -1 where there is none. */
  consumerOf(digest: Uint8Array, kind: Kind): number {
    if (this.slotOf(digest, kind) < 0) return -1;
    return this.layout!.view.getUint32(this.ref * 8 + CREDENTIAL.consumer, true);
  }

  /** The name of the consumer at a place. */
  nameAt(consumer: number): string {
    const { consumers, bytes, view } = this.layout!;
    return (jsonAt(bytes, view, consumers[consumer]! * 8 + CONSUMER.length) as ConsumerDetails).name;
  }
}

const wordAt = (bytes: Uint8Array, at: number): number =>
  bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24);

/** The length of the text stands right before it. */
function jsonAt(bytes: Buffer, view: DataView, lengthAt: number): unknown {
  const from = lengthAt + 4;
  return JSON.parse(bytes.toString("utf8", from, from + view.getUint32(lengthAt, true)));
}

/** Whether an entry is that of a consumer's name. */
export const isNameEntry = (bytes: Buffer, ref: number): boolean => bytes[ref * 8 + CREDENTIAL.kind] === KIND.name;
