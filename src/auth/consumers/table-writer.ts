// Writes the table of consumers that threads read (table.ts): records are added behind each other, and references are
// swung to them in one step each. What was replaced stays as it was, for whoever reads it just then, until the table is
// made anew for want of room.
import { type ConsumerEntry, type CredentialEntry, DIGEST_BYTES, digestOf, KIND, type Kind } from "./entries.ts";
import {
  CONSUMER,
  ConsumerTable,
  CREDENTIAL,
  HAS_BYTES,
  HEAD,
  isNameEntry,
  type Layout,
  layoutOf,
  REMOVED,
  tableBytes,
} from "./table.ts";

const SLOTS_MIN = 1024;
const CONSUMERS_MIN = 256;
const RECORD_BYTES_MIN = 65_536;
/** What a record takes at most beside its text. */
const ROUND = CREDENTIAL.json + 8;
/** Slots that may be taken, removed ones included: looks stay short below it. */
const FILLED_MAX = 0.6;

interface NoRoomFor {
  readonly entries: number;
  readonly bytes: number;
}

export class TableWriter {
  #table: ConsumerTable;
  #layout: Layout;
  /** Places that are free again, and the first that was never used. */
  #freePlaces: number[] = [];
  #nextPlace = 0;
  #consumers = 0;
  readonly #onMemory: (memory: SharedArrayBuffer) => void;

