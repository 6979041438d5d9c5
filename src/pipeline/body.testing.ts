// What tests of body transforms share: pieces in, what comes out as one, and every way to cut a few bytes.
import type { HeaderBlock } from "../http/header-block.ts";
import type { BodyOutput, BodyTransform } from "./body-transform.ts";

/** What a transform has put out. */
export class Output implements BodyOutput {
  readonly pieces: Buffer[] = [];
  trailers: HeaderBlock | null | undefined = undefined;
  fault = "";

  data(bytes: Buffer, from: number, to: number): void {
    if (from >= to) throw new Error("an empty piece");
    this.pieces.push(Buffer.from(bytes.subarray(from, to)));
  }
  end(trailers: HeaderBlock | null): void {
    if (this.trailers !== undefined) throw new Error("two ends");
    this.trailers = trailers;
  }
  fail(cause: { readonly code: string }): void {
    this.fault = cause.code;
  }

  get bytes(): Buffer {
    return Buffer.concat(this.pieces);
  }
}

/** Feeds the pieces, each in the middle of a larger buffer, and the end, unless the transform fails before. */
export function feed(transform: BodyTransform, pieces: readonly Buffer[], trailers: HeaderBlock | null = null): Output {
  const out = new Output();
  for (const piece of pieces) {
    const around = Buffer.concat([Buffer.from("??"), piece, Buffer.from("??")]);
    transform.push(around, 2, 2 + piece.length, out);
    if (out.fault !== "") return out;
  }
  transform.end(trailers, out);
  return out;
}

/** Every way to cut `bytes` into at most three pieces, and byte by byte. */
export function* cuts(bytes: Buffer): Generator<Buffer[]> {
  yield [bytes];
  yield [...bytes].map((byte) => Buffer.from([byte]));
  for (let a = 1; a < bytes.length; a += 1) {
    yield [bytes.subarray(0, a), bytes.subarray(a)] as Buffer[];
    for (let b = a + 1; b < bytes.length; b += 1)
      yield [bytes.subarray(0, a), bytes.subarray(a, b), bytes.subarray(b)] as Buffer[];
  }
}
