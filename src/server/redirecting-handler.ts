// The handler of a plain listener that sends everybody to HTTPS.

import { identifyClient } from "../pipeline/client.ts";
import type { Exchange } from "../pipeline/exchange.ts";
import { redirectToHttps } from "../pipeline/https-redirect.ts";
import type { ExchangeHandler } from "./listener.ts";

export class RedirectingHandler implements ExchangeHandler {
  readonly #next: ExchangeHandler;
  readonly #port: () => number;

  /** `next` serves what must be answered in plain; `port` is where HTTPS is spoken. */
  constructor(next: ExchangeHandler, port: () => number) {
    this.#next = next;
    this.#port = port;
  }

  handle(x: Exchange): void {
    const answer = redirectToHttps(x.request, this.#port());
    if (answer === null) return this.#next.handle(x);
    identifyClient(x, null);
    x.downstream.reply(answer);
  }

  finished(x: Exchange): void {
    this.#next.finished(x);
  }
}
