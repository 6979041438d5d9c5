// The disk tier as the cache of one worker sees it: answers in, answers out. Each has a record under its key; where
// answers of a key differ by Vary, that record names the fields, and they have records of their own.
import { selectVariant, type VaryRule, variantKey } from "../engines/cache/vary.ts";
import { type DiskRecord, LARGE, type RecordView } from "../engines/storage/record.ts";
import type { HeaderBlock } from "../http/header-block.ts";
import { type Backing, Body } from "./body.ts";
import type { Stamp } from "./changes.ts";
import { countOf, diskEntryOf, entryOf, fitsRecord, rulesEntry, rulesOf } from "./disk-answer.ts";
import type { DiskStore } from "./disk-store.ts";
import type { Entry } from "./entry.ts";
import { decodePointer, type LargeBody, type LargePointer, type LargeWriting } from "./large-file.ts";
import type { Place } from "./place.ts";

/** Longer content has a file of its own, and is in memory in parts only: that is cheap enough to read again. */
export const RECORD_BODY_MAX = 1_048_576;
/** Records for the variants of a key: those whose values fall together take each other's place. */
const VARIANT_SLOTS = 64;
/** Stands in no key, and in no field of a request. */
const BETWEEN = "\u0002";
const NO_BODY = Buffer.alloc(0);

/** What was found. */
export interface Found {
  readonly entry: Entry;
  /**
   * It is to be kept in memory as well: it was asked for again within a short time, and no purge is under way, or has
   * passed since it was read.
   */
  readonly stays: boolean;
}

/** What is known of a look-up while it waits for the disk. */
interface Search {
  readonly place: Pick<Place, "address" | "extra">;
  readonly headers: HeaderBlock;
  /** The stamp that the answer gets: from before it was read. */
  readonly stamp: Stamp;
  readonly purges: number;
  readonly wasSeen: boolean;
}

export class DiskCache {
  readonly #store: DiskStore;
  /** Records that are being read, by key: who wants the same waits for the same. */
  readonly #reading = new Map<string, Promise<DiskRecord | null>>();

  constructor(store: DiskStore) {
    this.#store = store;
  }

  /** Sets how much memory there is for what is found again and again. */
  remember(bytes: number): void {
    this.#store.remember(bytes);
  }

  /** Nothing more is found or stored; what is being read comes to its end. */
  close(): void {
    this.#store.close();
  }

  // ——— out

  /** The answer to a request, whether fresh or not; a promise where the disk has to be waited for. */
  find(place: Place, headers: HeaderBlock, stamp: Stamp): Found | null | Promise<Found | null> {
    const record = this.#read(place.address + place.extra);
    if (record === null) return null;
    const { purges, wasSeen } = this.#store;
    const search: Search = { place, headers, stamp, purges, wasSeen };
    if (record instanceof Promise) return record.then((each) => each && this.#select(search, each));
    return this.#select(search, record);
  }

  /** As `DiskStore.view`, of the answer to a request where answers of its key do not differ. */
  view({ address, extra }: Place, isOwn: boolean, into: RecordView): boolean {
    return this.#store.view(address + extra, isOwn, into);
  }

  /** What was viewed last has been given out. */
  used(): void {
    this.#store.used();
  }

  #read(key: string): DiskRecord | null | Promise<DiskRecord | null> {
    const under = this.#reading.get(key);
    if (under !== undefined) return under;
    const record = this.#store.get(key);
    if (!(record instanceof Promise)) return record;
    this.#reading.set(key, record);
    void record.then(() => this.#reading.delete(key));
    return record;
  }

  #select(search: Search, record: DiskRecord): Found | null | Promise<Found | null> {
    const rules = rulesOf(record);
    return rules === null ? this.#found(search, record) : this.#selectBy(search, rules, 0);
  }

