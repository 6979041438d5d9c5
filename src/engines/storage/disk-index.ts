// Where the records of the disk tier lie: a table in memory that all threads share. One thread writes it; the others
// read without a lock. A bucket has a sequence number, odd while it is written: who read it before and after and found
// the same even number has read what belongs together. (A processor that reorders reads may still show a mix; as
// records say whose they are, that costs a hit at most.)
//
// A key may lie in either of two buckets, chosen by the two halves of its hash: in the first, or in the emptier one
// when that is nearly full. So they fill evenly, and hardly ever is one too small. The prints of a bucket and its
// sequence number lie in one cache line, and what a look-up costs is cache lines.

const LINE = 16;
const WAYS = LINE - 1;
/** The place of the sequence number in its line. */
const SEQUENCE = WAYS;
/** How full the table is with the entries that it was made for. */
const LOAD = 0.75;
/** Free slots of a first bucket that are left for keys whose second is full. */
const SPARE = 2;
const BUCKETS_MIN = 16;
/** Words of a slot beside its print: segment, offset, length. */
const WORDS = 3;
const BUCKET_BYTES = (LINE + WAYS * WORDS) * Int32Array.BYTES_PER_ELEMENT + WAYS;
/** Times that a reader looks again before it takes the bucket for one without the key. Writing one takes some 100 ns. */
const READS_MAX = 1000;

/** Where a record lies. A caller has one of these, which look-ups fill in. */
export class Place {
  segment = 0;
  offset = 0;
  bytes = 0;
  /** To say that the record was used. */
  slot = 0;
}

export class DiskIndex {
  readonly buckets: number;
  /** A line for each bucket: prints, with 0 where a slot is free, and the sequence number. */
  readonly #lines: Int32Array;
  readonly #words: Int32Array;
  /** 1: hit since the record was appended. */
  readonly #used: Uint8Array;
  #entries = 0;

  constructor(memory: SharedArrayBuffer) {
    this.buckets = memory.byteLength / BUCKET_BYTES;
    const slots = this.buckets * WAYS;
    this.#lines = new Int32Array(memory, 0, this.buckets * LINE);
    this.#words = new Int32Array(memory, this.#lines.byteLength, slots * WORDS);
    this.#used = new Uint8Array(memory, this.#lines.byteLength + this.#words.byteLength, slots);
  }

  /** Memory for this many entries: 24 bytes for each. */
  static memory(entries: number): SharedArrayBuffer {
    const buckets = Math.max(BUCKETS_MIN, Math.ceil(entries / (WAYS * LOAD)));
    return new SharedArrayBuffer(buckets * BUCKET_BYTES);
  }

  // ——— any thread

  /** Whether there is a record of such a hash, and where. Whether it is that of the key, only the record can tell. */
  find(low: number, high: number, place: Place): boolean {
    const print = high | 0 || 1;
    const first = this.#first(low);
    return this.#look(first, print, place) || this.#look(this.#second(low, high, first), print, place);
  }

