// Encodes content that is stored, piece by piece in the thread pool, into content that readers can follow.
import { fault } from "../core/faults.ts";
import { Coder, type CoderOwner } from "../engines/compression/coders.ts";
import type { Coding } from "../http/content-codings.ts";
import { Body } from "./body.ts";

/**
 * Bytes that the coder is given at a time. At usual levels a thread of the pool works on them for a few milliseconds,
 * and then others have their turn.
 */
const STEP_BYTES = 65_536;

/** Who wants it. */
export interface RunOwner {
  /** Looked at between steps: false gives it up. */
  isWanted(run: EncodingRun): boolean;
  /** It is whole, or broken (`made.fault`), or given up. */
  onRunOver(run: EncodingRun): void;
}

export class EncodingRun implements CoderOwner {
  readonly address: string;
  readonly coding: Coding;
  /** Whole when the run begins. */
  readonly source: Body;
  readonly made: Body = new Body(-1, null);
  readonly #owner: RunOwner;
  readonly #coder: Coder;
  #piece = 0;
  #at = 0;
  #over = false;

  /** The caller has taken a place for a coder. `isThorough`: nobody waits, and there is one at a time. */
  constructor(owner: RunOwner, address: string, source: Body, coding: Coding, level: number, isThorough: boolean) {
    this.address = address;
    this.source = source;
    this.coding = coding;
    this.#owner = owner;
    this.#coder = isThorough ? Coder.thorough(coding, level, source.length, this) : Coder.encoder(coding, level, this);
  }

  start(): void {
    this.#step();
  }

  #step(): void {
    const { source } = this;
    while (this.#piece < source.pieces && this.#at === source.filled(this.#piece)) {
      this.#piece += 1;
      this.#at = 0;
    }
    const bytes = source.piece(this.#piece);
    if (bytes === undefined) return this.#coder.end();
    const to = Math.min(source.filled(this.#piece), this.#at + STEP_BYTES);
    const step = bytes.subarray(this.#at, to) as Buffer;
    this.#at = to;
    this.#coder.write(step);
  }

  #close(): void {
    this.#over = true;
    this.#coder.close();
    this.#owner.onRunOver(this);
  }

  // ——— CoderOwner

  onTaken(): void {
    if (this.#over) return;
    if (this.#owner.isWanted(this)) this.#step();
    else this.onCoderFault(new Error("it is not stored any more"));
  }

  onCoded(bytes: Buffer): void {
    if (!this.#over) this.made.append(bytes, 0, bytes.length);
  }

  onCodedEnd(): void {
    if (this.#over) return;
    this.made.finish(null);
    this.#close();
    this.made.announce();
  }

  onCoderFault(error: Error): void {
    if (this.#over) return;
    this.made.break(fault("proxy.internal", `coding: ${error.message}`));
    this.#close();
  }
}
