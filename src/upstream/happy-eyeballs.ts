// Connecting to a host that has several addresses, some of which may be dead (RFC 8305).
import { isIPv6 } from "node:net";
import { FaultError, fault } from "../core/faults.ts";

/** One connect under way, and the way to give it up. */
export interface Attempt<C> {
  readonly promise: Promise<C>;
  /** Gives up: the promise rejects, unless the connect was faster. */
  cancel(): void;
}

/** What a loser that connects all the same must offer. */
export interface Closable {
  close(): void;
}

/** RFC 8305 §5: the recommended Connection Attempt Delay. */
const ATTEMPT_DELAY_MS = 250;

/** RFC 8305 §4: the families take turns, IPv6 first; within a family the order stays as it was. */
export function orderAddresses(addresses: readonly string[]): string[] {
  const v6 = addresses.filter((each) => isIPv6(each));
  const v4 = addresses.filter((each) => !isIPv6(each));
  const ordered: string[] = [];
  for (let at = 0; at < Math.max(v6.length, v4.length); at += 1) {
    const six = v6[at];
    const four = v4[at];
    if (six !== undefined) ordered.push(six);
    if (four !== undefined) ordered.push(four);
  }
  return ordered;
}

/**
 * Tries the addresses in the given order, the next one `delayMs` after the one before it or as soon as that has failed.
 * The first to connect wins; the others are cancelled, and closed if they connect anyway. Rejects with the last failure
 * when every address has failed, and with the fault `upstream.none` when it is cancelled or there is no address.
 */
export function connectAny<C extends Closable>(
  addresses: readonly string[],
  dial: (address: string) => Attempt<C>,
  delayMs = ATTEMPT_DELAY_MS,
): Attempt<C> {
  const race = new Race(addresses, dial, delayMs);
  race.next();
  return { promise: race.promise, cancel: () => race.cancel() };
}

class Race<C extends Closable> {
  readonly promise: Promise<C>;
  readonly #settle: PromiseWithResolvers<C>;
  readonly #addresses: readonly string[];
  readonly #dial: (address: string) => Attempt<C>;
  readonly #delayMs: number;
  readonly #running = new Set<Attempt<C>>();
  #at = 0;
  #over = false;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(addresses: readonly string[], dial: (address: string) => Attempt<C>, delayMs: number) {
    this.#settle = Promise.withResolvers<C>();
    this.promise = this.#settle.promise;
    this.#addresses = addresses;
    this.#dial = dial;
    this.#delayMs = delayMs;
  }

  next(): void {
    clearTimeout(this.#timer);
    const address = this.#addresses[this.#at];
    if (address === undefined) {
      if (this.#running.size === 0) this.#fail(new FaultError(fault("upstream.none", "no address to connect to")));
      return;
    }
    this.#at += 1;
    const attempt = this.#dial(address);
    this.#running.add(attempt);
    attempt.promise.then(
      (connection) => this.#won(attempt, connection),
      (error: unknown) => this.#lost(attempt, error),
    );
    if (this.#at < this.#addresses.length) this.#timer = setTimeout(() => this.next(), this.#delayMs);
  }

  cancel(): void {
    this.#fail(new FaultError(fault("upstream.none", "the connect was given up")));
  }

  #won(attempt: Attempt<C>, connection: C): void {
    this.#running.delete(attempt);
    if (this.#over) {
      connection.close();
      return;
    }
    this.#end();
    this.#settle.resolve(connection);
  }

  #lost(attempt: Attempt<C>, error: unknown): void {
    this.#running.delete(attempt);
    if (this.#over) return;
    if (this.#at < this.#addresses.length) this.next();
    else if (this.#running.size === 0) this.#fail(error);
  }

  #fail(error: unknown): void {
    if (this.#over) return;
    this.#end();
    this.#settle.reject(error);
  }

  #end(): void {
    this.#over = true;
    clearTimeout(this.#timer);
    for (const attempt of this.#running) attempt.cancel();
  }
}
