// A body that came compressed, for a client that takes it only as it is.
import { type Fault, fault } from "../../core/faults.ts";
import { takePlace } from "../../engines/compression/coders.ts";
import { markEncoded } from "../../engines/compression/eligible.ts";
import type { Coding } from "../../http/content-codings.ts";
import type { HeaderBlock } from "../../http/header-block.ts";
import type { LateOutput, LateTransform } from "../../pipeline/body-transform.ts";
import type { CodedBody, Exchange } from "../../pipeline/exchange.ts";
import { forgetLength } from "../../pipeline/transforms.ts";
import { CoderFlow } from "./coder-flow.ts";

/**
 * Real content seldom becomes more than 50 times as long; gzip can do 1000 times, the others more. What a server sends
 * as a trap costs the time of a coder, so it is cut off here.
 */
const RATIO_MAX = 250;
/** Up to this length the ratio does not matter: a page of blanks is no attack. */
const RATIO_FROM = 4_194_304;
/** No single answer may keep a coder busy for longer than this takes. */
const DECODED_MAX = 4_294_967_296;

function excess({ bytesIn, bytesOut }: CodedBody): Fault | null {
  if (bytesOut <= RATIO_FROM || (bytesOut <= bytesIn * RATIO_MAX && bytesOut <= DECODED_MAX)) return null;
  return fault("upstream.bad_response", `the content becomes too long: ${bytesOut} bytes from ${bytesIn}`);
}

export class DecodedBody implements LateTransform {
  readonly #x: Exchange;
  readonly #coding: Coding;
  readonly #count: CodedBody;
  #flow: CoderFlow | null = null;
  #out: LateOutput | null = null;

  constructor(x: Exchange, coding: Coding) {
    this.#x = x;
    this.#coding = coding;
    this.#count = { coding, result: "decoded", bytesIn: 0, bytesOut: 0 };
  }

  get full(): boolean {
    return this.#flow?.full === true;
  }
  start(out: LateOutput): void {
    const { response } = this.#x;
    this.#out = out;
    if (takePlace()) {
      this.#x.coded = this.#count;
      this.#flow = CoderFlow.decode(out, this.#count, this.#coding, excess);
      markEncoded(response.headers, "");
      forgetLength(response);
    } else this.#x.coded = { coding: this.#coding, result: "busy", bytesIn: 0, bytesOut: 0 };
    out.head();
  }
  push(bytes: Buffer, from: number, to: number): void {
    if (this.#flow === null) this.#out!.data(bytes, from, to);
    else this.#flow.write(bytes.subarray(from, to) as Buffer);
  }
  end(trailers: HeaderBlock | null): void {
    if (this.#count.bytesIn > 0) return this.#flow!.end(trailers);
    this.#flow?.close(); // no content at all is none that is encoded
    this.#out!.end(trailers);
  }
  drain(): void {
    this.#flow?.drain();
  }
  gone(): void {
    this.#flow?.close();
  }
}
