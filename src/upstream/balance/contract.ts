// What a balancer is: it chooses a server for each request, by numbers only, and knows no socket, timer or clock.

/**
 * The servers that a balancer chooses from, as columns: index i is the same server everywhere. Arrays are replaced as a
 * whole when servers come or go.
 */
export interface Candidates {
  readonly count: number;
  /** Identity, for consistent hashing. */
  readonly ids: readonly string[];
  /**
   * Effective weight right now; 0 = not to be used (down, drained, ejected, other zone). Changes in place (slow start,
   * health).
   */
  readonly weights: Float64Array;
  /** Configured weights (for the hash ring, which must not reshuffle when a server is merely down). */
  readonly baseWeights: Float64Array;
  /** Place of each server on the board. */
  readonly slots: Int32Array;
  /** Requests in flight over all threads: `inFlight[slots[i] * stride + offset]`. */
  readonly inFlight: Int32Array;
  readonly stride: number;
  readonly offset: number;
}

export interface Balancer {
  /** Whether `pick` makes use of its key. */
  readonly keyed: boolean;
  /**
   * The index of the next server, or -1 when none may be used. `key` is a 32-bit hash for balancers that want one (0
   * otherwise). `tried` has 1 for every index that must not be chosen (null = none).
   */
  pick(key: number, tried: Uint8Array | null): number;
  /** The candidates were replaced (servers came or went); state of those that stay (by id) is kept where it matters. */
  reset(candidates: Candidates): void;
  /** Effective weights changed in place (health, ejection, slow start): recompute whatever is derived. */
  reweigh(): void;
  /**
   * Time to the head of an answer of server i in ms (or to a failure: then `failed`); only peak-ewma uses it. `now` in
   * ms, on the clock that the balancer was made with. `index` is that of the candidates of the last reset.
   */
  observe(index: number, ms: number, failed: boolean, now: number): void;
}

/** A source of chance: numbers in [0, 1). */
export type Random = () => number;

/** What a balancer has before its first reset. */
export const NO_CANDIDATES: Candidates = {
  count: 0,
  ids: [],
  weights: new Float64Array(0),
  baseWeights: new Float64Array(0),
  slots: new Int32Array(0),
  inFlight: new Int32Array(0),
  stride: 0,
  offset: 0,
};
