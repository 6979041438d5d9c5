// What was used, by whom, on which route and with which kind of answer: one table for each thread, in shared memory.
// The thread alone adds to its rows; the supervisor reads them (`read`), and says how much it has taken. All counts
// only grow, so nothing is lost between the two, and what a thread has counted outlives the thread.

/** Integers at the front of a table. */
const HEADER_BYTES = 64;
const COUNT = 0;
/** Bytes of a row: eight integers, nine numbers, and the names. */
const ROW_BYTES = 328;
const NUMBERS_AT = 32;
const TEXT_AT = 104;
const SUBJECT_MAX = 128;
const ROUTE_MAX = ROW_BYTES - TEXT_AT - SUBJECT_MAX;
const ROW_INTS = ROW_BYTES / 4;
const ROW_FLOATS = ROW_BYTES / 8;
const NUMBERS_FROM = NUMBERS_AT / 8;

// Integers of a row.
/** Whose row it is counts up with each series that it is given to; odd while that changes. */
const VERSION = 0;
const CLASS = 1;
const KIND = 2;
const SUBJECT_LENGTH = 3;
const ROUTE_LENGTH = 4;
/** When it was used last, in seconds of the thread's clock. */
const USED_AT = 5;

/** How many counts there are; then the number of requests that the supervisor has taken. */
export const COUNTS = 8;
const TAKEN = COUNTS;

/** The counts of a row. */
export const REQUESTS = 0;
const ERRORS = 1;
const BYTES_IN = 2;
const BYTES_OUT = 3;
const UNITS = 4;
const TOKENS_IN = 5;
const TOKENS_OUT = 6;
const MILLIS = 7;

/** Who somebody is. */
export const KINDS = ["nobody", "user", "consumer"] as const;
export type SubjectKind = (typeof KINDS)[number];
/** What is counted for all those for whom there is no row. */
export const OTHERS = "(others)";

/** A row that nobody has used for so long may become another one's. */
const IDLE_SECONDS = 600;
/** Rows that are looked at for one that is free, so that a flood of names does not cost each of them a whole table. */
const LOOK_MAX = 64;

/** What one request has used. */
export interface Used {
  readonly isError: boolean;
  readonly bytesIn: number;
  readonly bytesOut: number;
  readonly units: number;
  readonly tokensIn: number;
  readonly tokensOut: number;
  readonly ms: number;
}

/** Whose counts they are. */
export interface Series {
  readonly kind: SubjectKind;
  readonly subject: string;
  readonly route: string;
  /** The first digit of the status; 0 for none. */
  readonly statusClass: number;
}

export class UsageTable {
  readonly #ints: Int32Array;
  readonly #floats: Float64Array;
  readonly #bytes: Uint8Array;
  readonly #rows: number;
  #looked = 1;

