// What a run yields, before anything is written down.
/** What one run of a load generator saw. */
export interface Load {
  readonly requests: number;
  readonly seconds: number;
  /** Of the answers: heads and bodies, or bodies alone. */
  readonly bytes: number;
  /** Failed connects, reads, writes, time-outs, and answers that were not 2xx. */
  readonly errors: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
}

/** How a load generator is run. */
export interface LoadOptions {
  readonly core: number;
  readonly seconds: number;
  /** Where scripts and logs may be written. */
  readonly directory: string;
}

export interface LoadSample {
  readonly kind: "load";
  /** User + system CPU of the proxy, in microseconds for each request. */
  readonly cpuMicros: number;
  readonly requestsPerSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** Resident memory after the load. */
  readonly residentBytes: number;
  /** Share of the proxy's core that it used: far below 1, the load generator was the limit. */
  readonly busy: number;
  readonly errors: number;
}

export interface IdleSample {
  readonly kind: "idle";
  readonly bytesPerConnection: number;
  readonly residentBytesBefore: number;
  readonly residentBytes: number;
  readonly connections: number;
}

export type Sample = LoadSample | IdleSample;

/** One peer in one scenario. */
export interface Row {
  readonly peer: string;
  readonly rounds: readonly Sample[];
  /** Median of each figure over the rounds; null when the row is invalid. */
  readonly median: Sample | null;
  /** Why the row must not be quoted. */
  readonly problem: string | null;
  /** Median CPU (or memory per connection) over that of the same run's peer. */
  readonly toNginx: number | null;
  readonly toHaproxy: number | null;
}

export interface ScenarioResult {
  readonly scenario: string;
  readonly title: string;
  readonly rows: readonly Row[];
}

/** Named figures of one run or, after all rounds, their medians. */
export type Figures = Readonly<Record<string, number>>;

export interface ResilienceRow {
  readonly name: string;
  readonly median: Figures;
  readonly rounds: readonly Figures[];
  /** Why the row misses what it must show; null when it does not. */
  readonly problem: string | null;
}

export interface ResilienceResult {
  readonly scenario: string;
  readonly title: string;
  readonly columns: readonly Column[];
  readonly rows: readonly ResilienceRow[];
}

export interface Column {
  readonly figure: string;
  readonly title: string;
  readonly unit: "ms" | "%" | "MB" | "/s";
}

/** A figure as the tables show it. */
export function showFigure(value: number, unit: Column["unit"]): string {
  if (unit === "/s") return `${Math.round(value).toLocaleString("en")}/s`;
  return `${value.toFixed(unit === "ms" && value >= 100 ? 0 : 1)} ${unit}`;
}

export interface Environment {
  readonly kernel: string;
  readonly cpu: string;
  readonly rounds: number;
  readonly seconds: number;
  /** Versions of the load generators that took part, by name. */
  readonly generators: Readonly<Record<string, string>>;
  readonly versions: Readonly<Record<string, string>>;
}

export interface Report {
  readonly environment: Environment;
  readonly results: readonly ScenarioResult[];
  readonly resilience: readonly ResilienceResult[];
}

/** The middle value; the mean of the two middle ones for an even count. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

/** Medians and ratios of one scenario. A row with any error, or with fewer rounds than were run, is invalid. */
export function summarise(
  scenario: { readonly name: string; readonly title: string },
  collected: ReadonlyMap<string, { readonly rounds: readonly Sample[]; readonly problem: string | null }>,
): ScenarioResult {
  const rows = [...collected].map(([peer, { rounds, problem }]) => {
    const errors = rounds.reduce((sum, sample) => sum + (sample.kind === "load" ? sample.errors : 0), 0);
    const why = problem ?? (errors > 0 ? `${errors} failed requests` : rounds.length === 0 ? "not measured" : null);
    return { peer, rounds, problem: why, median: why === null ? medianSample(rounds) : null };
  });
  const costOf = (name: string) => cost(rows.find((row) => row.peer === name)?.median ?? null);
  const ratio = (own: number | null, other: number | null) => (own === null || !other ? null : own / other);
  return {
    scenario: scenario.name,
    title: scenario.title,
    rows: rows.map((row) => ({
      ...row,
      toNginx: ratio(cost(row.median), costOf("nginx")),
      toHaproxy: ratio(cost(row.median), costOf("haproxy")),
    })),
  };
}

/** What a sample is compared by: CPU of a request, or memory of a connection. */
function cost(sample: Sample | null): number | null {
  if (sample === null) return null;
  return sample.kind === "load" ? sample.cpuMicros : sample.bytesPerConnection;
}

function medianSample(rounds: readonly Sample[]): Sample {
  const first = rounds[0]!;
  const middle: Record<string, number | string> = { kind: first.kind };
  for (const [key, value] of Object.entries(first)) {
    if (typeof value !== "number") continue;
    middle[key] = median(rounds.map((sample) => (sample as unknown as Record<string, number>)[key]!));
  }
  return middle as unknown as Sample;
}
