// What authorities are answered that look whether we hold a name (RFC 8555 §8.3, RFC 8737).

import { identifyClient } from "../pipeline/client.ts";
import type { Exchange } from "../pipeline/exchange.ts";
import { reply } from "../pipeline/reply.ts";
import { makeTlsContext, type TlsContext } from "../transport/tls-context.ts";
import type { ExchangeHandler } from "./listener.ts";

const PREFIX = "/.well-known/acme-challenge/";

/** The same as the engine tells. */
export type ChallengeAnswer =
  | { readonly kind: "http-01"; readonly token: string; readonly response: string | null }
  | {
      readonly kind: "tls-alpn-01";
      readonly name: string;
      readonly certificate: { readonly chainPem: string; readonly keyPem: string } | null;
    };

/** What one thread has to answer at the moment; nothing, nearly always. */
export class ChallengeAnswers {
  readonly #responses = new Map<string, string>();
  readonly #certificates = new Map<string, TlsContext>();

  set(change: ChallengeAnswer): void {
    if (change.kind === "http-01") {
      if (change.response === null) this.#responses.delete(change.token);
      else this.#responses.set(change.token, change.response);
    } else if (change.certificate === null) this.#certificates.delete(change.name);
    else {
      const { chainPem, keyPem } = change.certificate;
      this.#certificates.set(change.name, makeTlsContext([{ certPem: chainPem, keyPem }]));
    }
  }

  /** Whether requests have to be looked at. */
  get asked(): boolean {
    return this.#responses.size > 0;
  }

  response(token: string): string | null {
    return this.#responses.get(token) ?? null;
  }

  certificate(name: string): TlsContext | null {
    return this.#certificates.size === 0 ? null : (this.#certificates.get(name.toLowerCase()) ?? null);
  }
}

/** Answers questions of authorities, and gives everything else to the next handler. */
export class ChallengeHandler implements ExchangeHandler {
  readonly #answers: ChallengeAnswers;
  readonly #next: ExchangeHandler;

  constructor(answers: ChallengeAnswers, next: ExchangeHandler) {
    this.#answers = answers;
    this.#next = next;
  }

  handle(x: Exchange): void {
    const path = x.request.path ?? "";
    const response = path.startsWith(PREFIX) ? this.#answers.response(path.slice(PREFIX.length)) : null;
    if (response === null) return this.#next.handle(x);
    identifyClient(x, null);
    x.downstream.reply(reply(200, response, { "content-type": "application/octet-stream" }));
  }

  finished(x: Exchange): void {
    this.#next.finished(x);
  }
}
