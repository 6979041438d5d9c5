// Persistent collections (IP, SESSION, USER, GLOBAL, RESOURCE) in memory that all threads share: a counter of an
// address is one counter, whichever thread counts. A key has a slot of fixed size in a bucket; whoever changes a
// bucket, or reads a key that others have changed, holds its lock for about a microsecond.
//
// Where a bucket is full, the key that was changed least often gives way: a flood of keys that are seen once drives out
// its own kind, and those that rules keep counting stay.

/** With as many bytes as ModSecurity gives a key, rules that were written for it find room. */
const SLOT_BYTES = 1024;
const SLOTS = 8;
const BUCKET_BYTES = SLOTS * SLOT_BYTES;
const SLOT_INTS = SLOT_BYTES / Int32Array.BYTES_PER_ELEMENT;
/** Keys that are kept: 64 MB, of which only what is used is taken from the system. */
const KEYS = 65_536;
/** A table of one bucket, where nothing is shared. */
const OWN_BUCKETS = 1;
/** Which slots of a bucket have changed, a bit for each: after all buckets, so that looking for them is quick. */
const MARK_BYTES = Int32Array.BYTES_PER_ELEMENT;

// Integers of a slot. The lock of a bucket, and what belongs to it, stand in its first slot.
const LOW = 0;
const HIGH = 1;
const VERSION = 2;
const USED = 3;
const CHANGES = 4;
const LOCK = 5;
/** How often the lock was asked for: each holder has a number of its own. */
const TOKENS = 6;
/** In bytes: when all of it is forgotten, in milliseconds since 1970, whose it is, and its entries. */
const UNTIL = 32;
const ID = 40;
const ID_BYTES = 16;
const DATA = ID + ID_BYTES;
const DATA_MAX = SLOT_BYTES - DATA;

// An entry: length of its name (1), of its value (2), when it is over (8), name, value.
const ENTRY_HEAD = 11;
const NAME_MAX = 255;
/** A key that was changed often is worth no more than this many that were changed once. */
const CHANGES_MAX = 1000;

const SPINS = 200;
/** A lock that was not let go for so many milliseconds was held by a thread that has ended. */
const LOCK_MS = 20;
/** Others have been quicker each time: not counting this one is better than waiting on. */
const LOCK_TRIES = 100;
const RANGE = 2 ** 32;
const DIGEST_BYTES = 32;

export interface CollectionEntry {
  readonly name: string;
  readonly value: string;
  /** Milliseconds since 1970; Infinity for as long as the key is kept. */
  readonly expires: number;
}

/** What is kept of one key, such as an address. Texts are bytes as Latin-1. */
export interface StoredEntries {
  each(nowMs: number, take: (name: string, value: string) => void): void;
  /**
   * Makes `change` of the value of an entry, null for none, in one step; the key is kept for `keepMs` more. A new entry
   * that finds no room is not kept.
   */
  change(name: string, nowMs: number, keepMs: number, change: (old: string | null) => string | null): void;
  /** The entry, if there is one, is over at `expires`. */
  expire(name: string, nowMs: number, expires: number): void;
}

/** What has become of a key. */
export interface SlotChange {
  /** Where it stands; a slot has one key at a time. */
  readonly slot: number;
  /** Says nothing about the key, and is the same for the same collection and key everywhere. */
  readonly id: string;
  /** Nothing when it is no more. */
  readonly entries: readonly CollectionEntry[];
  readonly until: number;
}

export class Collections {
  readonly #seed: bigint;
  readonly #ints: Int32Array;
  readonly #view: DataView;
  readonly #bytes: Buffer;
  readonly #marks: Int32Array;
  readonly #buckets: number;
  readonly #digest = new Uint8Array(DIGEST_BYTES);
  /** The bucket with which the next look for changes begins. */
  #next = 0;

  /** For `memory`, the same in all threads. */
  static readonly BYTES = Collections.bytesOf(KEYS / SLOTS);
  /** Its name. */
  static readonly MEMORY = "collections of the firewall";

  static bytesOf(buckets: number): number {
    return buckets * (BUCKET_BYTES + MARK_BYTES);
  }

  /** `seed` is secret and the same in all threads; `memory` without any length is for one transaction alone. */
  constructor(memory: SharedArrayBuffer, seed: bigint) {
    const own = memory.byteLength === 0 ? new SharedArrayBuffer(Collections.bytesOf(OWN_BUCKETS)) : memory;
    this.#seed = seed;
    this.#ints = new Int32Array(own);
    this.#view = new DataView(own);
    this.#bytes = Buffer.from(own);
    this.#buckets = Math.floor(own.byteLength / (BUCKET_BYTES + MARK_BYTES));
    this.#marks = new Int32Array(own, this.#buckets * BUCKET_BYTES, this.#buckets);
  }

