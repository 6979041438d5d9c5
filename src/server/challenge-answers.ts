// What authorities are answered that look whether we hold a name (RFC 8555 §8.3, RFC 8737).

import { identifyClient } from "../pipeline/client.ts";
import type { Exchange } from "../pipeline/exchange.ts";
import { reply } from "../pipeline/reply.ts";
import { makeTlsContext, type TlsContext } from "../transport/tls-context.ts";
import type { ExchangeHandler } from "./listener.ts";

const PREFIX = "/.well-known/acme-challenge/";

/** RFC 8555 §8.3: base64url. */
const TOKEN = /^[A-Za-z0-9_-]{16,128}$/;
/** Tokens that are being asked for at a time; authorities ask for each some three to five times. */
const ASKING_MAX = 32;

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
  /** Finds out what other machines answer; null where there are none. Resolves with null for what nobody knows. */
  ask: ((token: string) => Promise<string | null>) | null = null;
  #asking = 0;

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
    return this.#responses.size > 0 || this.ask !== null;
  }

  /** What this thread does not know; null where nobody can be asked. */
  find(token: string): Promise<string | null> | null {
    // Anybody can ask for tokens.
    if (this.ask === null || this.#asking >= ASKING_MAX || !TOKEN.test(token)) return null;
    this.#asking += 1;
    return this.ask(token).finally(() => {
      this.#asking -= 1;
    });
  }

  response(token: string): string | null {
    return this.#responses.get(token) ?? null;
  }

  certificate(name: string): TlsContext | null {
    return this.#certificates.size === 0 ? null : (this.#certificates.get(name.toLowerCase()) ?? null);
  }
}

function answer(x: Exchange, response: string): void {
  identifyClient(x, null);
  x.downstream.reply(reply(200, response, { "content-type": "application/octet-stream" }));
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
    if (!path.startsWith(PREFIX)) return this.#next.handle(x);
    const token = path.slice(PREFIX.length);
    const response = this.#answers.response(token);
    if (response !== null) return answer(x, response);
    const found = this.#answers.find(token);
    if (found === null) return this.#next.handle(x);
    void found.then((late) => {
      if (x.over) return;
      if (late === null) this.#next.handle(x);
      else answer(x, late);
    });
  }

  finished(x: Exchange): void {
    this.#next.finished(x);
  }
}
