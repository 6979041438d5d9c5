// Puts a snippet into the head of a page while the page passes: once, behind `<head …>`, and never into a comment, a
// script or a value that only looks like it. Nothing is held back but what may still turn out to be the tag.

/** Beyond this a page that has had no head gets none: whoever writes 64 KB before it does not mean to have one. */
const SEARCH_MAX = 65_536;

const STATES = { text: 0, comment: 1, raw: 2, tag: 3 } as const;
type State = (typeof STATES)[keyof typeof STATES];

const LT = 0x3c;
const GT = 0x3e;
const DASH = 0x2d;
const QUOTE = 0x22;
const APOSTROPHE = 0x27;

/** Elements before a head whose content is text (HTML section 13.2.5). */
const RAW = ["script", "style", "title", "textarea", "noscript"];
const LONGEST = 12;

export class HeadInjector {
  readonly #snippet: Buffer;
  #state: State = STATES.text;
  #quote = 0;
  #isHead = false;
  #raw = "";
  #seen = 0;
  #done = false;
  #kept: Buffer = Buffer.alloc(0);

  constructor(snippet: Buffer) {
    this.#snippet = snippet;
  }

  /** Whether the rest of the page passes as it is. */
  get done(): boolean {
    return this.#done;
  }

  /** What goes out for these bytes. */
  push(bytes: Buffer): Buffer {
    if (this.#done) return bytes;
    const all = this.#kept.length === 0 ? bytes : Buffer.concat([this.#kept, bytes]);
    const at = this.#search(all);
    if (at >= 0) {
      this.#done = true;
      return Buffer.concat([all.subarray(0, at), this.#snippet, all.subarray(at)]);
    }
    if (this.#seen > SEARCH_MAX) this.#done = true;
    const kept = this.#done ? 0 : this.#kept.length;
    const out = all.subarray(0, all.length - kept);
    return out;
  }

  end(): Buffer {
    const rest = this.#kept;
    this.#kept = Buffer.alloc(0);
    return rest;
  }

  /** Where the snippet belongs, -1 for nowhere yet. Keeps the beginning of a tag that is cut off. */
  #search(all: Buffer): number {
    let at = 0;
    this.#kept = Buffer.alloc(0);
    while (at < all.length) {
      if (this.#state === STATES.text) {
        const open = all.indexOf(LT, at);
        if (open < 0) break;
        if (all.length - open < LONGEST && all.indexOf(GT, open) < 0) {
          this.#keep(all, open);
          break;
        }
        at = this.#open(all, open);
      } else if (this.#state === STATES.comment) {
        const end = all.indexOf("-->", at);
        if (end < 0) {
          this.#keep(all, Math.max(at, all.length - 2));
          break;
        }
        this.#state = STATES.text;
        at = end + 3;
      } else if (this.#state === STATES.raw) {
        const end = endOfRaw(all, at, this.#raw);
        if (end < 0) {
          this.#keep(all, Math.max(at, all.length - LONGEST));
          break;
        }
        this.#state = STATES.tag;
        this.#raw = "";
        at = end;
      } else {
        at = this.#inTag(all, at);
        if (this.#isOpen && this.#isHead) return at;
      }
    }
    this.#seen += all.length - this.#kept.length;
    return -1;
  }

  #keep(all: Buffer, from: number): void {
    this.#kept = Buffer.from(all.subarray(from));
  }

  /** Between tags; asked as a question, as the state changes in calls. */
  get #isOpen(): boolean {
    return this.#state === STATES.text;
  }

  /** At a `<`. */
  #open(all: Buffer, open: number): number {
    if (all[open + 1] === 0x21 && all[open + 2] === DASH && all[open + 3] === DASH) {
      this.#state = STATES.comment;
      return open + 4;
    }
    const name = nameAt(all, open + 1);
    if (name === "" && all[open + 1] !== 0x21 && all[open + 1] !== 0x2f) return open + 1;
    this.#isHead = name === "head";
    this.#raw = RAW.includes(name) ? name : "";
    this.#state = STATES.tag;
    return open + 1 + name.length;
  }

  /** Inside of a tag, up to its end; values in quotes may hold anything. */
  #inTag(all: Buffer, from: number): number {
    for (let at = from; at < all.length; at += 1) {
      const byte = all[at]!;
      if (this.#quote !== 0) {
        if (byte === this.#quote) this.#quote = 0;
      } else if (byte === QUOTE || byte === APOSTROPHE) this.#quote = byte;
      else if (byte === GT) {
        this.#state = this.#raw === "" ? STATES.text : STATES.raw;
        return at + 1;
      }
    }
    return all.length;
  }
}

function nameAt(all: Buffer, from: number): string {
  let to = from;
  while (to < all.length && to - from < LONGEST && isLetter(all[to]!)) to += 1;
  return all.toString("latin1", from, to).toLowerCase();
}

const isLetter = (byte: number): boolean => (byte >= 0x41 && byte <= 0x5a) || (byte >= 0x61 && byte <= 0x7a);

/** Where the end tag of an element whose content is text begins; -1 for nowhere yet. */
function endOfRaw(all: Buffer, from: number, name: string): number {
  for (let at = all.indexOf("</", from); at >= 0; at = all.indexOf("</", at + 2))
    if (all.toString("latin1", at + 2, at + 2 + name.length).toLowerCase() === name) return at + 2 + name.length;
  return -1;
}