  /** The entries of a key of a collection. Nothing is kept until one is set. */
  open(collection: string, key: string): StoredEntries {
    Bun.SHA256.hash(`${collection} ${key}`, this.#digest);
    return this.#openId(this.#digest.slice(0, ID_BYTES));
  }

  /** Where a key stands is known to nobody outside, so nobody can choose keys that drive out one another. */
  #openId(id: Uint8Array): SharedEntries {
    const hash = Bun.hash.xxHash3(id, this.#seed);
    const low = Number(hash & 0xffffffffn);
    const high = Number(hash >> 32n) | 0;
    const bucket = Math.floor((low / RANGE) * this.#buckets) * SLOTS;
    return new SharedEntries(this, bucket, low | 0, low === 0 && high === 0 ? 1 : high, id);
  }

  /**
   * Tells what has changed since the last time, at most about `most` slots; what is more waits for the next. Of a slot
   * that was taken by another key only the new one is told.
   */
  changes(most: number, nowMs: number, tell: (change: SlotChange) => void): void {
    let left = most;
    for (let turn = 0; turn < this.#buckets && left > 0; turn += 1) {
      const at = (this.#next + turn) % this.#buckets;
      if (Atomics.load(this.#marks, at) === 0) continue;
      const bucket = at * SLOTS;
      const token = this.lock(bucket);
      if (token === 0) continue;
      const marks = Atomics.exchange(this.#marks, at, 0);
      const found: SlotChange[] = [];
      for (let slot = bucket; slot < bucket + SLOTS; slot += 1) {
        if ((marks & (1 << (slot - bucket))) === 0) continue;
        const until = this.untilOf(slot);
        found.push({ slot, id: this.#idOf(slot), entries: until > nowMs ? this.read(slot) : [], until });
      }
      this.unlock(bucket, token);
      for (const change of found) tell(change);
      left -= found.length;
      if (left <= 0) this.#next = at + 1;
    }
  }

  #idOf(slot: number): string {
    const start = slot * SLOT_BYTES + ID;
    return this.#bytes.toString("hex", start, start + ID_BYTES);
  }

  /** Takes over what `changes` has told elsewhere or before, unless the key has been changed here since. */
  put(id: string, entries: readonly CollectionEntry[], until: number, nowMs: number): void {
    const bytes = Uint8Array.from(Buffer.from(id, "hex"));
    if (bytes.length === ID_BYTES) this.#openId(bytes).replace(entries, until, nowMs);
  }

  isMarked(slot: number): boolean {
    return (Atomics.load(this.#marks, Math.floor(slot / SLOTS)) & (1 << (slot % SLOTS))) !== 0;
  }

  /** The slot, whose lock is held, is to be told. */
  mark(slot: number): void {
    Atomics.or(this.#marks, Math.floor(slot / SLOTS), 1 << (slot % SLOTS));
  }

  /** The slot of a key in its bucket; -1 for none. */
  find(bucket: number, low: number, high: number): number {
    for (let slot = bucket; slot < bucket + SLOTS; slot += 1) {
      const at = slot * SLOT_INTS;
      if (Atomics.load(this.#ints, at + LOW) === low && Atomics.load(this.#ints, at + HIGH) === high) return slot;
    }
    return -1;
  }

  versionOf(slot: number): number {
    return Atomics.load(this.#ints, slot * SLOT_INTS + VERSION);
  }

  /** Takes the lock of a bucket; the result lets it go. 0 when it cannot be had. */
  lock(bucket: number): number {
    const ints = this.#ints;
    const at = bucket * SLOT_INTS + LOCK;
    const token = (Atomics.add(ints, bucket * SLOT_INTS + TOKENS, 1) + 1) | 0 || 1;
    let seen = 0;
    let waited = 0;
    for (let tries = 0; tries < LOCK_TRIES; tries += 1) {
      const held = Atomics.compareExchange(ints, at, 0, token);
      if (held === 0) return token;
      waited = held === seen ? waited + 1 : 0;
      seen = held;
      if (waited >= LOCK_MS && Atomics.compareExchange(ints, at, held, token) === held) return token;
      for (let spin = 0; spin < SPINS && Atomics.load(ints, at) === held; spin += 1);
      // Whoever holds it was stopped by the system. Nobody wakes us: it is a sleep of a millisecond.
      if (Atomics.load(ints, at) === held) Atomics.wait(ints, at, held, 1);
    }
    return 0;
  }

  unlock(bucket: number, token: number): void {
    Atomics.compareExchange(this.#ints, bucket * SLOT_INTS + LOCK, token, 0);
  }

  /** A slot for a new key of a bucket whose lock is held: one that is free or over, or that of the least changed. */
  claim(bucket: number, low: number, high: number, id: Uint8Array, nowMs: number): number {
    const ints = this.#ints;
    let found = bucket;
    let least = Number.POSITIVE_INFINITY;
    for (let slot = bucket; slot < bucket + SLOTS && least > 0; slot += 1) {
      const changes = this.isOver(slot, nowMs) ? 0 : ints[slot * SLOT_INTS + CHANGES]!;
      if (changes >= least) continue;
      least = changes;
      found = slot;
    }
    // Those that were changed often long ago grow old with the others.
    if (least > 0)
      for (let slot = bucket; slot < bucket + SLOTS; slot += 1) {
        const at = slot * SLOT_INTS + CHANGES;
        if (slot !== found && ints[at]! > least) ints[at] = ints[at]! - 1;
      }
    this.clear(found);
    const at = found * SLOT_INTS;
    Atomics.store(ints, at + LOW, low);
    Atomics.store(ints, at + HIGH, high);
    this.#bytes.set(id, found * SLOT_BYTES + ID);
    return found;
  }

  isOver(slot: number, nowMs: number): boolean {
    return this.#view.getFloat64(slot * SLOT_BYTES + UNTIL, true) <= nowMs;
  }

  /** What is told of it keeps its name. */
  clear(slot: number): void {
    const at = slot * SLOT_INTS;
    Atomics.store(this.#ints, at + LOW, 0);
    Atomics.store(this.#ints, at + HIGH, 0);
    this.#ints[at + USED] = 0;
    this.#ints[at + CHANGES] = 0;
    this.#view.setFloat64(slot * SLOT_BYTES + UNTIL, 0, true);
    Atomics.add(this.#ints, at + VERSION, 1);
  }

  /** The entries of a slot, its lock being held. What a thread has left half written ends there. */
  read(slot: number): CollectionEntry[] {
    const start = slot * SLOT_BYTES + DATA;
    const end = start + Math.min(Math.max(this.#ints[slot * SLOT_INTS + USED]!, 0), DATA_MAX);
    const entries: CollectionEntry[] = [];
    for (let at = start; at + ENTRY_HEAD <= end; ) {
      const nameAt = at + ENTRY_HEAD;
      const valueAt = nameAt + this.#view.getUint8(at);
      const next = valueAt + this.#view.getUint16(at + 1, true);
      if (next > end) break;
      const name = this.#bytes.latin1Slice(nameAt, valueAt);
      entries.push({
        name,
        value: this.#bytes.latin1Slice(valueAt, next),
        expires: this.#view.getFloat64(at + 3, true),
      });
      at = next;
    }
    return entries;
  }

  /** Writes a slot whose lock is held. The entries must fit. */
  write(slot: number, entries: readonly CollectionEntry[], until: number): void {
    const start = slot * SLOT_BYTES + DATA;
    let at = start;
    for (const { name, value, expires } of entries) {
      this.#view.setUint8(at, name.length);
      this.#view.setUint16(at + 1, value.length, true);
      this.#view.setFloat64(at + 3, expires, true);
      this.#bytes.latin1Write(name, at + ENTRY_HEAD);
      this.#bytes.latin1Write(value, at + ENTRY_HEAD + name.length);
      at += sizeOf(name, value);
    }
    const head = slot * SLOT_INTS;
    this.#ints[head + USED] = at - start;
    this.#ints[head + CHANGES] = Math.min(CHANGES_MAX, this.#ints[head + CHANGES]! + 1);
    this.#view.setFloat64(slot * SLOT_BYTES + UNTIL, until, true);
    Atomics.add(this.#ints, head + VERSION, 1);
  }

  untilOf(slot: number): number {
    return this.#view.getFloat64(slot * SLOT_BYTES + UNTIL, true);
  }
}

const sizeOf = (name: string, value: string): number => ENTRY_HEAD + name.length + value.length;

/** One key for one transaction; what it has read is read again once it was changed. */
class SharedEntries implements StoredEntries {
  readonly #all: Collections;
  readonly #bucket: number;
  readonly #low: number;
  readonly #high: number;
  readonly #id: Uint8Array;
  #entries: readonly CollectionEntry[] = [];
  #slot = -1;
  #version = 0;

  constructor(all: Collections, bucket: number, low: number, high: number, id: Uint8Array) {
    this.#all = all;
    this.#bucket = bucket;
    this.#low = low;
    this.#high = high;
    this.#id = id;
  }

  each(nowMs: number, take: (name: string, value: string) => void): void {
    this.#look(nowMs);
    for (const { name, value, expires } of this.#entries) if (expires > nowMs) take(name, value);
  }

  #look(nowMs: number): void {
    const all = this.#all;
    const slot = all.find(this.#bucket, this.#low, this.#high);
    if (slot < 0 || all.isOver(slot, nowMs)) {
      this.#entries = [];
      this.#slot = -1;
      return;
    }
    if (slot === this.#slot && all.versionOf(slot) === this.#version) return;
    const token = all.lock(this.#bucket);
    if (token === 0) return;
    const found = all.find(this.#bucket, this.#low, this.#high);
    this.#entries = found < 0 ? [] : all.read(found);
    this.#slot = found;
    this.#version = found < 0 ? 0 : all.versionOf(found);
    all.unlock(this.#bucket, token);
  }

  change(name: string, nowMs: number, keepMs: number, change: (old: string | null) => string | null): void {
    if (name.length > NAME_MAX) return;
    this.#write(
      nowMs,
      (entries, known) => {
        const value = change(known < 0 ? null : entries[known]!.value);
        const rest = known < 0 ? entries : entries.toSpliced(known, 1);
        if (value === null) return known < 0 ? null : { entries: rest, until: nowMs + keepMs };
        const size = rest.reduce((sum, entry) => sum + sizeOf(entry.name, entry.value), sizeOf(name, value));
        if (size > DATA_MAX) return null;
        const entry = { name, value, expires: known < 0 ? Number.POSITIVE_INFINITY : entries[known]!.expires };
        return { entries: known < 0 ? [...rest, entry] : entries.with(known, entry), until: nowMs + keepMs };
      },
      name,
    );
  }

  expire(name: string, nowMs: number, expires: number): void {
    this.#write(
      nowMs,
      (entries, known, until) =>
        known < 0 ? null : { entries: entries.with(known, { ...entries[known]!, expires }), until },
      name,
    );
  }

  /** Has `make` say what is to be written, by what holds now and where the entry stands in it; null for no change. */
  #write(
    nowMs: number,
    make: (
      entries: CollectionEntry[],
      known: number,
      until: number,
    ) => { entries: readonly CollectionEntry[]; until: number } | null,
    name: string,
  ): void {
    const all = this.#all;
    const token = all.lock(this.#bucket);
    if (token === 0) return;
    const found = all.find(this.#bucket, this.#low, this.#high);
    const isKept = found >= 0 && !all.isOver(found, nowMs);
    const entries = isKept ? all.read(found).filter(({ expires }) => expires > nowMs) : [];
    const known = entries.findIndex((entry) => entry.name === name);
    const made = make(entries, known, isKept ? all.untilOf(found) : 0);
    if (made !== null && made.entries.length === 0) {
      if (found >= 0) all.clear(found);
      if (found >= 0) all.mark(found);
    } else if (made !== null) {
      const slot = found >= 0 ? found : all.claim(this.#bucket, this.#low, this.#high, this.#id, nowMs);
      all.write(slot, made.entries, made.until);
      all.mark(slot);
    }
    all.unlock(this.#bucket, token);
  }

  /** Takes over what others have counted, which is not told again. */
  replace(entries: readonly CollectionEntry[], until: number, nowMs: number): void {
    const size = entries.reduce((sum, { name, value }) => sum + sizeOf(name, value), 0);
    if (size > DATA_MAX || entries.some(({ name }) => name.length > NAME_MAX)) return;
    const all = this.#all;
    const token = all.lock(this.#bucket);
    if (token === 0) return;
    const found = all.find(this.#bucket, this.#low, this.#high);
    const isNewer = found >= 0 && all.isMarked(found);
    if (!isNewer && entries.length === 0 && found >= 0) all.clear(found);
    if (!isNewer && entries.length > 0) {
      const slot = found >= 0 ? found : all.claim(this.#bucket, this.#low, this.#high, this.#id, nowMs);
      all.write(slot, entries, until);
    }
    all.unlock(this.#bucket, token);
  }
}
