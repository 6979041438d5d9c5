// The exchanges of a connection, linked to each other: one begins and one ends with every request, and a set would have
// to hash both times.
import type { H2Exchange } from "./h2-exchange.ts";

export class ExchangeList implements Iterable<H2Exchange> {
  size = 0;
  #first: H2Exchange | null = null;

  add(exchange: H2Exchange): void {
    const first = this.#first;
    exchange.next = first;
    if (first !== null) first.previous = exchange;
    this.#first = exchange;
    exchange.isListed = true;
    this.size += 1;
  }

  /** Returns whether it was among them. */
  delete(exchange: H2Exchange): boolean {
    if (!exchange.isListed) return false;
    const { next, previous } = exchange;
    if (previous === null) this.#first = next;
    else previous.next = next;
    if (next !== null) next.previous = previous;
    exchange.next = null;
    exchange.previous = null;
    exchange.isListed = false;
    this.size -= 1;
    return true;
  }

  clear(): void {
    for (let exchange = this.#first; exchange !== null; ) {
      const { next } = exchange;
      this.delete(exchange);
      exchange = next;
    }
  }

  /** Whoever ends exchanges on the way goes through a copy. */
  *[Symbol.iterator](): Iterator<H2Exchange> {
    for (let exchange = this.#first; exchange !== null; exchange = exchange.next) yield exchange;
  }
}
