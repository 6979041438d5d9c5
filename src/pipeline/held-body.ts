// The whole body of a request for a filter that decides by it, before anybody forwards it.

import type { BodyLook } from "./body-transform.ts";
import type { Exchange } from "./exchange.ts";
import { Gathered } from "./gathered.ts";
import { lookAhead } from "./transforms.ts";

/**
 * Reads the body of a request ahead; whoever forwards the request gets it all the same. Null when it is longer than
 * `max` bytes, and when the exchange has ended meanwhile (`x.over`).
 */
export function requestBody(x: Exchange, max: number): Promise<Buffer | null> {
  const { request } = x;
  if (request.body === "length" && request.length > max) return Promise.resolve(null);
  return new Promise((resolve) => lookAhead(x, new WholeBody(x, max, resolve)));
}

class WholeBody implements BodyLook {
  readonly #x: Exchange;
  readonly #max: number;
  readonly #resolve: (body: Buffer | null) => void;
  readonly #bytes = new Gathered();
  #isTooLong = false;

  constructor(x: Exchange, max: number, resolve: (body: Buffer | null) => void) {
    this.#x = x;
    this.#max = max;
    this.#resolve = resolve;
  }

  piece(bytes: Buffer, from: number, to: number): boolean {
    this.#isTooLong ||= this.#bytes.length + to - from > this.#max;
    if (!this.#isTooLong) this.#bytes.add(bytes, from, to);
    return !this.#isTooLong;
  }

  seen(): void {
    this.#resolve(this.#isTooLong || this.#x.over ? null : this.#bytes.whole);
  }
}
