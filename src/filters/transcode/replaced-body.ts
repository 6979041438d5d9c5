// A body in place of the one that the client sends, which has been read already.
import type { BodyOutput, BodyTransform } from "../../pipeline/body-transform.ts";

export class ReplacedBody implements BodyTransform {
  readonly #bytes: Buffer;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }
  push(): void {
    // What it says stands in the new one.
  }
  end(_trailers: unknown, out: BodyOutput): void {
    if (this.#bytes.length > 0) out.data(this.#bytes, 0, this.#bytes.length);
    out.end(null);
  }
}
