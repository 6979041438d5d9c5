// What single sign-on wants to know of a request.
import { receivedCookies } from "../../http/cookies.ts";
import { firstQueryValue } from "../../http/query.ts";
import type { Exchange, RequestSink } from "../../pipeline/exchange.ts";

/** Where the request was sent: `https://app.example.com`. */
export const originOf = (x: Exchange): string => `${x.scheme}://${x.request.authority}`;

export const cookiesOf = (x: Exchange): string => receivedCookies(x.request.headers) ?? "";

export const parameter = (x: Exchange, name: string): string => firstQueryValue(x.request.query, name) ?? "";

/**
 * Whether a browser is about to show the answer as a page of its own: only then does a login make sense. What scripts
 * fetch, what a page loads, and what is fetched in advance would begin logins that nobody ends.
 */
export function isNavigation({ request }: Exchange): boolean {
  if (request.method !== "GET" || request.upgrade !== "") return false;
  const header = (name: string): string => request.header(name) ?? "";
  if (/prefetch|prerender|preview/i.test(`${header("sec-purpose")} ${header("purpose")} ${header("x-moz")}`))
    return false;
  const mode = header("sec-fetch-mode");
  if (mode !== "") return mode === "navigate" && header("sec-fetch-dest") === "document";
  return header("accept").includes("text/html") && header("x-requested-with") === "";
}

/** Browsers keep cookies of this kind over TLS alone, and on this machine. */
export function keepsCookies(x: Exchange): boolean {
  if (x.scheme === "https") return true;
  const { host } = x.request;
  return host === "localhost" || host.endsWith(".localhost") || host === "127.0.0.1" || host === "[::1]";
}

/** A form of at most so many bytes; null for anything else. */
export function readForm(x: Exchange, bytesMax: number): Promise<URLSearchParams | null> {
  const type = (x.request.header("content-type") ?? "").split(";", 1)[0]!.trim().toLowerCase();
  if (type !== "application/x-www-form-urlencoded") return Promise.resolve(null);
  return new Promise((resolve) => x.downstream.readBody(new FormBody(x, bytesMax, resolve)));
}

class FormBody implements RequestSink {
  readonly #x: Exchange;
  readonly #bytesMax: number;
  readonly #resolve: (form: URLSearchParams | null) => void;
  readonly #pieces: Buffer[] = [];
  #bytes = 0;

  constructor(x: Exchange, bytesMax: number, resolve: (form: URLSearchParams | null) => void) {
    this.#x = x;
    this.#bytesMax = bytesMax;
    this.#resolve = resolve;
  }

  onRequestData(bytes: Buffer, from: number, to: number): void {
    this.#bytes += to - from;
    if (this.#bytes <= this.#bytesMax) {
      this.#pieces.push(Buffer.from(bytes.subarray(from, to)));
      return;
    }
    this.#x.downstream.discardBody();
    this.#resolve(null);
  }
  onRequestEnd(): void {
    this.#resolve(new URLSearchParams(Buffer.concat(this.#pieces).toString()));
  }
  onDownstreamDrain(): void {}
  onDownstreamGone(): void {
    this.#resolve(null);
  }
}
