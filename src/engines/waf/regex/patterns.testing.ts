// Random patterns and inputs for them, from a small alphabet so that they match often.
import type { Rng } from "../../../core/fuzz.testing.ts";

const ATOMS: readonly string[] = [
  "a",
  "b",
  "c",
  "A",
  " ",
  "_",
  "1",
  "-",
  "\\n",
  ".",
  "[ab]",
  "[^a]",
  "\\d",
  "\\w",
  "\\W",
];
const MORE_ATOMS: readonly string[] = ["\\s", "\\S", "\\D", "[a-c1]", "[^\\w]", "\\x61", "[\\d_-]", "abc", "ab"];
const PLACES: readonly string[] = ["^", "$", "\\b", "\\B"];
const ONE_BYTE_LOOKS: readonly string[] = ["(?=a)", "(?!b)", "(?<=[ab])", "(?<!\\w)", "(?=[^b])"];
/** Looking ahead, and a group that is not tried in another way. */
const LOOKS: readonly string[] = ["=", "!", ">"];
const REPEATS: readonly string[] = ["*", "+", "?", "{2}", "{1,3}", "{0,2}", "{2,}"];

/** A pattern that RegExp understands in the same way, but for atomic groups and references to groups that took nothing. */
export function randomPattern(rng: Rng): string {
  return choice(rng, 3);
}

function choice(rng: Rng, depth: number): string {
  const branches = rng.oneIn(3) ? 1 + rng.below(3) : 1;
  return Array.from({ length: branches }, () => branch(rng, depth)).join("|");
}

function branch(rng: Rng, depth: number): string {
  let text = "";
  for (let items = rng.below(4) + (depth === 3 ? 1 : 0); items > 0; items -= 1) text += item(rng, depth);
  return text;
}

function item(rng: Rng, depth: number): string {
  if (rng.oneIn(9)) return rng.pick(PLACES);
  if (rng.oneIn(14)) return rng.pick(ONE_BYTE_LOOKS);
  if (depth > 0 && rng.oneIn(40)) return `(?${rng.pick(LOOKS)}${choice(rng, depth - 1)})`;
  if (rng.oneIn(60)) return `(${choice(rng, 0)})${rng.pick(ATOMS)}\\1`;
  const repeat = rng.oneIn(3) ? rng.pick(REPEATS) + (rng.oneIn(3) ? "?" : "") : "";
  if (depth === 0 || rng.below(3) > 0) return group(rng.pick(rng.oneIn(3) ? MORE_ATOMS : ATOMS), repeat);
  return `(${rng.oneIn(2) ? "" : "?:"}${choice(rng, depth - 1)})${repeat}`;
}

const group = (atom: string, repeat: string): string =>
  repeat !== "" && /^[ab]{2}/.test(atom) ? `(?:${atom})${repeat}` : atom + repeat;

const BYTES = "aaabbbccAB  __11--\n\nz\xe9";

/** A short input; now and then one that is longer than a block of the capture finder would be small. */
export function randomInput(rng: Rng): string {
  let text = "";
  for (let length = rng.below(rng.oneIn(20) ? 60 : 14); length > 0; length -= 1) text += BYTES[rng.below(BYTES.length)];
  return text;
}
