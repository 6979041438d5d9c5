// Words that every match contains one of: a cheap search for them decides most inputs without running a pattern.
import type { ByteSet, RegexNode } from "./syntax.ts";

/** More exact strings than this are not multiplied out any further. */
const EXACT_MAX = 48;
/** Longer strings gain nothing. */
const LENGTH_MAX = 12;
/** More words than this cost memory in the common automaton, for a pattern that they hardly spare. */
const WORDS_MAX = 400;
/** A byte set with more letters, without case, says too little; one of separators and quotes is rare in ordinary text. */
const SET_MAX = 12;

/** What is known of all texts that a node matches. */
interface Known {
  /** All the texts there are, folded; null when they are too many. */
  readonly exact: readonly string[] | null;
  /** Words one of which is in each text; null when nothing is known. */
  readonly required: readonly string[] | null;
}

const NOTHING: Known = { exact: null, required: null };
const EMPTY_TEXT: Known = { exact: [""], required: null };

/**
 * The best set of words one of which is in everything that the tree matches: the one that ordinary text has least.
 * Lower-cased; null when there is none.
 */
export function requiredLiterals(tree: RegexNode): readonly string[] | null {
  const { required, exact } = analyse(tree);
  const best = better(required, wordsOf(exact));
  return best === null ? null : withoutLonger(best);
}

function analyse(node: RegexNode): Known {
  switch (node.kind) {
    case "bytes": {
      const letters = lettersOf(node.set);
      return letters === null ? NOTHING : { exact: letters, required: null };
    }
    case "position":
    case "look":
      return EMPTY_TEXT;
    case "back-reference":
      return NOTHING;
    case "group":
    case "atomic":
      return analyse(node.item);
    case "sequence":
      return inSequence(node.items.map(analyse));
    case "choice":
      return anyOf(node.items.map(analyse));
    case "repeat":
      return repeated(analyse(node.item), node.min, node.max);
  }
}

/** By identity: most sets are those of single bytes, which the parser has once each. */
const lettersBySet = new WeakMap<ByteSet, readonly string[] | "many">();

function lettersOf(set: ByteSet): readonly string[] | null {
  let letters = lettersBySet.get(set);
  if (letters === undefined) {
    letters = findLetters(set) ?? "many";
    lettersBySet.set(set, letters);
  }
  return letters === "many" ? null : letters;
}

function findLetters(set: ByteSet): readonly string[] | null {
  const letters = new Set<string>();
  for (let byte = 0; byte < 256 && letters.size <= SET_MAX; byte += 1) {
    if (set[byte] === 1) letters.add(fold(byte));
  }
  return letters.size > SET_MAX ? null : [...letters];
}

/** Only letters of ASCII have a case here. */
function fold(byte: number): string {
  return String.fromCharCode(byte >= 65 && byte <= 90 ? byte + 32 : byte);
}

function repeated(item: Known, min: number, max: number): Known {
  if (min === 0)
    return max === 1 && item.exact !== null ? { exact: union([item.exact, [""]]), required: null } : NOTHING;
  const copies = Math.min(min, LENGTH_MAX);
  const whole = inSequence(new Array<Known>(copies).fill(item));
  if (min === max && copies === min) return whole;
  return { exact: null, required: better(whole.required, wordsOf(whole.exact)) };
}

function anyOf(branches: readonly Known[]): Known {
  const exact = branches.every((branch) => branch.exact !== null)
    ? union(branches.map((branch) => branch.exact!))
    : null;
  const words = branches.map((branch) => better(branch.required, wordsOf(branch.exact)));
  const required = words.every((some) => some !== null) ? bounded(union(words as string[][])) : null;
  return { exact: exact !== null && exact.length <= EXACT_MAX ? exact : null, required };
}

/** Items in a row: runs of exact items are multiplied out, and the best of what each run and item needs is kept. */
function inSequence(items: readonly Known[]): Known {
  let run: readonly string[] = [""];
  let whole = true;
  let best: readonly string[] | null = null;
  for (const item of items) {
    best = better(best, item.required);
    const product: readonly string[] | null = item.exact === null ? null : product2(run, item.exact);
    if (product !== null) {
      run = product;
      continue;
    }
    whole = false;
    best = better(best, wordsOf(run));
    run = item.exact ?? [""];
  }
  if (whole) return { exact: run, required: best };
  return { exact: null, required: better(best, wordsOf(run)) };
}

function product2(left: readonly string[], right: readonly string[]): readonly string[] | null {
  if (left.length * right.length > EXACT_MAX) return null;
  const made = new Set<string>();
  for (const one of left) {
    for (const other of right) {
      if (one.length + other.length > LENGTH_MAX) return null;
      made.add(one + other);
    }
  }
  return [...made];
}

function union(lists: readonly (readonly string[])[]): readonly string[] {
  return [...new Set(lists.flat())];
}

function wordsOf(exact: readonly string[] | null): readonly string[] | null {
  return exact === null || exact.includes("") || exact.length === 0 ? null : bounded(exact);
}

/** Fewer words, by keeping only their beginnings. */
function bounded(words: readonly string[]): readonly string[] | null {
  let some = words;
  for (let length = LENGTH_MAX; some.length > WORDS_MAX && length >= 3; length -= 1) {
    some = union([some.map((word) => word.slice(0, length))]);
  }
  return some.length > WORDS_MAX ? null : some;
}

/** A word that contains another adds nothing. */
function withoutLonger(words: readonly string[]): readonly string[] {
  const kept = words.filter((word) => !words.some((other) => other !== word && word.includes(other)));
  return kept.sort();
}

function better(one: readonly string[] | null, other: readonly string[] | null): readonly string[] | null {
  if (one === null || other === null) return one ?? other;
  return frequency(other) < frequency(one) ? other : one;
}

/** How often ordinary values have one of the words, roughly, for each byte of theirs. */
function frequency(words: readonly string[]): number {
  let sum = 0;
  for (const word of words) {
    let chance = 1;
    for (let at = 0; at < word.length; at += 1) chance *= FREQUENCY[word.charCodeAt(at)]!;
    sum += chance;
  }
  return sum;
}

/** How often a byte is in URLs, headers and form fields, roughly: what to tell rare words from common ones by. */
const FREQUENCY: Float64Array = new Float64Array(256).fill(0.0005);
for (const [chars, share] of [
  ["etaoinsr", 0.06],
  ["lhdcump", 0.03],
  ["fgwybvk", 0.015],
  ["xjqz", 0.004],
  ["0123456789", 0.02],
  [" ./-", 0.02],
  ["=&,;:_+%", 0.008],
  ["()\"'?*", 0.003],
] as const) {
  for (const char of chars) FREQUENCY[char.charCodeAt(0)] = share;
}
