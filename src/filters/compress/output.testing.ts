// What a late transform has put out, for tests: a client that can be made full, and waits with a bound.
import type { HeaderBlock } from "../../http/header-block.ts";
import { ResponseHead } from "../../http/message.ts";
import type { LateOutput, LateTransform } from "../../pipeline/body-transform.ts";
import { exchangeOf } from "../../pipeline/exchange.fixture.ts";
import type { Exchange } from "../../pipeline/exchange.ts";

export class Output implements LateOutput {
  full = false;
  readonly pieces: Buffer[] = [];
  /** What happened, in order, a run of pieces as one. */
  readonly told: string[] = [];
  trailers: HeaderBlock | null | undefined = undefined;
  #wakers: (() => void)[] = [];

  #tell(what: string): void {
    if (this.told.at(-1) !== what) this.told.push(what);
    for (const wake of this.#wakers.splice(0)) wake();
  }
  head(): void {
    this.#tell("head");
  }
  data(bytes: Buffer, from: number, to: number): void {
    if (from >= to) throw new Error("an empty piece");
    this.pieces.push(Buffer.from(bytes.subarray(from, to)));
    this.#tell("data");
  }
  end(trailers: HeaderBlock | null): void {
    this.trailers = trailers;
    this.#tell("end");
  }
  fail({ code }: { readonly code: string }): void {
    this.#tell(`fail ${code}`);
  }
  room(): void {
    this.#tell("room");
  }

  get bytes(): Buffer {
    return Buffer.concat(this.pieces);
  }
  /** Resolves once `condition` holds, looking whenever something happens. */
  async until(condition: () => boolean): Promise<void> {
    while (!condition()) await new Promise<void>((resolve) => void this.#wakers.push(resolve));
  }
  over(): Promise<void> {
    return this.until(() => this.trailers !== undefined || this.told.at(-1)?.startsWith("fail") === true);
  }
}

/** An exchange with the head of an answer; `length` is what it says of its body, -1 for nothing. */
export function answerOf(fields: Readonly<Record<string, string>>, length: number): Exchange {
  const x = exchangeOf();
  x.response = new ResponseHead();
  x.response.body = length < 0 ? "chunked" : "length";
  x.response.length = Math.max(0, length);
  for (const [name, value] of Object.entries(fields)) x.response.headers.add(name, value);
  return x;
}

/** Feeds bytes in pieces of a size, each in the middle of a larger buffer. */
export function feed(transform: LateTransform, bytes: Buffer, size: number, out: LateOutput): void {
  for (let at = 0; at < bytes.length; at += size) {
    const piece = bytes.subarray(at, at + size);
    transform.push(Buffer.concat([Buffer.from("??"), piece, Buffer.from("??")]), 2, 2 + piece.length, out);
  }
}
