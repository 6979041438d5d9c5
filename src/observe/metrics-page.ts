// The numbers of one thread, in memory that the supervisor reads while they change. A thread writes only its own
// pages, so counting needs neither locks nor atomic instructions; a reader may see a histogram between two additions.
import {
  BUCKETS,
  type CellName,
  HISTOGRAM_SLOTS,
  type HistogramName,
  type LabelValues,
  type MetricName,
  slotsOf,
} from "./metric-table.ts";

/** What a thread tells the supervisor: that a page exists, and what a slot means. Survives structured cloning. */
export type MetricsMessage =
  | { readonly kind: "metrics-page"; readonly index: number; readonly buffer: SharedArrayBuffer }
  | {
      readonly kind: "metrics-series";
      readonly slot: number;
      readonly name: MetricName;
      readonly labels: readonly string[];
    }
  /** The slot will be another series': what it stood for is gone. */
  | { readonly kind: "metrics-gone"; readonly slot: number };

const PAGE_SHIFT = 11;
/** 16 KB: what a small configuration needs; a large one takes more pages. */
export const PAGE_SLOTS = 1 << PAGE_SHIFT;
const PAGE_MASK = PAGE_SLOTS - 1;
/** Series beyond the limit are counted into the first slots, which nobody reads: the caller need not know. */
const SINK_SLOT = 0;
const SINK_SLOTS = HISTOGRAM_SLOTS;
/** 160 KB for each worker at most: about a thousand busy routes. */
const SLOTS_MAX = 20_000;

/** A counter or a gauge: one number. */
export class Cell {
  readonly #page: Float64Array;
  readonly #at: number;
  constructor(page: Float64Array, at: number) {
    this.#page = page;
    this.#at = at;
  }
  add(n: number): void {
    this.#page[this.#at] = this.#page[this.#at]! + n;
  }
  /** For gauges, and for counters that something else counts. */
  set(n: number): void {
    this.#page[this.#at] = n;
  }
}

export class Histogram {
  readonly #page: Float64Array;
  readonly #at: number;
  constructor(page: Float64Array, at: number) {
    this.#page = page;
    this.#at = at;
  }
  observe(seconds: number): void {
    const page = this.#page;
    let bucket = 0;
    while (bucket < BUCKETS.length && seconds > BUCKETS[bucket]!) bucket += 1;
    const at = this.#at + bucket;
    page[at] = page[at]! + 1;
    const sum = this.#at + HISTOGRAM_SLOTS - 1;
    page[sum] = page[sum]! + seconds;
  }
}

export class MetricsPage {
  readonly #post: (message: MetricsMessage) => void;
  readonly #slotsMax: number;
  readonly #pages: Float64Array[] = [];
  readonly #slots = new Map<string, number>();
  readonly #refused: Cell;
  #next = SINK_SLOTS;
  /** Slots of single numbers that were given back. */
  readonly #free: number[] = [];
  readonly #keys = new Map<number, string>();

  /** `post` gets every page and every series, once, before anything is counted there. `slotsMax` numbers at most. */
  constructor(post: (message: MetricsMessage) => void, slotsMax: number = SLOTS_MAX) {
    this.#post = post;
    this.#slotsMax = slotsMax;
    this.#addPage();
    this.#refused = this.cell("sluice_metric_series_refused_total", []);
  }

  /** Adds to the number in a slot that `slot()` gave. */
  add(slot: number, n: number): void {
    const page = this.#pages[slot >>> PAGE_SHIFT]!;
    const at = slot & PAGE_MASK;
    page[at] = page[at]! + n;
  }

  /** The slot of a series, made when first asked for: text is compared here, so keep the slot. */
  slot<N extends MetricName>(name: N, labels: LabelValues<N>): number {
    const values: readonly string[] = labels;
    const key = `${name}\0${values.join("\0")}`;
    const known = this.#slots.get(key);
    if (known !== undefined) return known;
    const count = slotsOf(name);
    const slot = (count === 1 ? this.#free.pop() : undefined) ?? this.#fresh(count);
    if (slot === SINK_SLOT) return slot;
    this.#slots.set(key, slot);
    if (count === 1) this.#keys.set(slot, key);
    this.#post({ kind: "metrics-series", slot, name, labels: values });
    return slot;
  }

  /** Room for so many numbers; the sink's when there is none left. */
  #fresh(count: number): number {
    if (PAGE_SLOTS - (this.#next & PAGE_MASK) < count) this.#next = (this.#next | PAGE_MASK) + 1;
    if (this.#next + count > this.#slotsMax) {
      this.#refused.add(1);
      return SINK_SLOT;
    }
    const slot = this.#next;
    this.#next += count;
    if (slot >>> PAGE_SHIFT === this.#pages.length) this.#addPage();
    return slot;
  }

  /** Ends a series of one number, such as that of a server that is gone: nobody may add to it any more. */
  end(slot: number): void {
    const key = this.#keys.get(slot);
    if (key === undefined) return;
    this.#keys.delete(slot);
    this.#slots.delete(key);
    this.#pages[slot >>> PAGE_SHIFT]![slot & PAGE_MASK] = 0;
    this.#post({ kind: "metrics-gone", slot });
    this.#free.push(slot);
  }

  cell<N extends CellName>(name: N, labels: LabelValues<N>): Cell {
    const slot = this.slot(name, labels);
    return new Cell(this.#pages[slot >>> PAGE_SHIFT]!, slot & PAGE_MASK);
  }

  histogram<N extends HistogramName>(name: N, labels: LabelValues<N>): Histogram {
    const slot = this.slot(name, labels);
    return new Histogram(this.#pages[slot >>> PAGE_SHIFT]!, slot & PAGE_MASK);
  }

  #addPage(): void {
    const buffer = new SharedArrayBuffer(PAGE_SLOTS * Float64Array.BYTES_PER_ELEMENT);
    this.#post({ kind: "metrics-page", index: this.#pages.length, buffer });
    this.#pages.push(new Float64Array(buffer));
  }
}
