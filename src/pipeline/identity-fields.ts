// The fields by which servers are told who asks. Clients must never be able to send them, on no route and in no
// spelling that a server might take for the same: CGI and its heirs turn `X_User`, `X-User` and `x.user` into one
// variable.
import type { HeaderBlock } from "../http/header-block.ts";

/** So many lengths are told apart; what is longer stands with these. */
const NAME_MAX = 128;

/** Whether names may begin with it, or have to be it. */
interface Name {
  readonly bytes: Uint8Array;
  readonly isPrefix: boolean;
}

/** Lower case for letters, digits as they are, and a dash for everything else. */
const FOLDED = new Uint8Array(256).map((_, byte) => {
  if (byte >= 0x41 && byte <= 0x5a) return byte | 0x20;
  return (byte >= 0x61 && byte <= 0x7a) || (byte >= 0x30 && byte <= 0x39) ? byte : 0x2d;
});

export class IdentityFields {
  /** The names by their length; those that are the beginning of others stand at every length that they can have. */
  readonly #byLength: readonly (readonly Name[])[];

  /** `*` at the end of a name stands for all that begin so. */
  constructor(names: Iterable<string>) {
    const byLength: Name[][] = Array.from({ length: NAME_MAX + 1 }, () => []);
    for (const name of names) {
      const isPrefix = name.endsWith("*");
      const text = isPrefix ? name.slice(0, -1) : name;
      const folded: Name = { bytes: Buffer.from(text, "latin1").map((byte) => FOLDED[byte]!), isPrefix };
      const shortest = Math.min(text.length, NAME_MAX);
      for (let length = shortest; length <= (isPrefix ? NAME_MAX : shortest); length += 1)
        byLength[length]!.push(folded);
    }
    this.#byLength = byLength;
  }

  /** Takes them out of what was received. */
  strip(headers: HeaderBlock): void {
    const { bytes, count, marks } = headers;
    for (let at = 0; at < count; at += 1) {
      const start = marks[at * 4]!;
      const length = marks[at * 4 + 1]! - start;
      const names = this.#byLength[length < NAME_MAX ? length : NAME_MAX]!;
      for (let i = 0; i < names.length; i += 1)
        if (matches(bytes, start, length, names[i]!)) {
          headers.removeAt(at);
          break;
        }
    }
  }
}

function matches(bytes: Uint8Array, start: number, length: number, name: Name): boolean {
  const wanted = name.bytes;
  if (name.isPrefix ? length < wanted.length : length !== wanted.length) return false;
  for (let i = 0; i < wanted.length; i += 1) if (FOLDED[bytes[start + i]!] !== wanted[i]) return false;
  return true;
}
