// Keys that consumers make, rotate and revoke by themselves: what threads ask whoever keeps the consumers, and what
// comes of it.
import type { IdentityKind } from "./identity.ts";

/** What the configuration allows. */
export interface KeyTerms {
  /** Keys of this kind that somebody may have at a time. */
  readonly max: number;
  /** Longest life of a key. */
  readonly expiryMs: number;
  /** Scopes that they may have; null for all that the consumer has. */
  readonly scopes: readonly string[] | null;
  /** How many may be made within 24 hours. */
  readonly perDay: number;
  /** Longest time that a key goes on beside its successor. */
  readonly overlapMs: number;
}

/** Who wants it, and where: for the terms that hold for him, and for the log. */
export interface KeyOwner {
  readonly consumer: string;
  readonly kind: IdentityKind;
  /** Of the credentials that he came with. */
  readonly scopes: readonly string[];
  readonly ip: string;
  readonly route: string;
  readonly requestId: string;
}

export type KeyWish =
  | { readonly do: "list" }
  /** `scopes` null: all that may be had. */
  | {
      readonly do: "make";
      readonly name: string;
      readonly ttlMs: number;
      readonly scopes: readonly string[] | null;
    }
  | { readonly do: "rotate"; readonly id: string; readonly overlapMs: number }
  | { readonly do: "revoke"; readonly id: string };

export interface KeyQuestion {
  readonly owner: KeyOwner;
  readonly terms: KeyTerms;
  readonly wish: KeyWish;
}

export interface OwnKey {
  readonly id: string;
  readonly name: string;
  /** Its last characters; "" where they are not known. */
  readonly hint: string;
  readonly state: "active" | "disabled" | "expired";
  /** `self`: made by its owner; `operator`: by somebody else; `configuration`: it can only be changed there. */
  readonly source: "self" | "operator" | "configuration";
  readonly scopes: readonly string[];
  /** ISO 8601; "" where that is not known. */
  readonly createdAt: string;
  /** A date, or one with a time; "" for never. */
  readonly expires: string;
}

export type KeyAnswer =
  | {
      readonly kind: "keys";
      readonly keys: readonly OwnKey[];
      /** That a new one may have. */
      readonly scopes: readonly string[];
    }
  /** `key` is shown this once. */
  | { readonly kind: "made"; readonly key: string; readonly made: OwnKey }
  | { readonly kind: "revoked"; readonly id: string }
  | {
      readonly kind: "refused";
      readonly status: 403 | 404 | 409 | 422 | 429 | 503;
      readonly why: string;
      /** Seconds to wait; 0 where that does not help. */
      readonly retryAfter: number;
    };

export const keyRefusal = (
  status: Extract<KeyAnswer, { kind: "refused" }>["status"],
  why: string,
  retryAfter = 0,
): KeyAnswer => ({ kind: "refused", status, why, retryAfter });

/** Where nobody answers. */
export const NO_KEY_ANSWER = keyRefusal(503, "Keys cannot be looked up at the moment.", 1);
