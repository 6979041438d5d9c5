// Addresses whose connections were ended for abuse. Who comes back at once to do it again is caught sooner: what
// a connection may ask for until then is what such an attack costs.
import { addressKey } from "../core/ip.ts";

/** For so long after its last offence, in milliseconds. An attack that has ended harms those behind the same address no more. */
const REMEMBERED_MS = 30_000;
/** Above that the oldest is forgotten: 10,000 attackers are not stopped by limits for each of them. */
const ADDRESSES_MAX = 10_000;

export class Offenders {
  /** Until when, by address; in the order of the offences. */
  readonly #until = new Map<string, number>();

  /** A connection from there was ended for abuse. `now` in milliseconds, on any clock that is always the same. */
  note(address: string, now: number): void {
    const key = addressKey(address);
    this.#until.delete(key);
    if (this.#until.size >= ADDRESSES_MAX) {
      for (const oldest of this.#until.keys()) {
        this.#until.delete(oldest);
        break;
      }
    }
    this.#until.set(key, now + REMEMBERED_MS);
  }

  /** Whether that is so of somebody there, and not long ago. */
  knows(address: string, now: number): boolean {
    if (this.#until.size === 0) return false;
    const key = addressKey(address);
    const until = this.#until.get(key);
    if (until === undefined) return false;
    if (until > now) return true;
    this.#until.delete(key);
    return false;
  }
}
