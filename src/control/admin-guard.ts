// Who may talk to the admin API: the token, and what keeps web pages of strangers out.
import { createHash, timingSafeEqual } from "node:crypto";
import type { Address } from "../config/address.ts";
import { parseIp } from "../core/ip.ts";

/** Why a request is refused. */
export interface Refusal {
  readonly status: 401 | 403 | 421;
  readonly detail: string;
}

/** Whether only programs of this machine can reach the address. */
export function isLocalAddress(address: Address): boolean {
  if (address.kind === "unix" || address.host === "localhost") return true;
  const ip = parseIp(address.host);
  if (ip === null) return false;
  return ip.family === 4 ? ip.words[0]! >>> 24 === 127 : ip.words.every((word, at) => word === (at === 3 ? 1 : 0));
}

export class AdminGuard {
  readonly #address: Address;
  #tokenHash: Buffer | null = null;

  constructor(address: Address, token: string | undefined) {
    this.#address = address;
    this.setToken(token);
  }

  setToken(token: string | undefined): void {
    this.#tokenHash = token === undefined ? null : hash(token);
  }

  /** Whether the request may see everything: it has the token, or none is asked for. */
  isTrusted(request: Request): boolean {
    return this.#tokenHash === null || this.#hasToken(request);
  }

  /**
   * Whether a web page may have made the browser send this. A page can point a name of its own at this address (DNS
   * rebinding), so the Host must be one that cannot be re-pointed; a page of another origin gives itself away by
   * `Origin` or `Sec-Fetch-Site`. A request with the token is no such page's.
   */
  refuse(request: Request): Refusal | null {
    const host = request.headers.get("host") ?? "";
    if (!this.#hasToken(request) && !this.#isOwnHost(host)) {
      return {
        status: 421,
        detail: "The Host must be an IP address, localhost or the configured name; with the token it may be any.",
      };
    }
    const origin = request.headers.get("origin");
    if (origin !== null && origin !== `http://${host}`)
      return { status: 403, detail: "Requests from other origins are refused." };
    if (request.headers.get("sec-fetch-site") === "cross-site")
      return { status: 403, detail: "Requests from other sites are refused." };
    return null;
  }

  /** Compares hashes, so that the time it takes tells nothing about the token or its length. */
  #hasToken(request: Request): boolean {
    const given = /^Bearer +([^ ]+)$/i.exec(request.headers.get("authorization") ?? "")?.[1];
    return this.#tokenHash !== null && given !== undefined && timingSafeEqual(hash(given), this.#tokenHash);
  }

  #isOwnHost(host: string): boolean {
    if (this.#address.kind === "unix") return true; // no browser speaks to a socket file
    const name = /^(?:\[([^\]]*)\]|([^:]*))(?::\d{1,5})?$/.exec(host);
    if (name === null) return false;
    const literal = (name[1] ?? name[2] ?? "").toLowerCase();
    return literal === "localhost" || literal === this.#address.host || parseIp(literal) !== null;
  }
}

const hash = (text: string): Buffer => createHash("sha256").update(text).digest();