  /** `onMemory` gets the memory that is in use from then on. */
  constructor(onMemory: (memory: SharedArrayBuffer) => void) {
    this.#onMemory = onMemory;
    [this.#table, this.#layout] = emptyTable(SLOTS_MIN, CONSUMERS_MIN, RECORD_BYTES_MIN);
  }

  get memory(): SharedArrayBuffer {
    return this.#layout.bytes.buffer as unknown as SharedArrayBuffer;
  }
  /** How many there are. */
  get size(): number {
    return this.#consumers;
  }

  /** The name of the consumer who has this credential; null for nobody. */
  ownerOf(digest: Uint8Array, kind: Kind): string | null {
    const place = this.#table.consumerOf(digest, kind);
    return place < 0 ? null : this.#table.nameAt(place);
  }

  /** Puts a consumer in place of the one of that name, if there is one. */
  put(consumer: ConsumerEntry, credentials: readonly CredentialEntry[]): void {
    const json = Buffer.from(JSON.stringify(consumer.details));
    const texts = credentials.map(({ details }) => Buffer.from(JSON.stringify(details)));
    const bytes = [json, ...texts].reduce((sum, text) => sum + ROUND + HAS_BYTES + text.length, 2 * ROUND);
    const need = { entries: credentials.length + 1, bytes };
    if (!this.#hasRoom(need)) this.#grow(need);
    const name = digestOf(KIND.name, consumer.details.name);
    let place = this.#table.consumerOf(name, KIND.name);
    const isNew = place < 0;
    if (isNew) {
      place = this.#freePlaces.pop() ?? this.#nextPlace++;
      this.#consumers += 1;
    }
    // Whatever is taken back is taken back first.
    if (!isNew)
      for (const { digest, kind } of this.#has(place))
        if (!credentials.some((one) => one.kind === kind && Buffer.compare(one.digest, digest) === 0))
          this.#removeEntry(digest, kind, place);
    Atomics.store(this.#layout.consumers, place, this.#consumerRecord(consumer, json, credentials));
    if (isNew) this.#putEntry(name, KIND.name, this.#nameRecord(name, place));
    credentials.forEach((credential, at) => {
      this.#putEntry(credential.digest, credential.kind, this.#credentialRecord(credential, place, texts[at]!));
    });
    this.#changed();
  }

  /** Takes a consumer away, with all credentials. */
  remove(name: string): void {
    const digest = digestOf(KIND.name, name);
    const place = this.#table.consumerOf(digest, KIND.name);
    if (place < 0) return;
    const had = this.#has(place);
    Atomics.store(this.#layout.consumers, place, 0);
    for (const one of had) this.#removeEntry(one.digest, one.kind, place);
    this.#removeEntry(digest, KIND.name, place);
    this.#freePlaces.push(place);
    this.#consumers -= 1;
    this.#changed();
  }

  /** The credentials of the consumer at a place. */
  #has(place: number): { readonly kind: Kind; readonly digest: Uint8Array }[] {
    const { consumers, bytes, view } = this.#layout;
    const at = consumers[place]! * 8;
    const from = at + CONSUMER.json + view.getUint32(at + CONSUMER.length, true);
    return Array.from({ length: bytes[at + CONSUMER.count]! }, (_, i) => {
      const one = from + i * HAS_BYTES;
      return { kind: bytes[one] as Kind, digest: Buffer.from(bytes.subarray(one + 1, one + HAS_BYTES)) };
    });
  }

  #changed(): void {
    Atomics.add(this.#layout.head, HEAD.changes, 1);
  }

  #hasRoom({ entries, bytes }: NoRoomFor): boolean {
    const { head, slots, consumers, bytes: all } = this.#layout;
    if (head[HEAD.filled]! + entries > (slots.length / 2) * FILLED_MAX) return false;
    if (this.#freePlaces.length === 0 && this.#nextPlace >= consumers.length) return false;
    return head[HEAD.used]! * 8 + bytes <= all.length;
  }

  /** Makes the table anew, without what was replaced, and with twice the room that is needed. */
  #grow({ entries, bytes }: NoRoomFor): void {
    const old = this.#layout;
    const live = liveRefs(old);
    const used = [...live.entries.values(), ...live.consumers.values()].reduce((sum, length) => sum + length, 0);
    const slots = powerOfTwo(Math.max(SLOTS_MIN, ((live.entries.size + entries) * 2) / FILLED_MAX));
    const places = Math.max(CONSUMERS_MIN, (this.#consumers + 1) * 2, this.#nextPlace + 1);
    const room = Math.max(RECORD_BYTES_MIN, (used + bytes) * 2);
    [this.#table, this.#layout] = emptyTable(slots, places, room);
    this.#layout.head[HEAD.changes] = old.head[HEAD.changes]!;
    for (let place = 0; place < this.#nextPlace; place += 1) {
      const ref = old.consumers[place]!;
      if (ref > 0) this.#layout.consumers[place] = this.#copy(old, ref, live.consumers.get(ref)!);
    }
    for (const [ref, length] of live.entries) {
      const digest = old.bytes.subarray(ref * 8, ref * 8 + DIGEST_BYTES);
      const kind = old.bytes[ref * 8 + CREDENTIAL.kind] as Kind;
      this.#putEntry(digest, kind, this.#copy(old, ref, length));
    }
    this.#onMemory(this.memory);
  }

  #copy(from: Layout, ref: number, length: number): number {
    const at = this.#take(length);
    from.bytes.copy(this.#layout.bytes, at, ref * 8, ref * 8 + length);
    return at / 8;
  }

  /** The beginning of free bytes, which are taken. */
  #take(length: number): number {
    const { head } = this.#layout;
    const at = head[HEAD.used]! * 8;
    head[HEAD.used] = (at + length + 7) >> 3;
    return at;
  }

  #consumerRecord({ endsAt, disabled }: ConsumerEntry, json: Buffer, has: readonly CredentialEntry[]): number {
    const { view, bytes } = this.#layout;
    const at = this.#take(CONSUMER.json + json.length + has.length * HAS_BYTES);
    bytes[at + CONSUMER.count] = has.length;
    has.forEach(({ kind, digest }, i) => {
      const one = at + CONSUMER.json + json.length + i * HAS_BYTES;
      bytes[one] = kind;
      bytes.set(digest, one + 1);
    });
    view.setFloat64(at + CONSUMER.endsAt, endsAt, true);
    bytes[at + CONSUMER.disabled] = disabled ? 1 : 0;
    view.setUint32(at + CONSUMER.length, json.length, true);
    json.copy(bytes, at + CONSUMER.json);
    return at / 8;
  }

  #credentialRecord({ digest, kind, endsAt, disabled }: CredentialEntry, place: number, json: Buffer): number {
    const { view, bytes } = this.#layout;
    const at = this.#take(CREDENTIAL.json + json.length);
    bytes.set(digest, at);
    view.setFloat64(at + CREDENTIAL.endsAt, endsAt, true);
    view.setUint32(at + CREDENTIAL.consumer, place, true);
    bytes[at + CREDENTIAL.kind] = kind;
    bytes[at + CREDENTIAL.disabled] = disabled ? 1 : 0;
    view.setUint32(at + CREDENTIAL.length, json.length, true);
    json.copy(bytes, at + CREDENTIAL.json);
    return at / 8;
  }

  #nameRecord(digest: Uint8Array, place: number): number {
    const entry = { kind: KIND.name, digest, endsAt: 0, disabled: false };
    return this.#credentialRecord(
      { ...entry, details: { id: "", scopes: null, key: null, password: "" } },
      place,
      NO_JSON,
    );
  }

  #putEntry(digest: Uint8Array, kind: Kind, ref: number): void {
    const { slots, head } = this.#layout;
    const there = this.#table.slotOf(digest, kind);
    if (there >= 0) return void Atomics.store(slots, there * 2 + 1, ref);
    const mask = slots.length / 2 - 1;
    const bytes = Buffer.from(digest.buffer, digest.byteOffset, DIGEST_BYTES);
    let slot = bytes.readInt32LE(0) & mask;
    while (slots[slot * 2 + 1]! > 0) slot = (slot + 1) & mask;
    if (slots[slot * 2 + 1] === 0) head[HEAD.filled]! += 1;
    slots[slot * 2] = bytes.readInt32LE(4);
    Atomics.store(slots, slot * 2 + 1, ref);
  }

