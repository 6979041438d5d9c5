// Documents that were read before, by their text. Bounded by what their texts take: the older half is dropped when the
// newer one is full, and what is asked for again moves over.
import type { Document, Documents, NoDocument } from "./document.ts";

/** Of each half, in characters; what is made of a text takes some ten times as much. */
const CHARS_MAX = 524_288;
const ENTRIES_MAX = 2000;

type Read = Document | NoDocument;

export class KnownDocuments {
  readonly #documents: Documents;
  readonly #tokensMax: number;
  #newer = new Map<string, Read>();
  #older: ReadonlyMap<string, Read> = new Map();
  #chars = 0;

  constructor(documents: Documents, tokensMax: number) {
    this.#documents = documents;
    this.#tokensMax = tokensMax;
  }

  read(text: string): Read {
    const known = this.#newer.get(text);
    if (known !== undefined) return known;
    const read = this.#older.get(text) ?? this.#documents.read(text, this.#tokensMax);
    if (this.#newer.size >= ENTRIES_MAX || this.#chars + text.length > CHARS_MAX) {
      this.#older = this.#newer;
      this.#newer = new Map();
      this.#chars = 0;
    }
    this.#newer.set(text, read);
    this.#chars += text.length;
    return read;
  }
}
