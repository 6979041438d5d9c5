// A body on its way to a client that wants it compressed. It is gathered first: what turns out to be short and whole is
// encoded at once and gets its length; what is long, or pauses, goes through the thread pool piece by piece.
import { AT_ONCE_MAX, atOnceMax, encode, takePlace } from "../../engines/compression/coders.ts";
import { markEncoded, markTrailers } from "../../engines/compression/eligible.ts";
import type { Coding } from "../../http/content-codings.ts";
import type { HeaderBlock } from "../../http/header-block.ts";
import type { LateOutput, LateTransform } from "../../pipeline/body-transform.ts";
import type { CodedBody, Exchange, KeptCodings } from "../../pipeline/exchange.ts";
import { forgetLength } from "../../pipeline/transforms.ts";
import { CoderFlow } from "./coder-flow.ts";
import { type Pausing, watchPause } from "./pauses.ts";

/** How an answer is to be encoded. */
export interface Encoding {
  readonly coding: Coding;
  readonly level: number;
  /** Shorter bodies are left as they are. */
  readonly minSize: number;
}

/** Where pieces are put together to be encoded at once: memory that was just used costs a tenth of new memory. */
let table: Buffer | null = null;

/** The pieces behind each other, until the next time. */
function joined(pieces: readonly Buffer[]): Buffer {
  table ??= Buffer.allocUnsafeSlow(AT_ONCE_MAX);
  let at = 0;
  for (const piece of pieces) at += piece.copy(table, at);
  return table.subarray(0, at) as Buffer;
}

const GATHERING = 0;
const CODING = 1;
const PASSING = 2; // as it is
const OVER = 3;

export class EncodedBody implements LateTransform, Pausing {
  readonly #x: Exchange;
  readonly #encoding: Encoding;
  readonly #gatheredMax: number;
  readonly #kept: KeptCodings | null;
  #state = GATHERING;
  #pieces: Buffer[] = [];
  #gathered = 0;
  #flow: CoderFlow | null = null;
  #out: LateOutput | null = null;

  /** `kept` may have the content encoded by the time that it has passed; null for nobody. */
  constructor(x: Exchange, encoding: Encoding, kept: KeptCodings | null) {
    this.#x = x;
    this.#kept = kept;
    this.#encoding = encoding;
    this.#gatheredMax = atOnceMax(encoding.coding, encoding.level);
  }

  get full(): boolean {
    return this.#flow?.full === true;
  }

  start(out: LateOutput): void {
    const { body, length } = this.#x.response;
    this.#out = out;
    if (body === "length" && length > this.#gatheredMax) this.#begin(out);
    else watchPause(this);
  }

  push(bytes: Buffer, from: number, to: number): void {
    if (this.#state === PASSING) return this.#out!.data(bytes, from, to);
    const piece = bytes.subarray(from, to) as Buffer;
    if (this.#state === CODING) return this.#flow!.write(piece);
    if (this.#state === OVER) return;
    this.#pieces.push(piece);
    this.#gathered += piece.length;
    if (this.#gathered > this.#gatheredMax) this.#begin(this.#out!);
  }

  end(trailers: HeaderBlock | null): void {
    const out = this.#out!;
    if (this.#state === CODING) this.#flow!.end(trailers);
    else if (this.#state === PASSING) out.end(trailers);
    else if (this.#state === GATHERING) this.#atOnce(out, trailers);
  }

  /** What is gathered is all there is. */
  #atOnce(out: LateOutput, trailers: HeaderBlock | null): void {
    const { coding, level, minSize } = this.#encoding;
    if (this.#gathered === 0 || this.#gathered < minSize) return this.#asItIs(out, trailers);
    const made = this.#kept?.take(coding) ?? this.#encode(coding, level);
    const { response } = this.#x;
    this.#state = OVER;
    this.#pieces = [];
    markEncoded(response.headers, coding);
    if (trailers === null) {
      response.body = "length"; // HTTP/1.0 clients too keep their connections then
      response.length = made.length;
    } else {
      forgetLength(response);
      markTrailers(trailers);
    }
    out.data(made, 0, made.length);
    out.end(trailers);
  }

  #encode(coding: Coding, level: number): Buffer {
    const bytes = this.#pieces.length === 1 ? this.#pieces[0]! : joined(this.#pieces);
    const made = encode(bytes, coding, level);
    this.#mark("encoded", bytes.length, made.length);
    return made;
  }

  #asItIs(out: LateOutput, trailers: HeaderBlock | null): void {
    this.#pass(out);
    out.end(trailers);
  }

  /** From here on it is as if there were no transform. */
  #pass(out: LateOutput): void {
    this.#state = PASSING;
    out.head();
    for (const piece of this.#pieces) out.data(piece, 0, piece.length);
    this.#pieces = [];
  }

  /** Too much to wait for the end of it, or too long. */
  #begin(out: LateOutput): void {
    const { coding, level } = this.#encoding;
    if (!takePlace()) {
      this.#mark("busy", 0, 0);
      return this.#pass(out);
    }
    const { response } = this.#x;
    this.#state = CODING;
    this.#flow = CoderFlow.encode(out, this.#mark("encoded", 0, 0), coding, level);
    markEncoded(response.headers, coding);
    forgetLength(response);
    out.head();
    for (const piece of this.#pieces) this.#flow.write(piece);
    this.#pieces = [];
  }

  #mark(result: CodedBody["result"], bytesIn: number, bytesOut: number): CodedBody {
    const count = { coding: this.#encoding.coding, result, bytesIn, bytesOut };
    this.#x.coded = count;
    return count;
  }

  onPause(): void {
    if (this.#state === GATHERING) this.#begin(this.#out!);
  }

  drain(): void {
    this.#flow?.drain();
  }

  gone(): void {
    this.#state = OVER;
    this.#pieces = [];
    this.#flow?.close();
  }
}
