// Addresses of vendors in a script become addresses of the site, while the script passes: `https://vendor.example/x`,
// `//vendor.example/x`, `https:\/\/vendor.example\/x` and `https%3A%2F%2Fvendor.example%2Fx`. A host that only
// begins like
// one of theirs stays.

export interface Replacement {
  /** `www.googletagmanager.com`, in small letters. */
  readonly host: string;
  /** What comes in place of scheme, slashes and host: `https://site.example/metrics`. */
  readonly by: string;
}

/** In how many ways slashes are written in scripts. */
const SLASHES = ["//", "\\/\\/", "%2F%2F", "%2f%2f"] as const;
const SCHEMES = ["https:", "http:", "https%3A", "http%3A", "https%3a", "http%3a"] as const;
const SCHEME_MAX = Math.max(...SCHEMES.map((scheme) => scheme.length));

interface Needle {
  readonly bytes: Buffer;
  readonly by: Replacement;
  readonly slashes: string;
}

/** Takes a script in pieces, in whatever way it is cut, and gives out the same as if it were in one. */
export class ScriptRewriter {
  readonly #needles: readonly Needle[];
  readonly #longest: number;
  #kept: Buffer = Buffer.alloc(0);

  constructor(replacements: readonly Replacement[]) {
    this.#needles = replacements.flatMap((by) =>
      SLASHES.map((slashes) => ({ bytes: Buffer.from(slashes + by.host), by, slashes })),
    );
    this.#longest = SCHEME_MAX + Math.max(0, ...this.#needles.map(({ bytes }) => bytes.length)) + BEHIND_HOST;
  }

  /** What is certain so far; the bytes may be those that were given. */
  push(bytes: Buffer): Buffer {
    const all = this.#kept.length === 0 ? bytes : Buffer.concat([this.#kept, bytes]);
    // Neither a host that begins in the last bytes nor the one that ends with them is certain.
    const certain = all.length - this.#longest;
    if (certain <= 0) {
      this.#kept = Buffer.from(all);
      return NOTHING;
    }
    const [made, from] = this.#rewrite(all, certain);
    this.#kept = Buffer.from(all.subarray(from));
    return made;
  }

  /** The rest. */
  end(): Buffer {
    const all = this.#kept;
    this.#kept = NOTHING;
    return this.#rewrite(all, all.length)[0];
  }

  /** All matches that begin before `certain`, and how far the input has been used. */
  #rewrite(all: Buffer, certain: number): [made: Buffer, from: number] {
    const pieces: Buffer[] = [];
    const nexts = this.#needles.map(({ bytes }) => findHost(all, bytes, 0, certain));
    let from = 0;
    for (;;) {
      const at = Math.min(...nexts);
      if (at === NONE) break;
      const needle = this.#needles[nexts.indexOf(at)]!;
      pieces.push(all.subarray(from, at - schemeBefore(all, at, from)), Buffer.from(written(needle)));
      from = at + needle.bytes.length;
      // Each needle looks at the input once, however many there are of the others.
      for (const [index, next] of nexts.entries())
        if (next < from) nexts[index] = findHost(all, this.#needles[index]!.bytes, from, certain);
    }
    // A scheme in front of a host that is not certain yet must stay with it.
    const end = Math.max(from, certain === all.length ? certain : certain - SCHEME_MAX);
    if (pieces.length === 0) return [all.subarray(0, end), end];
    pieces.push(all.subarray(from, end));
    return [Buffer.concat(pieces), end];
  }
}

const NONE = Number.POSITIVE_INFINITY;
/** How much has to be there behind a host to know that it is the whole host. */
const BEHIND_HOST = 2;

/** Where the needle stands first at `from` or behind it, as a whole host and before `before`. */
function findHost(all: Buffer, needle: Buffer, from: number, before: number): number {
  for (let at = all.indexOf(needle, from); at >= 0 && at < before; at = all.indexOf(needle, at + 1))
    if (endsHost(all, at + needle.length)) return at;
  return NONE;
}

const NOTHING = Buffer.alloc(0);

/** In the way in which the slashes around it are written. */
const written = ({ by, slashes }: Needle): string => by.by.replaceAll("/", slashes.slice(0, slashes.length / 2));

/** What may follow behind a host: anything but what would make it another host. */
function endsHost(all: Buffer, at: number): boolean {
  const next = all[at];
  if (next === undefined) return true;
  if (isNamePart(next)) return false;
  if (next !== DOT) return true;
  const after = all[at + 1]; // "the host is vendor.example." ends a sentence
  return after !== undefined && !isNamePart(after);
}

const DOT = 0x2e;

const isNamePart = (byte: number): boolean =>
  (byte >= 0x30 && byte <= 0x39) ||
  (byte >= 0x41 && byte <= 0x5a) ||
  (byte >= 0x61 && byte <= 0x7a) ||
  byte === 0x2d ||
  byte === 0x5f ||
  byte >= 0x80;

function schemeBefore(all: Buffer, at: number, from: number): number {
  for (const scheme of SCHEMES) {
    const start = at - scheme.length;
    if (start >= from && all.toString("latin1", start, at) === scheme) return scheme.length;
  }
  return 0;
}