  /** Tries one rule after the other, the latest first. */
  #selectBy(search: Search, rules: readonly VaryRule[], at: number): Found | null | Promise<Found | null> {
    const { place, headers } = search;
    for (let index = at; index < rules.length; index += 1) {
      const rule = rules[index]!;
      const record = this.#read(variantAt(place, rule, variantKey(rule, headers)));
      if (record instanceof Promise) {
        return record.then((each) => (each && this.#found(search, each)) ?? this.#selectBy(search, rules, index + 1));
      }
      const found = record && this.#found(search, record);
      if (found !== null) return found;
    }
    return null;
  }

  #found({ place, headers, stamp, purges, wasSeen }: Search, record: DiskRecord): Found | null {
    if (countOf(record) !== this.#store.changesOf(place.address)) return null; // something has changed since
    const body = this.#bodyOf(record);
    const entry = body && entryOf(record, place.extra, stamp, body);
    if (entry === null || selectVariant([entry], headers) < 0) {
      body?.rest();
      return null;
    }
    this.#store.countHit();
    return { entry, stays: wasSeen && body!.backing === null && purges >= 0 && purges === this.#store.purges };
  }

  #bodyOf(record: DiskRecord): Body | null {
    if (record.kind !== LARGE) return Body.of(record.body.length === 0 ? [] : [record.body]);
    const pointer = decodePointer(record.body);
    const large = pointer && this.#store.openLarge(pointer);
    return large && Body.inFile(large.bytes, new StoredFile(this.#store, pointer!, large));
  }

  // ——— in

  /** Stores an answer in place of the one for the same requests. It may be one whose content a file of the tier has. */
  put(address: string, entry: Entry, now: number): void {
    const { backing } = entry.body;
    const key = this.#keyFor(address, entry, now);
    if (key === null) return;
    const count = entry.stamp.disk;
    if (backing === null) this.#store.put(key, diskEntryOf(entry, count, wholeOf(entry.body), now));
    else if (backing instanceof StoredFile) {
      this.#store.putPointer(key, diskEntryOf(entry, count, NO_BODY, now), backing.pointer);
    }
  }

  /** Stores an answer whose content has just been written; resolves once it can be found. */
  async putLarge(address: string, entry: Entry, writing: LargeWriting, now: number): Promise<void> {
    const key = this.#keyFor(address, entry, now);
    if (key === null) return writing.abort();
    this.#store.putLarge(key, diskEntryOf(entry, entry.stamp.disk, NO_BODY, now), writing);
    await this.#store.flushed();
  }

  /** The key of an answer's own record; null for one that cannot be stored. */
  #keyFor(address: string, entry: Entry, now: number): string | null {
    if (!fitsRecord(entry)) return null;
    const place = { address, extra: entry.extra };
    const { rule } = entry;
    if (rule.names.length === 0) return address + entry.extra;
    this.#nameRule(place, entry, now);
    return variantAt(place, rule, entry.key);
  }

  /** Sees to it that the record of the key says by which fields its answers differ. */
  #nameRule({ address, extra }: Pick<Place, "address" | "extra">, { rule, stamp }: Entry, now: number): void {
    const record = this.#store.get(address + extra);
    const rules = record === null || record instanceof Promise ? null : rulesOf(record);
    if (rules?.[0]?.text === rule.text) return;
    this.#store.put(address + extra, rulesEntry(rule, rules ?? [], stamp.disk, now));
  }

  remove(address: string, entry: Entry, now: number): void {
    const { rule, extra } = entry;
    this.#store.delete(rule.names.length === 0 ? address + extra : variantAt({ address, extra }, rule, entry.key), now);
  }

  /** Begins a file for content of this length, or -1; null when it cannot have one. */
  begin(length: number): LargeWriting | null {
    return length > this.#store.largeBytesMax ? null : this.#store.beginLarge();
  }

  /** Whether files can be begun. */
  get isReady(): boolean {
    return this.#store.isReady;
  }

  // ——— changes

  changesOf(address: string): number {
    return this.#store.changesOf(address);
  }

  change(address: string): void {
    this.#store.change(address);
  }
}

/** Where the answer to requests with these values of the rule's fields is stored. */
function variantAt({ address, extra }: Pick<Place, "address" | "extra">, { text }: VaryRule, values: string): string {
  const slot = Bun.hash.crc32(values) % VARIANT_SLOTS;
  return address + extra + BETWEEN + text + BETWEEN + slot;
}

function wholeOf(body: Body): Buffer {
  const pieces: Buffer[] = [];
  for (let at = 0; at < body.pieces; at += 1) pieces.push(body.piece(at)!.subarray(0, body.filled(at)) as Buffer);
  return pieces.length === 1 ? pieces[0]! : Buffer.concat(pieces);
}

/** The file of a record, open while somebody reads. */
class StoredFile implements Backing {
  readonly pointer: LargePointer;
  readonly #store: DiskStore;
  #open: LargeBody | null;

  constructor(store: DiskStore, pointer: LargePointer, open: LargeBody) {
    this.#store = store;
    this.pointer = pointer;
    this.#open = open;
  }

  read(at: number): Promise<Buffer | null> {
    this.#open ??= this.#store.openLarge(this.pointer);
    return this.#open === null ? Promise.resolve(null) : this.#open.read(at);
  }

  rest(): void {
    this.#open?.close();
    this.#open = null;
  }
}
