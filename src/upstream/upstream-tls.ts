// How the servers of an upstream are reached over TLS: what the configuration says, with its files read.
import { readFileSync, statSync } from "node:fs";
import { reasonOf } from "../config/expand.ts";
import type { UpstreamConfig } from "../config/schema.ts";
import { TlsClient } from "../transport/tls-client.ts";
import { checkCa } from "../transport/tls-context.ts";

/** What is offered to servers, best first (RFC 7301). */
export type Offer = readonly ("h2" | "http/1.1")[];
/** For connections of layer 4: what is spoken on them is their two ends' business. */
export const NO_OFFER: Offer = [];

/**
 * What connections to a server at `host` begin with. Throws an Error that names the file when one cannot be read or has
 * no CA in it, and the runtime's error for one that is damaged.
 */
export function tlsClientFor({ tls }: UpstreamConfig, host: string, alpn: Offer): TlsClient {
  const { serverName = host, verify = true, ca, cert, key, minVersion } = tls ?? {};
  return new TlsClient({
    serverName,
    verify,
    ...(minVersion === undefined ? {} : { minVersion }),
    ...(ca === undefined ? {} : { ca: readCa(ca) }),
    ...(cert === undefined ? {} : { cert: readTlsFile(cert) }),
    ...(key === undefined ? {} : { key: readTlsFile(key) }),
    alpn,
  });
}

/** How often it is looked whether files have changed. Nothing is looked at while nobody connects. */
const LOOK_MS = 1000;

/**
 * One server's TLS with one offer: sessions of one must not be taken up under another. Its files are read again when
 * they have changed, so that our own certificate can be renewed.
 */
export class UpstreamTls {
  readonly #config: UpstreamConfig;
  readonly #host: string;
  readonly #offer: Offer;
  #client: TlsClient | null = null;
  #signature = "";
  #lookedMs = 0;

  constructor(config: UpstreamConfig, host: string, offer: Offer) {
    this.#config = config;
    this.#host = host;
    this.#offer = offer;
  }

  /** For a connection at `nowMs`. Files that cannot be used leave the client of before; throws as tlsClientFor does. */
  client(nowMs: number): TlsClient {
    if (this.#client !== null && nowMs - this.#lookedMs < LOOK_MS) return this.#client;
    this.#lookedMs = nowMs;
    const signature = signatureOf(this.#config);
    if (this.#client !== null && signature === this.#signature) return this.#client;
    this.#signature = signature;
    try {
      this.#client = tlsClientFor(this.#config, this.#host, this.#offer);
    } catch (error) {
      if (this.#client === null) throw error;
    }
    return this.#client;
  }
}

/** Other than before when a file is another one, or was written to. */
function signatureOf({ tls }: UpstreamConfig): string {
  let signature = "";
  for (const path of [tls?.ca, tls?.cert, tls?.key]) {
    const stat = path === undefined ? undefined : statSync(path, { throwIfNoEntry: false, bigint: true });
    signature += stat === undefined ? "-" : ` ${stat.ino} ${stat.size} ${stat.mtimeNs}`;
  }
  return signature;
}

/** Reads a file of a configuration. Throws an Error that names it. */
export function readTlsFile(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    throw new Error(`cannot read ${path}: ${reasonOf(error)}`, { cause: error });
  }
}

function readCa(path: string): string {
  const pem = readTlsFile(path);
  try {
    checkCa(pem);
  } catch (error) {
    throw new Error(`${path}: ${(error as Error).message}`, { cause: error });
  }
  return pem;
}
