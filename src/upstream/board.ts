// What all threads must know of servers at once, in memory that they share: health, requests in flight, errors. Each
// server and each upstream has a slot of one cache line; the supervisor hands the slots out.
//
// Times on the board are those of one clock (`board.now`): threads do not agree on their own.

const INTS = 16; // 64 bytes for each slot
const DOUBLES = INTS / 2;
/** The first slot is the board's own. */
const HEADER = 0;

// ——— fields of a server's slot, in 32-bit integers
const HEALTH = 0;
const IN_FLIGHT = 1;
const CONSECUTIVE_ERRORS = 2;
const REQUESTS = 3;
const ERRORS = 4;
const LATENCY_SUM = 5;
const LATENCY_COUNT = 6;
const EJECTIONS = 7;
// …and in doubles
const EJECTED_UNTIL = 4;
const UP_SINCE = 5;

// ——— fields of the header
const VERSION = 0;
const NOW = 1; // a double

/** How many parts of a millisecond latencies are summed in, and the longest that counts. */
const LATENCY_PARTS = 16;
const LATENCY_MS_MAX = 10_000;

/** What the active checks say: nothing yet (it may be used), healthy, unhealthy, or new and to be checked first. */
export const HEALTH_UNKNOWN = 0;
export const HEALTH_UP = 1;
export const HEALTH_DOWN = 2;
export const HEALTH_AWAITED = 3;
export type Health = typeof HEALTH_UNKNOWN | typeof HEALTH_UP | typeof HEALTH_DOWN | typeof HEALTH_AWAITED;

/** Servers and upstreams that one process can have. Pages that nobody writes to take no memory. */
export const SLOTS_MAX = 262_144;

/** What a server did since it was last asked, over all threads. */
export interface WindowCounts {
  readonly requests: number;
  readonly errors: number;
  /** Mean time to the head of an answer in milliseconds; 0 without any answer. */
  readonly meanLatency: number;
}

export interface BoardMemory {
  readonly slots: SharedArrayBuffer;
  /**
   * Requests in flight of each thread by itself: what a worker that ended abruptly had going is taken back. A row is
   * made with its thread: the collector counts all that a thread can see as its garbage to be, touched or not, and with
   * rows for every possible thread it would hardly ever run.
   */
  readonly rows: SharedArrayBuffer[];
}

export class Board {
  readonly memory: BoardMemory;
  /** For parts that keep fields of their own in an upstream's slot: `ints[base(slot) + i]`, `i` below 16. */
  readonly ints: Int32Array;
  readonly doubles: Float64Array;
  readonly #own: Int32Array;
  readonly #rows: BoardMemory["rows"];

  /** `row` is this thread's: 0 up to the number of workers. */
  constructor(memory: BoardMemory, row: number) {
    this.memory = memory;
    this.ints = new Int32Array(memory.slots);
    this.doubles = new Float64Array(memory.slots);
    this.#rows = memory.rows;
    this.#own = new Int32Array(memory.rows[row]!);
  }

  /** Memory for this many threads, to begin with. */
  static memory(rows: number): BoardMemory {
    const memory = { slots: new SharedArrayBuffer(SLOTS_MAX * INTS * 4), rows: [] };
    for (let row = 0; row < rows; row += 1) Board.addRow(memory, row);
    return memory;
  }

  /** Makes the row of one more thread, before that gets the memory. */
  static addRow({ rows }: BoardMemory, row: number): void {
    rows[row] ??= new SharedArrayBuffer(SLOTS_MAX * 4);
  }

  base(slot: number): number {
    return slot * INTS;
  }

  // ——— the header

  /** Milliseconds on the clock that all threads share; as old as the last tick of its owner. */
  get now(): number {
    return this.doubles[HEADER + NOW]!;
  }
  /** Called by the clock's owner: the supervisor, or the only thread there is. */
  tick(now: number): void {
    this.doubles[HEADER + NOW] = now;
  }

  /** Changes whenever a server can be used that could not before, or the other way round. */
  get version(): number {
    return Atomics.load(this.ints, HEADER + VERSION);
  }
  changed(): void {
    Atomics.add(this.ints, HEADER + VERSION, 1);
  }

  // ——— health

  health(slot: number): Health {
    return Atomics.load(this.ints, slot * INTS + HEALTH) as Health;
  }
  /** Sets what the checks say; a server that was not usable before begins its slow start. */
  setHealth(slot: number, health: Health): void {
    const before = Atomics.exchange(this.ints, slot * INTS + HEALTH, health);
    if (before === health) return;
    if (health === HEALTH_UP && before !== HEALTH_UNKNOWN) this.doubles[slot * DOUBLES + UP_SINCE] = this.now;
    this.changed();
  }

  /** When the server last came back, on the board's clock; 0 when it was there from the start. */
  upSince(slot: number): number {
    return this.doubles[slot * DOUBLES + UP_SINCE]!;
  }
  setUpSince(slot: number, at: number): void {
    this.doubles[slot * DOUBLES + UP_SINCE] = at;
  }

