// Puts marks in place of what a text should not have. For texts that are there as a whole, and for texts that come in
// pieces: of those as much is held back as may still turn out to be part of something.
import { findSensitive, inOrder, type Kind, type Span } from "./sensitive.ts";

/** Finds what an operator's own rule is about: where it begins and ends, behind `from`; null for nothing. */
export interface Rule {
  readonly name: string;
  find(text: string): readonly (readonly [from: number, to: number])[];
}

export class Redactor {
  readonly #kinds: ReadonlySet<Kind>;
  readonly #rules: readonly Rule[];
  /** A rule may need to see this much at once. */
  readonly holdMin: number;

  constructor(kinds: readonly Kind[], rules: readonly Rule[]) {
    this.#kinds = new Set(kinds);
    this.#rules = rules;
    this.holdMin = rules.length === 0 ? 0 : RULE_HOLD;
  }

  /** What is found in it; `isCut`: there is more of the text. */
  spans(text: string, isCut = false): Span[] {
    const spans = findSensitive(text, this.#kinds, isCut);
    if (this.#rules.length === 0) return spans;
    for (const { name, find } of this.#rules)
      for (const [from, to] of find(text)) if (to > from) spans.push({ from, to, label: name });
    return inOrder(spans);
  }

  /** The text with a mark like `[email]` for each thing that was found. `found` is told what it was. */
  text(text: string, found: (label: string) => void): string {
    const spans = this.spans(text);
    return spans.length === 0 ? text : marked(text, spans, found);
  }
}

function marked(text: string, spans: readonly Span[], found: (label: string) => void): string {
  let made = "";
  let at = 0;
  for (const { from, to, label } of spans) {
    made += `${text.slice(at, from)}[${label}]`;
    at = to;
    found(label);
  }
  return made + text.slice(at);
}

/** What an operator's rule gets to see at least, before any of it is let go. */
const RULE_HOLD = 128;
/** Nothing that is looked for is longer, but for keys in blocks and tokens, which are cut off where they begin. */
const HOLD_MAX = 512;
const BLOCK = "-----BEGIN ";
const BLOCK_END = "-----END ";
const DASHES = "-----";
/** A block's end and its label. */
const BLOCK_END_MAX = 64;

/** One text of an answer, as it comes. */
export class StreamRedactor {
  readonly #redactor: Redactor;
  readonly #found: (label: string) => void;
  #held = "";
  /** In a block whose beginning has been marked: nothing goes out until it ends. */
  #isInBlock = false;
  /** In a word that was marked and goes on. */
  #isInWord = false;

  constructor(redactor: Redactor, found: (label: string) => void) {
    this.#redactor = redactor;
    this.#found = found;
  }

  /** Takes a piece and gives out what cannot be part of anything any more; "" for nothing yet. */
  push(piece: string): string {
    const text = this.#outside(this.#held + piece);
    if (text === null) return "";
    let spans = this.#redactor.spans(text);
    let cut = Math.max(0, Math.min(cutAt(text), text.length - this.#redactor.holdMin));
    for (const { from, to } of spans) if (from < cut && to > cut) cut = from;
    // What is longer than anything that is looked for goes out as far as it is known: marked, or as it is.
    if (text.length - cut <= HOLD_MAX) return this.#release(text, spans, cut);
    spans = this.#redactor.spans(text, true);
    const last = spans.at(-1);
    if (last !== undefined && last.to === text.length) {
      this.#isInBlock = text.startsWith(BLOCK, last.from);
      this.#isInWord = !this.#isInBlock;
    }
    const made = this.#release(text, spans, text.length);
    // Its end may have begun.
    if (this.#isInBlock) this.#held = text.slice(-BLOCK_END_MAX);
    return made;
  }

  /** The text is over. */
  end(): string {
    const text = this.#outside(this.#held);
    this.#held = "";
    return text === null ? "" : this.#redactor.text(text, this.#found);
  }

  #release(text: string, spans: readonly Span[], cut: number): string {
    const whole = spans.filter(({ to }) => to <= cut);
    this.#held = text.slice(cut);
    return marked(text.slice(0, cut), whole, this.#found);
  }

  /** What of a text is outside of the block or word that was marked; null where all of it is inside. */
  #outside(text: string): string | null {
    if (this.#isInBlock) {
      const end = blockEnd(text, 0);
      if (end < 0) {
        const begun = text.indexOf(BLOCK_END);
        this.#held = begun < 0 ? text.slice(-BLOCK_END_MAX) : text.slice(begun, begun + BLOCK_END_MAX);
        return null;
      }
      this.#isInBlock = false;
      return text.slice(end);
    }
    if (!this.#isInWord) return text;
    let at = 0;
    while (at < text.length && isWordChar(text.charCodeAt(at))) at += 1;
    if (at === text.length) return null;
    this.#isInWord = false;
    return text.slice(at);
  }
}

const isDigit = (code: number): boolean => code >= 0x30 && code <= 0x39;
const isUpper = (code: number): boolean => code >= 0x41 && code <= 0x5a;
const isLetter = (code: number): boolean => isUpper(code & 0xdf) && code < 0x80;
/** Of an address, a key or a number without spaces. */
const isWordChar = (code: number): boolean =>
  isDigit(code) || isLetter(code) || (code < 0x80 && "._%+-@()/\\".includes(String.fromCharCode(code)));

/** Where a block ends behind `from`, its dashes included; -1 while it does not. */
function blockEnd(text: string, from: number): number {
  const end = text.indexOf(BLOCK_END, from);
  const close = end < 0 ? -1 : text.indexOf(DASHES, end + BLOCK_END.length);
  return close < 0 ? -1 : close + DASHES.length;
}

/** Up to where nothing can still grow into something: before the last word, and the groups of a number before it. */
function cutAt(text: string): number {
  const block = text.lastIndexOf(BLOCK);
  if (block >= 0 && blockEnd(text, block) < 0 && text.length - block <= HOLD_MAX) return block;
  let cut = wordStart(text, text.length);
  for (;;) {
    // One or two separators may stand between two groups.
    let end = cut;
    while (end > 0 && cut - end < 2 && text.charCodeAt(end - 1) === 0x20) end -= 1;
    if (end === cut && cut !== text.length) return cut;
    const start = wordStart(text, end);
    if (start === end || !isGroup(text, start, end)) return withDashes(text, cut);
    cut = start;
  }
}

function wordStart(text: string, end: number): number {
  let at = end;
  while (at > 0 && isWordChar(text.charCodeAt(at - 1))) at -= 1;
  return at;
}

/** The beginning of a block has dashes and a space. */
function withDashes(text: string, cut: number): number {
  const begins = text.slice(Math.max(0, cut - BLOCK.length), cut);
  const at = begins.lastIndexOf(DASHES);
  return at < 0 || !BLOCK.startsWith(begins.slice(at)) ? cut : Math.max(0, cut - BLOCK.length) + at;
}

/** A word that may be followed by more of the same number: one with digits, or four capitals of an account's. */
function isGroup(text: string, from: number, to: number): boolean {
  let capitals = 0;
  for (let at = from; at < to; at += 1) {
    const code = text.charCodeAt(at);
    if (isDigit(code)) return true;
    if (isLetter(code)) capitals += 1;
  }
  return capitals === to - from && capitals === 4;
}
