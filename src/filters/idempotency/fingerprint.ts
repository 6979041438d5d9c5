// What tells a repeated request from another one with the same key: a digest of method, target and content.
import { createHash, type Hash } from "node:crypto";
import type { HeaderBlock } from "../../http/header-block.ts";
import { ResponseHead } from "../../http/message.ts";
import type { BodyOutput, BodyTransform } from "../../pipeline/body-transform.ts";
import type { Exchange, RequestSink } from "../../pipeline/exchange.ts";

function begin({ request }: Exchange): Hash {
  return createHash("sha256").update(`${request.method}\n${request.target}\n`);
}

/** Of a request that is forwarded: taken as the content passes. */
export class PassingFingerprint implements BodyTransform {
  readonly #hash: Hash;
  #digest = "";

  constructor(x: Exchange) {
    this.#hash = begin(x);
    if (x.request.body === "none") this.#close();
  }

  /** "" before all of the content was there. */
  get digest(): string {
    return this.#digest;
  }

  #close(): void {
    if (this.#digest === "") this.#digest = this.#hash.digest("base64url");
  }

  push(bytes: Buffer, from: number, to: number, out: BodyOutput): void {
    this.#hash.update(bytes.subarray(from, to));
    out.data(bytes, from, to);
  }
  end(trailers: HeaderBlock | null, out: BodyOutput): void {
    this.#close();
    out.end(trailers);
  }
}

/** Of a request that is not forwarded: nothing of it is kept. Null when its client has left before its end. */
export function fingerprintOf(x: Exchange): Promise<string | null> {
  const hash = begin(x);
  if (x.request.body === "none") return Promise.resolve(hash.digest("base64url"));
  if (x.request.expectContinue) {
    // The client waits for this before it sends anything.
    x.downstream.informational(Object.assign(new ResponseHead(), { status: 100 }));
    x.request.expectContinue = false;
  }
  return new Promise((resolve) => {
    const reader = new BodyReader(hash, resolve);
    x.sink = reader;
    x.downstream.readBody(reader);
  });
}

class BodyReader implements RequestSink {
  readonly #hash: Hash;
  readonly #resolve: (digest: string | null) => void;

  constructor(hash: Hash, resolve: (digest: string | null) => void) {
    this.#hash = hash;
    this.#resolve = resolve;
  }
  onRequestData(bytes: Buffer, from: number, to: number): void {
    this.#hash.update(bytes.subarray(from, to));
  }
  onRequestEnd(): void {
    this.#resolve(this.#hash.digest("base64url"));
  }
  onDownstreamDrain(): void {}
  onDownstreamGone(): void {
    this.#resolve(null);
  }
}
