// Counters that machines share: rates and quotas, taken from by one step that is whole.

/** What is asked of one counter. */
export interface Ask {
  /** Visible ASCII without spaces. */
  readonly key: string;
  readonly kind: "rate" | "quota";
  /** Of a rate, microseconds for each request in the long run; of a quota, milliseconds that its count is kept. */
  readonly step: number;
  /** Of a rate, the burst in microseconds; of a quota, how many there are. */
  readonly most: number;
  /** What is wanted at least, or nothing at all; 0 for nothing. */
  readonly cost: number;
  /** What is wanted beyond that: up to half of what is there, so that something is left for others. */
  readonly more: number;
  /** What was taken before and is given back; below 0 for what was used without asking, which may exceed `most`. */
  readonly give: number;
}

export interface Grant {
  /** `cost` and up to `more` beyond it; 0 when not even `cost` is there. */
  readonly granted: number;
  /** After that: of a rate, microseconds until all of the burst is there again; of a quota, how many are used. */
  readonly level: number;
}

export interface SharedCounters {
  /** One grant for each, in the same order. Rejects when the store does not answer. */
  take(asks: readonly Ask[]): Promise<Grant[]>;
}