  /** Says that the record was used, so that it outlives its segment once. */
  touch(slot: number): void {
    if (this.#used[slot] === 0) this.#used[slot] = 1;
  }

  // ——— the writing thread

  /** Entries, as far as this thread has written them. */
  get entries(): number {
    return this.#entries;
  }

  get slots(): number {
    return this.buckets * WAYS;
  }

  has(low: number, high: number): boolean {
    return this.#slotOf(low, high) >= 0;
  }

  /** Says where the record of a key lies now. With both buckets full, the entry of the oldest segment in them goes. */
  set(low: number, high: number, segment: number, offset: number, bytes: number): void {
    const print = high | 0 || 1;
    const known = this.#slotOf(low, high);
    if (known >= 0) {
      this.write(known, print, segment, offset, bytes);
      return;
    }
    const first = this.#first(low);
    const second = this.#second(low, high, first);
    const free = this.#free(first);
    const bucket = free > SPARE || free >= this.#free(second) ? first : second;
    const slot = this.#within(bucket, 0);
    this.write(slot >= 0 ? slot : this.#oldest(first, second), print, segment, offset, bytes);
  }

  delete(low: number, high: number): boolean {
    const slot = this.#slotOf(low, high);
    if (slot >= 0) this.clear(slot);
    return slot >= 0;
  }

  /** What a slot holds; false when it is free. */
  read(slot: number, place: Place): boolean {
    place.segment = this.#words[slot * WORDS]!;
    place.offset = this.#words[slot * WORDS + 1]!;
    place.bytes = this.#words[slot * WORDS + 2]!;
    place.slot = slot;
    return this.printOf(slot) !== 0;
  }

  /** What tells the key of a slot from others of its bucket; 0 when it is free. */
  printOf(slot: number): number {
    return this.#lines[lineAt(slot)]!;
  }

  untouch(slot: number): void {
    this.#used[slot] = 0;
  }

  wasUsed(slot: number): boolean {
    return this.#used[slot] === 1;
  }

  /** Writes a slot as a whole. */
  write(slot: number, print: number, segment: number, offset: number, bytes: number): void {
    const at = lineAt(slot);
    const sequence = at - (at % LINE) + SEQUENCE;
    if (this.#lines[at] === 0) this.#entries += 1;
    Atomics.add(this.#lines, sequence, 1);
    Atomics.store(this.#lines, at, print);
    Atomics.store(this.#words, slot * WORDS, segment);
    Atomics.store(this.#words, slot * WORDS + 1, offset);
    Atomics.store(this.#words, slot * WORDS + 2, bytes);
    this.#used[slot] = 0;
    Atomics.add(this.#lines, sequence, 1);
  }

  clear(slot: number): void {
    const at = lineAt(slot);
    if (this.#lines[at] === 0) return;
    this.#entries -= 1;
    Atomics.store(this.#lines, at, 0);
  }

  #look(bucket: number, print: number, place: Place): boolean {
    for (let reads = 0; reads < READS_MAX; reads += 1) {
      const before = Atomics.load(this.#lines, bucket * LINE + SEQUENCE);
      if ((before & 1) !== 0) continue;
      const slot = this.#within(bucket, print);
      if (slot >= 0) this.read(slot, place);
      if (Atomics.load(this.#lines, bucket * LINE + SEQUENCE) === before) return slot >= 0;
    }
    return false;
  }

  #within(bucket: number, print: number): number {
    const line = bucket * LINE;
    for (let way = 0; way < WAYS; way += 1) if (this.#lines[line + way] === print) return bucket * WAYS + way;
    return -1;
  }

  #slotOf(low: number, high: number): number {
    const print = high | 0 || 1;
    const first = this.#first(low);
    const slot = this.#within(first, print);
    return slot >= 0 ? slot : this.#within(this.#second(low, high, first), print);
  }

  #first(low: number): number {
    return Math.floor(((low >>> 0) / 0x1_0000_0000) * this.buckets);
  }

  #second(low: number, high: number, first: number): number {
    const bucket = Math.floor((((Math.imul(low, 0x9e3779b1) ^ high) >>> 0) / 0x1_0000_0000) * this.buckets);
    return bucket !== first ? bucket : (bucket + 1) % this.buckets;
  }

  #free(bucket: number): number {
    let free = 0;
    for (let way = 0; way < WAYS; way += 1) if (this.#lines[bucket * LINE + way] === 0) free += 1;
    return free;
  }

  #oldest(first: number, second: number): number {
    let oldest = first * WAYS;
    for (const bucket of [first, second]) {
      for (let slot = bucket * WAYS; slot < (bucket + 1) * WAYS; slot += 1)
        if (this.#words[slot * WORDS]! < this.#words[oldest * WORDS]!) oldest = slot;
    }
    return oldest;
  }
}

/** Where the print of a slot lies. */
const lineAt = (slot: number): number => slot + Math.floor(slot / WAYS);
