// The supervisor's side of metrics: the pages of all threads, summed up and rendered for Prometheus. Only the main
// thread imports this file, so that workers do not load prom-client.
import type { Metric } from "prom-client";
import { BUCKETS, type CellName, HISTOGRAM_SLOTS, METRICS, type MetricName, slotsOf } from "./metric-table.ts";
import { type MetricsMessage, PAGE_SLOTS } from "./metrics-page.ts";

/** The numbers of one thread, as the supervisor sees them. */
export interface MetricsSource {
  /** Takes what the thread's MetricsPage posts, in order. */
  receive(message: MetricsMessage): void;
  /** The thread is gone: its counters are kept in a sum, so that none ever goes back; its gauges end. */
  close(): void;
}

/** A number that nobody counts: it is read when it is rendered. */
export interface ReadSeries {
  readonly name: CellName;
  /** A value for each label of the metric, in the order of the table. */
  readonly labels: readonly string[];
  readonly value: number;
}

interface Series {
  readonly name: MetricName;
  readonly labels: readonly string[];
  readonly values: number[];
}
type SeriesMap = Map<string, Series>;
type SeriesMessage = Extract<MetricsMessage, { kind: "metrics-series" }>;

export class MetricsStore {
  /** Of Content-Type, for what `render` returns. */
  readonly contentType: string = "text/plain; version=0.0.4; charset=utf-8";
  readonly #open = new Set<Source>();
  readonly #retained: SeriesMap = new Map();
  readonly #collectors: (() => void)[] = [];
  readonly #readers: (() => Iterable<ReadSeries>)[] = [];

  /** A source for one thread; a replaced worker gets a new one. */
  source(): MetricsSource {
    const source = new Source(this.#retained, () => this.#open.delete(source));
    this.#open.add(source);
    return source;
  }

  /** Calls `collect` before each rendering, for numbers that nobody counts as they change. */
  onCollect(collect: () => void): void {
    this.#collectors.push(collect);
  }

  /** Adds the series that `read` gives to each rendering: for what comes and goes, and would leave its cells behind. */
  onRender(read: () => Iterable<ReadSeries>): void {
    this.#readers.push(read);
  }

  /** The Prometheus text of everything counted so far by all threads, dead ones included. */
  async render(): Promise<string> {
    for (const collect of this.#collectors) collect();
    const sums: SeriesMap = new Map();
    for (const series of this.#retained.values()) addTo(sums, series.name, series.labels, series.values);
    for (const source of this.#open) source.addAll(sums);
    for (const read of this.#readers) for (const { name, labels, value } of read()) addTo(sums, name, labels, [value]);
    const families = new Map<MetricName, Series[]>();
    for (const series of sums.values()) {
      const family = families.get(series.name);
      if (family === undefined) families.set(series.name, [series]);
      else family.push(series);
    }
    // Loaded at the first scrape: many proxies never see one.
    const { Registry } = await import("prom-client");
    const registry = new Registry();
    for (const [name, family] of families) registry.registerMetric(summed(name, family));
    return registry.metrics();
  }
}

class Source implements MetricsSource {
  readonly #pages: Float64Array[] = [];
  readonly #series = new Map<number, SeriesMessage>();
  readonly #retained: SeriesMap;
  readonly #onClose: () => void;
  #closed = false;

  constructor(retained: SeriesMap, onClose: () => void) {
    this.#retained = retained;
    this.#onClose = onClose;
  }

  receive(message: MetricsMessage): void {
    if (message.kind === "metrics-page") this.#pages[message.index] = new Float64Array(message.buffer);
    else if (message.kind === "metrics-gone") this.#series.delete(message.slot);
    else if (this.#closed)
      this.#retain(message); // posted before the thread ended, delivered after
    else this.#series.set(message.slot, message);
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#onClose();
    for (const series of this.#series.values()) this.#retain(series);
  }

  addAll(sums: SeriesMap): void {
    for (const series of this.#series.values()) addTo(sums, series.name, series.labels, this.#read(series));
  }

  #retain(series: SeriesMessage): void {
    if (METRICS[series.name].type !== "gauge") addTo(this.#retained, series.name, series.labels, this.#read(series));
  }

  #read(series: SeriesMessage): Float64Array {
    const at = series.slot % PAGE_SLOTS;
    return this.#pages[Math.floor(series.slot / PAGE_SLOTS)]!.subarray(at, at + slotsOf(series.name));
  }
}

function addTo(sums: SeriesMap, name: MetricName, labels: readonly string[], values: ArrayLike<number>): void {
  const key = `${name}\0${labels.join("\0")}`;
  const sum = sums.get(key);
  if (sum === undefined) sums.set(key, { name, labels, values: Array.from(values) });
  else for (let i = 0; i < sum.values.length; i += 1) sum.values[i] = sum.values[i]! + values[i]!;
}

interface Sample {
  readonly metricName: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

/**
 * A family for prom-client's registry, which asks a metric only for its name and for `get()`. Its own counters and
 * histograms cannot take sums made elsewhere, and its AggregatorRegistry, made for that, joins labels without escaping
 * them when it compares series; what it puts into the registry in the end has this same shape.
 */
function summed(name: MetricName, family: readonly Series[]): Metric<string> {
  const { type, help, labels } = METRICS[name];
  const values: Sample[] = [];
  for (const series of family) {
    const pairs = Object.fromEntries(labels.map((label, i) => [label, series.labels[i]!]));
    if (type === "histogram") pushHistogram(values, name, pairs, series.values);
    else values.push({ metricName: name, labels: pairs, value: series.values[0]! });
  }
  return { name, get: () => ({ name, help, type, values, aggregator: "sum" }) } as unknown as Metric<string>;
}

function pushHistogram(
  samples: Sample[],
  name: string,
  labels: Readonly<Record<string, string>>,
  values: readonly number[],
): void {
  let count = 0;
  for (let bucket = 0; bucket <= BUCKETS.length; bucket += 1) {
    count += values[bucket]!;
    const le = bucket < BUCKETS.length ? String(BUCKETS[bucket]) : "+Inf";
    samples.push({ metricName: `${name}_bucket`, labels: { ...labels, le }, value: count });
  }
  samples.push({ metricName: `${name}_sum`, labels, value: values[HISTOGRAM_SLOTS - 1]! });
  samples.push({ metricName: `${name}_count`, labels, value: count });
}
