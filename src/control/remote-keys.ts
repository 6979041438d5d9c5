// Keys of several machines, in the state that they share: a lock for a request that is under way, which is renewed as
// long as it is, and a value for an answer that is kept.
import { monotonic } from "../core/clock.ts";
import type { Claimed, KeptAnswer, KeyClaim } from "../pipeline/key-book.ts";
import type { Lock, SharedState } from "../state/shared-state.ts";

/** How often it is looked whether another machine is through. */
const LOOK_MS = 50;
/** See local-keys.ts. */
const GRACE_MS = 100;
/** A lease is renewed when so much of it is over. */
const RENEW_AT = 1 / 3;
const TICK_MS = 250;

interface Taken {
  readonly id: string;
  readonly worker: number;
  readonly lock: Lock;
  readonly leaseMs: number;
  renewAt: number;
}

export class RemoteKeys {
  readonly #state: SharedState;
  readonly #failed: (error: unknown) => void;
  readonly #taken = new Map<number, Taken>();
  readonly #timer: NodeJS.Timeout;
  #nextToken = 1;

  /** `failed` is told of what the store does not take. */
  constructor(state: SharedState, failed: (error: unknown) => void) {
    this.#state = state;
    this.#failed = failed;
    this.#timer = setInterval(() => this.#renew(), TICK_MS);
    this.#timer.unref();
  }

  /** Rejects where the store does not answer. */
  async claim(worker: number, { id, leaseMs, waitMs }: KeyClaim): Promise<Claimed> {
    const until = monotonic() + Math.max(waitMs, GRACE_MS);
    for (;;) {
      const kept = await this.#find(id);
      if (kept !== null) return { kind: "kept", answer: kept };
      const lock = await this.#state.lock(keyOf(id), leaseMs);
      if (lock !== null) return await this.#take(worker, id, lock, leaseMs);
      if (monotonic() >= until) return { kind: "busy" };
      await Bun.sleep(LOOK_MS);
    }
  }

  async #take(worker: number, id: string, lock: Lock, leaseMs: number): Promise<Claimed> {
    // Whoever had it may have been through between the two questions.
    const kept = await this.#find(id);
    if (kept !== null) {
      await lock.release();
      return { kind: "kept", answer: kept };
    }
    const token = this.#nextToken++;
    this.#taken.set(token, { id, worker, lock, leaseMs, renewAt: monotonic() + leaseMs * RENEW_AT });
    return { kind: "taken", token };
  }

  finish(id: string, token: number, answer: KeptAnswer | null, ttlMs: number): void {
    const taken = this.#taken.get(token);
    // One of the book before a reload may have the same number.
    if (taken?.id !== id) return;
    this.#taken.delete(token);
    this.#finish(id, taken.lock, answer, ttlMs).catch(this.#failed);
  }

  async #finish(id: string, lock: Lock, answer: KeptAnswer | null, ttlMs: number): Promise<void> {
    // Where the lock was lost, another machine may have kept an answer: the first one stays.
    if (answer !== null && ((await lock.renew()) || (await this.#find(id)) === null))
      await this.#state.set(keyOf(id), textOf(answer), { ttlMs });
    await lock.release();
  }

  /** The worker is gone, and with it what it was about to do. */
  forget(worker: number): void {
    for (const [token, taken] of this.#taken) {
      if (taken.worker !== worker) continue;
      this.#taken.delete(token);
      taken.lock.release().catch(this.#failed);
    }
  }

  #renew(): void {
    const now = monotonic();
    for (const taken of this.#taken.values()) {
      if (taken.renewAt > now) continue;
      taken.renewAt = now + taken.leaseMs * RENEW_AT;
      taken.lock.renew().catch(this.#failed);
    }
  }

  async #find(id: string): Promise<KeptAnswer | null> {
    const text = await this.#state.get(keyOf(id));
    return text === null ? null : answerOf(text);
  }

  async close(): Promise<void> {
    clearInterval(this.#timer);
    await this.#state.close();
  }
}

const keyOf = (id: string): string => `idempotency/${id}`;

const textOf = ({ status, fields, body, fingerprint }: KeptAnswer): string =>
  JSON.stringify([status, fields, body === null ? null : Buffer.from(body).toString("base64"), fingerprint]);

/** Null for what is damaged. */
function answerOf(text: string): KeptAnswer | null {
  try {
    const [status, fields, body, fingerprint] = JSON.parse(text) as [number, [string, string][], string | null, string];
    // In memory of its own, as it goes to another thread.
    return { status, fields, body: body === null ? null : new Uint8Array(Buffer.from(body, "base64")), fingerprint };
  } catch {
    return null;
  }
}
