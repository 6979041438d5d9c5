// Keys of requests that are carried out once (`idempotency`): who has which, and the answers that are kept. The
// supervisor has the book (control/key-book.ts); filters ask it.

/** A request with a key. */
export interface KeyClaim {
  /** Stands for who asks, the route and the key: a digest, the same on all machines. */
  readonly id: string;
  /** How long the key stays taken should whoever takes it die. */
  readonly leaseMs: number;
  /** How long to wait where somebody else has it; 0 for not at all. */
  readonly waitMs: number;
}

/** An answer that is given again. */
export interface KeptAnswer {
  readonly status: number;
  readonly fields: readonly (readonly [name: string, value: string])[];
  /** Null where it was too long to be kept: that the request was carried out is all that is known. */
  readonly body: Uint8Array | null;
  /** A digest of the request that it answers. */
  readonly fingerprint: string;
}

export type Claimed =
  /** The key is the caller's, who has to finish it. */
  | { readonly kind: "taken"; readonly token: number }
  | { readonly kind: "busy" }
  | { readonly kind: "kept"; readonly answer: KeptAnswer }
  /** It cannot be found out. */
  | { readonly kind: "unknown" };

export interface KeyBook {
  /** Takes a key, or says what has become of it. Never rejects. */
  claim(claim: KeyClaim): Promise<Claimed>;
  /** Keeps the answer for so long; null frees the key. */
  finish(id: string, token: number, answer: KeptAnswer | null, ttlMs: number): void;
}

/** For plans that are only looked at. */
export const NO_KEYS: KeyBook = { claim: async () => ({ kind: "unknown" }), finish() {} };
