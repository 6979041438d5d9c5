// What is known of the peer of one client connection, and what is said of it to servers, made once.
import type { ClientCertificate } from "../core/client-certificate.ts";

/** What policies, routes and templates ask of an encrypted connection. */
export interface ClientTls {
  /** The client's certificate leads to a CA of the listener's. */
  readonly authorized: boolean;
  readonly clientCertificate: ClientCertificate | null;
  /** The terms of the handshake; null where a listener has the same for all names. */
  readonly policy: { readonly key: string } | null;
}

/** One end of a connection. */
export interface Endpoint {
  readonly address: string;
  readonly port: number;
}

/** What a connection knows of its two ends. */
export interface Ends {
  readonly remoteAddress: string;
  readonly remotePort: number;
  readonly localAddress: string;
  readonly localPort: number;
  /** Null where the connection is not encrypted. */
  readonly tls: ClientTls | null;
}

export class ClientInfo {
  /** The peer's address; "" for unix sockets. */
  readonly address: string;
  readonly scheme: "http" | "https";
  #authority = "";
  #scheme = "";
  #via = "";
  #lines: Buffer | null = null;

  readonly #ends: Ends | null;

  /** `ends` where servers are to be told of more than the address; `scheme` is what the connection speaks. */
  constructor(address: string, ends: Ends | null = null, scheme: "http" | "https" = "http") {
    this.address = address;
    this.scheme = scheme;
    this.#ends = ends;
  }

  /** The client's end of the connection, and ours. */
  get source(): Endpoint {
    return { address: this.address, port: this.#ends?.remotePort ?? 0 };
  }
  get destination(): Endpoint {
    return { address: this.#ends?.localAddress ?? "", port: this.#ends?.localPort ?? 0 };
  }

  /** Null where the connection is not encrypted. */
  get tls(): ClientTls | null {
    return this.#ends?.tls ?? null;
  }
  /** The client's certificate; null without one that leads to a CA of the listener's. */
  get certificate(): ClientCertificate | null {
    const tls = this.#ends?.tls ?? null;
    return tls?.authorized === true ? tls.clientCertificate : null;
  }

  /** The Via and X-Forwarded lines for a request of this peer, and the start of the X-Request-Id line, as bytes. */
  forwardedLines(authority: string, scheme: string, via: string): Buffer {
    if (this.#lines === null || this.#authority !== authority || this.#scheme !== scheme || this.#via !== via) {
      const from = this.address === "" ? "" : `X-Forwarded-For: ${this.address}\r\n`;
      const lines = `${via}${from}X-Forwarded-Proto: ${scheme}\r\nX-Forwarded-Host: ${authority}\r\nX-Request-Id: `;
      this.#lines = Buffer.from(lines, "latin1");
      this.#via = via;
      this.#authority = authority;
      this.#scheme = scheme;
    }
    return this.#lines;
  }
}
