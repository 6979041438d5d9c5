// What the engine keeps in the shared state, each kind of record under its own keys.
import { createHash } from "node:crypto";
import type { Lock, SharedState } from "../../state/shared-state.ts";

/** A certificate that an authority issued. */
export interface CertificateRecord {
  readonly name: string;
  /** Where it was ordered. */
  readonly directory: string;
  readonly chainPem: string;
  readonly keyPem: string;
  /** When it arrived here, ms since 1970. */
  readonly issuedAtMs: number;
  /** Milliseconds since 1970, chosen when it was issued, so that all nodes agree. */
  readonly renewAtMs: number;
}

/** What is known about failures with a name. */
export interface AttemptRecord {
  readonly failures: number;
  /** Milliseconds since 1970. */
  readonly nextTryMs: number;
  readonly error: string;
}

/** An order under way: with it, a crash costs no second order. */
export interface OrderRecord {
  readonly url: string;
  readonly keyPem: string;
}

/** What the authority last said about renewing one certificate (RFC 9773). */
export interface RenewalRecord {
  readonly certificateId: string;
  /** False when it had nothing to say: then `renewAtMs` is our own choice. */
  readonly byAuthority: boolean;
  /** When to renew, chosen from the window; ms since 1970. */
  readonly renewAtMs: number;
  /** When to ask again. */
  readonly askAtMs: number;
}

export interface AccountRecord {
  readonly url: string;
  readonly keyPem: string;
}

/** Orders expire at authorities after a week or so. */
const ORDER_KEPT_MS = 7 * 86_400_000;
/** After so long without a try, a failure says nothing any more. */
const ATTEMPT_KEPT_MS = 14 * 86_400_000;
const DIGEST_LENGTH = 24;

export class Vault {
  readonly #state: SharedState;

  constructor(state: SharedState) {
    this.#state = state;
  }

  certificate(name: string): Promise<CertificateRecord | null> {
    return this.#read(`acme/certificate/${name}`, "chainPem", "keyPem", "directory", "issuedAtMs", "renewAtMs");
  }

  saveCertificate(record: CertificateRecord): Promise<void> {
    return this.#state.set(`acme/certificate/${record.name}`, JSON.stringify(record));
  }

  attempt(name: string): Promise<AttemptRecord | null> {
    return this.#read(`acme/attempt/${name}`, "failures", "nextTryMs", "error");
  }

  saveAttempt(name: string, record: AttemptRecord): Promise<void> {
    return this.#state.set(`acme/attempt/${name}`, JSON.stringify(record), { ttlMs: ATTEMPT_KEPT_MS });
  }

  forgetAttempt(name: string): Promise<void> {
    return this.#state.delete(`acme/attempt/${name}`);
  }

  renewal(name: string): Promise<RenewalRecord | null> {
    return this.#read(`acme/renewal/${name}`, "certificateId", "byAuthority", "renewAtMs", "askAtMs");
  }

  saveRenewal(name: string, record: RenewalRecord): Promise<void> {
    return this.#state.set(`acme/renewal/${name}`, JSON.stringify(record));
  }

  order(account: string, name: string): Promise<OrderRecord | null> {
    return this.#read(`acme/order/${account}/${name}`, "url", "keyPem");
  }

  saveOrder(account: string, name: string, record: OrderRecord): Promise<void> {
    return this.#state.set(`acme/order/${account}/${name}`, JSON.stringify(record), { ttlMs: ORDER_KEPT_MS });
  }

  forgetOrder(account: string, name: string): Promise<void> {
    return this.#state.delete(`acme/order/${account}/${name}`);
  }

  account(account: string): Promise<AccountRecord | null> {
    return this.#read(`acme/account/${account}`, "url", "keyPem");
  }

  saveAccount(account: string, record: AccountRecord): Promise<void> {
    return this.#state.set(`acme/account/${account}`, JSON.stringify(record));
  }

  forgetAccount(account: string): Promise<void> {
    return this.#state.delete(`acme/account/${account}`);
  }

  /** When orders were begun with an account, ms since 1970, the latest last. */
  async ordersBegun(account: string): Promise<readonly number[]> {
    const record = await this.#read<{ readonly at: unknown }>(`acme/budget/${account}`, "at");
    return Array.isArray(record?.at) ? record.at.filter((each) => typeof each === "number") : [];
  }

  saveOrdersBegun(account: string, at: readonly number[], ttlMs: number): Promise<void> {
    return this.#state.set(`acme/budget/${account}`, JSON.stringify({ at }), { ttlMs });
  }

  lock(what: string, ttlMs: number): Promise<Lock | null> {
    return this.#state.lock(`acme/${what}`, ttlMs);
  }

  /** What lacks a field was written by another version, or by hand: as if absent. */
  async #read<T extends object>(key: string, ...fields: readonly (keyof T & string)[]): Promise<T | null> {
    const text = await this.#state.get(key);
    if (text === null) return null;
    try {
      const record = JSON.parse(text) as T | null;
      return record !== null && fields.every((field) => record[field] !== undefined) ? record : null;
    } catch {
      return null;
    }
  }
}

/** Names an account: who asks for what at which directory. */
export function accountId(directory: string, email: string | undefined, kid: string | undefined): string {
  const hash = createHash("sha256").update(JSON.stringify([directory, email ?? "", kid ?? ""]));
  return hash.digest("hex").slice(0, DIGEST_LENGTH);
}
