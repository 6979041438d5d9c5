// Whoever follows a body gets all of it, however it comes, and a window never holds much more than its slowest reader
// has still to get.
import { type Rng, runAlone } from "../core/fuzz.testing.ts";
import { Body, type BodyReader, type BodySource } from "./body.ts";

/** A reader that takes some of what is there whenever it likes. */
class Taker implements BodyReader {
  offset = 0;
  sum = 0;
  #piece = 0;
  #from = 0;
  readonly #body: Body;

  constructor(body: Body) {
    this.#body = body;
    body.follow(this);
  }

  onMore(): void {}

  take(most: number): void {
    const body = this.#body;
    const until = Math.min(body.length, this.offset + most);
    if (this.#piece < body.firstPiece) {
      this.#piece = body.firstPiece;
      this.#from = this.offset - body.firstOffset;
    }
    while (this.offset < until) {
      if (this.#from === body.filled(this.#piece)) {
        this.#piece += 1;
        this.#from = 0;
      }
      const bytes = body.piece(this.#piece);
      if (bytes === undefined) throw new Error(`piece ${this.#piece} is gone at ${this.offset}`);
      if (bytes[this.#from] !== byteAt(this.offset)) throw new Error(`another byte at ${this.offset}`);
      this.#from += 1;
      this.offset += 1;
    }
    body.taken();
  }
}

const byteAt = (at: number): number => (at * 31 + (at >> 8)) & 0xff;

class Source implements BodySource {
  left = 0;
  onRoom(): void {}
  onLeft(): void {
    this.left += 1;
  }
}

export function bodyLaw(rng: Rng): void {
  const total = rng.below(rng.pick([10, 40_000, 900_000]));
  const source = new Source();
  const body = new Body(rng.oneIn(2) ? total : -1, source);
  const takers = Array.from({ length: 1 + rng.below(3) }, () => new Taker(body));
  const windowAt = rng.oneIn(2) ? rng.below(total + 1) : total + 1;
  let sent = 0;
  while (sent < total) {
    if (sent >= windowAt && !body.windowed) body.openWindow();
    if (!body.full) {
      const count = Math.min(total - sent, 1 + rng.below(60_000));
      const chunk = Buffer.alloc(count + 2);
      for (let at = 0; at < count; at += 1) chunk[at + 1] = byteAt(sent + at);
      body.append(chunk, 1, count + 1);
      chunk.fill(0); // it was copied
      sent += count;
    }
    for (const taker of takers) if (rng.oneIn(2) || body.full) taker.take(1 + rng.below(80_000));
    // The window, a piece of each reader's end, and what came with the last append.
    if (body.windowed && body.bytes > 1_000_000) throw new Error(`a window of ${body.bytes} bytes`);
  }
  body.finish(null);
  body.announce();
  for (const taker of takers) taker.take(total);
  if (takers.some(({ offset }) => offset !== total) || body.length !== total) throw new Error("not all of it");
  if (source.left > 0) throw new Error("nobody has left");
  if (!body.windowed && body.bytes - total > 40_000) throw new Error(`${body.bytes} bytes for ${total}`);
}

if (import.meta.main) runAlone("body", bodyLaw);