  // ——— requests in flight

  /** Takes a place if fewer than `limit` are taken. */
  enter(slot: number, limit: number): boolean {
    const at = slot * INTS + IN_FLIGHT;
    for (let taken = Atomics.load(this.ints, at); ; ) {
      if (taken >= limit) return false;
      const before = Atomics.compareExchange(this.ints, at, taken, taken + 1);
      if (before === taken) break;
      taken = before;
    }
    this.#own[slot] = this.#own[slot]! + 1;
    return true;
  }
  leave(slot: number): void {
    Atomics.sub(this.ints, slot * INTS + IN_FLIGHT, 1);
    this.#own[slot] = this.#own[slot]! - 1;
  }
  /** Where the requests in flight of all slots stand, for those who compare many. */
  get inFlightColumn(): { readonly inFlight: Int32Array; readonly stride: number; readonly offset: number } {
    return { inFlight: this.ints, stride: INTS, offset: IN_FLIGHT };
  }
  /** Those of this thread alone. */
  ownInFlight(slot: number): number {
    return this.#own[slot]!;
  }
  inFlight(slot: number): number {
    return this.ints[slot * INTS + IN_FLIGHT]!;
  }
  /** Takes back what a worker that ended had in flight. Nobody may write to that row any more. */
  clearRow(row: number): void {
    const theirs = new Int32Array(this.#rows[row]!);
    for (let slot = 0; slot < SLOTS_MAX; slot += 1) {
      if (theirs[slot] === 0) continue;
      Atomics.sub(this.ints, slot * INTS + IN_FLIGHT, theirs[slot]!);
      theirs[slot] = 0;
    }
  }

  // ——— outcomes

  /** Counts an answered or failed request. Returns the errors in a row, this one included. */
  count(slot: number, isError: boolean, ms: number): number {
    const { ints } = this;
    const at = slot * INTS;
    Atomics.add(ints, at + REQUESTS, 1);
    if (isError) {
      Atomics.add(ints, at + ERRORS, 1);
      return Atomics.add(ints, at + CONSECUTIVE_ERRORS, 1) + 1;
    }
    const part = Math.round(Math.min(ms, LATENCY_MS_MAX) * LATENCY_PARTS);
    Atomics.add(ints, at + LATENCY_SUM, part);
    Atomics.add(ints, at + LATENCY_COUNT, 1);
    if (ints[at + CONSECUTIVE_ERRORS] !== 0) Atomics.store(ints, at + CONSECUTIVE_ERRORS, 0);
    return 0;
  }

  /** What was counted since the last call; counting begins anew. For one thread only. */
  takeWindow(slot: number): WindowCounts {
    const { ints } = this;
    const at = slot * INTS;
    const requests = Atomics.exchange(ints, at + REQUESTS, 0);
    const errors = Atomics.exchange(ints, at + ERRORS, 0);
    const sum = Atomics.exchange(ints, at + LATENCY_SUM, 0);
    const count = Atomics.exchange(ints, at + LATENCY_COUNT, 0);
    return { requests, errors, meanLatency: count === 0 ? 0 : sum / LATENCY_PARTS / count };
  }

  // ——— ejection

  ejectedUntil(slot: number): number {
    return this.doubles[slot * DOUBLES + EJECTED_UNTIL]!;
  }
  /** How often in a row it was ejected. */
  ejections(slot: number): number {
    return Atomics.load(this.ints, slot * INTS + EJECTIONS);
  }
  /**
   * Leaves the server out until then; a slow start follows. `before` is how often it was ejected when that was decided:
   * false when another thread has ejected it since.
   */
  eject(slot: number, until: number, before: number): boolean {
    // The time comes first: whoever sees the new count sees that it is out.
    this.doubles[slot * DOUBLES + EJECTED_UNTIL] = until;
    this.doubles[slot * DOUBLES + UP_SINCE] = until;
    const at = slot * INTS;
    if (Atomics.compareExchange(this.ints, at + EJECTIONS, before, before + 1) !== before) return false;
    Atomics.store(this.ints, at + CONSECUTIVE_ERRORS, 0);
    this.changed();
    return true;
  }
  /** Takes back an ejection that should not have been: two threads ejected at once what only one of them could. */
  takeBack(slot: number): void {
    this.doubles[slot * DOUBLES + EJECTED_UNTIL] = 0;
    this.doubles[slot * DOUBLES + UP_SINCE] = 0;
    this.forgive(slot);
    this.changed();
  }
  /** A server that has behaved for a while is forgiven one ejection. */
  forgive(slot: number): void {
    const at = slot * INTS + EJECTIONS;
    if (Atomics.load(this.ints, at) > 0) Atomics.sub(this.ints, at, 1);
  }

  /** Makes the slot another server's. */
  reset(slot: number, health: Health): void {
    this.ints.fill(0, slot * INTS, (slot + 1) * INTS);
    this.ints[slot * INTS + HEALTH] = health;
    this.changed();
  }
}