  /** Unless it is another consumer's by now, as what comes from other machines may be. */
  #removeEntry(digest: Uint8Array, kind: Kind, place: number): void {
    const slot = this.#table.slotOf(digest, kind);
    if (slot >= 0 && this.#table.consumerOf(digest, kind) === place)
      Atomics.store(this.#layout.slots, slot * 2 + 1, REMOVED);
  }
}

const NO_JSON = Buffer.alloc(0);

function emptyTable(slots: number, consumers: number, recordBytes: number): [ConsumerTable, Layout] {
  const memory = new SharedArrayBuffer(tableBytes(slots, consumers, recordBytes + 8));
  const layout = layoutOf(memory, slots, consumers);
  layout.head[HEAD.slots] = slots;
  layout.head[HEAD.consumers] = consumers;
  layout.head[HEAD.used] = (layout.recordsAt + 7) >> 3;
  return [new ConsumerTable(memory), layout];
}

/** References in use, with the lengths of their records. */
function liveRefs({ slots, consumers, bytes, view }: Layout): Record<"entries" | "consumers", Map<number, number>> {
  const entries = new Map<number, number>();
  const found = new Map<number, number>();
  for (let at = 1; at < slots.length; at += 2) {
    const ref = slots[at]!;
    if (ref <= 0) continue;
    const length = isNameEntry(bytes, ref) ? 0 : view.getUint32(ref * 8 + CREDENTIAL.length, true);
    entries.set(ref, CREDENTIAL.json + length);
  }
  for (const ref of consumers)
    if (ref > 0) {
      const has = bytes[ref * 8 + CONSUMER.count]! * HAS_BYTES;
      found.set(ref, CONSUMER.json + view.getUint32(ref * 8 + CONSUMER.length, true) + has);
    }
  return { entries, consumers: found };
}

const powerOfTwo = (least: number): number => 2 ** Math.ceil(Math.log2(least));
