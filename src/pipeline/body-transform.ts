// What changes bodies as they pass is made of: the contracts of transforms, and of where they put what they make.
// Filters put them into an exchange by pipeline/transforms.ts.
import type { Fault } from "../core/faults.ts";
import type { HeaderBlock } from "../http/header-block.ts";

/** Where a transform puts what it makes. */
export interface BodyOutput {
  /** A piece of the new body, not empty. The bytes must stay as they are. */
  data(bytes: Buffer, from: number, to: number): void;
  /** The end of the new body. */
  end(trailers: HeaderBlock | null): void;
  /** The body makes no sense: the exchange fails of it. Nothing may be put out after that. */
  fail(cause: Fault): void;
}

/**
 * Changes one body. Neither sockets, timers nor promises in here: what it is given it passes on, changed, before it
 * returns, or keeps, up to a limit of its own. From one piece it must not make more than a small multiple.
 */
export interface BodyTransform {
  /** A piece of the body, cut anywhere. The bytes may be kept. */
  push(bytes: Buffer, from: number, to: number, out: BodyOutput): void;
  /** The body is over: puts out what is left, then the end. */
  end(trailers: HeaderBlock | null, out: BodyOutput): void;
}

/** Where a late transform puts what it makes, at any time until it has been told that the exchange is gone. */
export interface LateOutput extends BodyOutput {
  /** The client takes no more for now: keep what there is until `drain`. */
  readonly full: boolean;
  /** Lets the head leave; a first piece or the end does so too. */
  head(): void;
  /** The transform, which was full, takes bytes again. */
  room(): void;
}

/**
 * Changes the body of an answer in its own time: what it is given may come out later. The head waits for it, so that it
 * may still be changed by what the body turns out to be.
 */
export interface LateTransform extends BodyTransform {
  /** More is in hand than should be: the server is held up until `out.room()`. */
  readonly full: boolean;
  /** The head is there. Must see to it that the head leaves soon, even where no body comes. */
  start(out: LateOutput): void;
  /** The client takes bytes again, or takes them still. */
  drain(): void;
  /** Nobody wants any more of it. */
  gone(): void;
}

/** Lets nothing of an answer go out before it has been looked at. */
export interface HoldingTransform extends BodyTransform {
  /** The head waits for as long. */
  readonly holding: boolean;
  /** More is in hand than should be. */
  readonly full: boolean;
  /** Nobody wants any more of it. */
  gone(): void;
}

/** Looks at the body of a request before anybody forwards it. */
export interface BodyLook {
  /** A piece, which must not be kept; false when enough has been seen. */
  piece(bytes: Buffer, from: number, to: number): boolean;
  /** Enough has been seen, or all there is, or the client has gone. Called once. */
  seen(): void;
}
