// A listener that passes some names on to others as they are: clients that share a connection between hosts with one
// certificate (RFC 9113 §9.1.1) may bring requests for those here, where nobody may answer them.
import { fault } from "../core/faults.ts";
import { identifyClient } from "../pipeline/client.ts";
import type { Exchange } from "../pipeline/exchange.ts";
import type { ExchangeHandler } from "./listener.ts";
import type { SniTable } from "./sni-router.ts";

/** Answers 421 to requests for hosts whose TLS does not end here, and gives all others to the next handler. */
export class ElsewhereHandler implements ExchangeHandler {
  readonly #table: SniTable;
  readonly #next: ExchangeHandler;

  constructor(table: SniTable, next: ExchangeHandler) {
    this.#table = table;
    this.#next = next;
  }

  handle(x: Exchange): void {
    const { host } = x;
    const rule = this.#table.find(host.endsWith(".") ? host.slice(0, -1) : host);
    if (rule === null || rule === "terminate") return this.#next.handle(x);
    identifyClient(x, null);
    x.downstream.fail(fault("request.misdirected", `TLS for ${host} ends elsewhere`));
  }

  finished(x: Exchange): void {
    this.#next.finished(x);
  }
}