  constructor(memory: SharedArrayBuffer) {
    this.#ints = new Int32Array(memory);
    this.#floats = new Float64Array(memory);
    this.#bytes = new Uint8Array(memory);
    this.#rows = Math.max(0, Math.floor((memory.byteLength - HEADER_BYTES) / ROW_BYTES));
    if (this.#rows > 0 && this.#ints[COUNT] === 0) this.#begin();
  }

  /** Memory for so many series, and one for what is more. */
  static bytes(series: number): number {
    return HEADER_BYTES + (series + 1) * ROW_BYTES;
  }

  // ——— the side of the thread

  /** Row 0 is for what there is no room for. */
  #begin(): void {
    this.#write(0, { kind: "nobody", subject: OTHERS, route: OTHERS, statusClass: 0 });
    Atomics.store(this.#ints, COUNT, 1);
  }

  /** The rows that are there, for a thread that goes on where another one has ended. */
  forEach(tell: (row: number, series: Series) => void): void {
    const count = this.#rows === 0 ? 0 : Atomics.load(this.#ints, COUNT);
    for (let row = 1; row < count; row += 1) tell(row, this.#seriesOf(row));
  }

  /**
   * A row for a series that has none: a new one, or that of a series that nobody has used for long, of which `dropped`
   * is told. Row 0 where there is none.
   */
  add(series: Series, nowSeconds: number, dropped: (row: number, series: Series) => void): number {
    const ints = this.#ints;
    const count = ints[COUNT]!;
    if (count < this.#rows) {
      this.#write(count, series);
      ints[this.#intsAt(count) + USED_AT] = nowSeconds;
      Atomics.store(ints, COUNT, count + 1);
      return count;
    }
    for (let looked = 0; looked < Math.min(LOOK_MAX, this.#rows - 1); looked += 1) {
      const row = this.#looked;
      this.#looked = row + 1 >= this.#rows ? 1 : row + 1;
      const at = this.#floatsAt(row);
      const isTaken = this.#floats[at + TAKEN] === this.#floats[at + REQUESTS];
      if (!isTaken || nowSeconds - ints[this.#intsAt(row) + USED_AT]! < IDLE_SECONDS) continue;
      dropped(row, this.#seriesOf(row));
      this.#write(row, series);
      ints[this.#intsAt(row) + USED_AT] = nowSeconds;
      return row;
    }
    return 0;
  }

  /** Counts a request. The number of requests is written last, as whoever reads looks at it first. */
  count(row: number, used: Used, nowSeconds: number): void {
    if (this.#rows === 0) return; // a plan that is only looked at
    const floats = this.#floats;
    const at = this.#floatsAt(row);
    if (used.isError) floats[at + ERRORS] = floats[at + ERRORS]! + 1;
    floats[at + BYTES_IN] = floats[at + BYTES_IN]! + used.bytesIn;
    floats[at + BYTES_OUT] = floats[at + BYTES_OUT]! + used.bytesOut;
    floats[at + UNITS] = floats[at + UNITS]! + used.units;
    floats[at + TOKENS_IN] = floats[at + TOKENS_IN]! + used.tokensIn;
    floats[at + TOKENS_OUT] = floats[at + TOKENS_OUT]! + used.tokensOut;
    floats[at + MILLIS] = floats[at + MILLIS]! + used.ms;
    this.#ints[this.#intsAt(row) + USED_AT] = nowSeconds;
    floats[at + REQUESTS] = floats[at + REQUESTS]! + 1;
  }

  #write(row: number, { kind, subject, route, statusClass }: Series): void {
    const ints = this.#ints;
    const at = this.#intsAt(row);
    Atomics.add(ints, at + VERSION, 1);
    this.#floats.fill(0, this.#floatsAt(row), this.#floatsAt(row) + COUNTS + 1);
    ints[at + CLASS] = statusClass;
    ints[at + KIND] = KINDS.indexOf(kind);
    const text = row * ROW_BYTES + HEADER_BYTES + TEXT_AT;
    ints[at + SUBJECT_LENGTH] = this.#text(text, subject, SUBJECT_MAX);
    ints[at + ROUTE_LENGTH] = this.#text(text + SUBJECT_MAX, route, ROUTE_MAX);
    Atomics.add(ints, at + VERSION, 1);
  }

  /** Writes a text of at most so many bytes; one that is longer was cut before (`shortName`). */
  #text(at: number, text: string, max: number): number {
    return new TextEncoder().encodeInto(text, this.#bytes.subarray(at, at + max)).written;
  }

  // ——— the side of the supervisor

  /** How many rows are used. */
  get size(): number {
    return this.#rows === 0 ? 0 : Atomics.load(this.#ints, COUNT);
  }
  get room(): number {
    return this.#rows;
  }

  /** Changes with each series that the row is given to; odd while that is done. */
  version(row: number): number {
    return Atomics.load(this.#ints, this.#intsAt(row) + VERSION);
  }

  /** How many requests the row has. */
  requests(row: number): number {
    return this.#floats[this.#floatsAt(row) + REQUESTS]!;
  }

  /** Copies the counts of a row to `to`, from `at` on. */
  read(row: number, to: Float64Array, at: number): void {
    const from = this.#floatsAt(row);
    // First: of a request that is being counted the rest may be read, and not yet that it was there.
    to[at + REQUESTS] = this.#floats[from + REQUESTS]!;
    for (let i = 1; i < COUNTS; i += 1) to[at + i] = this.#floats[from + i]!;
  }

  /** So many requests of the row are where nothing can be lost of them any more. */
  taken(row: number, requests: number): void {
    this.#floats[this.#floatsAt(row) + TAKEN] = requests;
  }

  series(row: number): Series {
    return this.#seriesOf(row);
  }

  #seriesOf(row: number): Series {
    const ints = this.#ints;
    const at = this.#intsAt(row);
    const text = row * ROW_BYTES + HEADER_BYTES + TEXT_AT;
    const read = (from: number, length: number): string =>
      Buffer.from(this.#bytes.slice(from, from + length)).toString();
    return {
      kind: KINDS[ints[at + KIND]!] ?? "nobody",
      subject: read(text, ints[at + SUBJECT_LENGTH]!),
      route: read(text + SUBJECT_MAX, ints[at + ROUTE_LENGTH]!),
      statusClass: ints[at + CLASS]!,
    };
  }

  #intsAt(row: number): number {
    return HEADER_BYTES / 4 + row * ROW_INTS;
  }
  #floatsAt(row: number): number {
    return HEADER_BYTES / 8 + row * ROW_FLOATS + NUMBERS_FROM;
  }
}

/** Names that are longer than there is room for keep their beginning; `digest` tells them apart. */
export function shortName(name: string, what: "subject" | "route", digest: (text: string) => string): string {
  const max = what === "subject" ? SUBJECT_MAX : ROUTE_MAX;
  if (Buffer.byteLength(name) <= max) return name;
  const suffix = `…${digest(name).slice(0, 16)}`;
  let text = name.slice(0, max - Buffer.byteLength(suffix));
  while (Buffer.byteLength(text) + Buffer.byteLength(suffix) > max) text = text.slice(0, -1);
  return (text.isWellFormed() ? text : text.slice(0, -1)) + suffix; // no half of a character
}
