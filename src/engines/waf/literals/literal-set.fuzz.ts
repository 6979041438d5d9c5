// Searching for many words at once finds what indexOf finds for each.
// `bun src/engines/waf/literals/literal-set.fuzz.ts 182` replays one seed.
import { type Rng, runAlone } from "../../../core/fuzz.testing.ts";
import { LiteralSet } from "./literal-set.ts";

function text(rng: Rng, letters: string, most: number): string {
  let made = "";
  for (let length = rng.below(most + 1); length > 0; length -= 1) made += letters[rng.below(letters.length)];
  return made;
}

/** Lower case of ASCII letters alone. */
const lower = (from: string): string => from.replace(/[A-Z]/g, (letter) => letter.toLowerCase());

export function literalSetLaw(rng: Rng): void {
  // Many different letters and long words make links instead of rows.
  const long = rng.oneIn(20);
  const letters = long
    ? "abcdefghijklmnopqrstuvwxyzABCXYZ0123456789/.-_ \xe9\xc9"
    : rng.pick(["ab", "aAbBc", "abc/\xe9\xc9"]);
  const count = long ? 300 + rng.below(300) : rng.below(12);
  const words = Array.from({ length: count }, () => text(rng, letters, long ? 14 : 4));
  const set = new LiteralSet(words);
  const owners = words.map(() => [rng.below(70), rng.below(70)]);
  const owned = new LiteralSet(words, owners);
  for (let round = 0; round < 4; round += 1) {
    const parts = [text(rng, letters, 12), ...words.slice(0, rng.below(4)), text(rng, letters, 30)];
    const input = parts.map((part) => (rng.oneIn(2) ? part.slice(rng.below(3)) : part.toUpperCase())).join("");
    const latin = input.replace(/[^\0-\xff]/g, "?");
    const present = words.map((word) => word !== "" && lower(latin).includes(lower(word)));
    const bits = new Uint32Array(Math.ceil(words.length / 32));
    const any = set.mark(latin, bits);
    const found = set.find(latin);
    const where = `${JSON.stringify(words.slice(0, 12))} in ${JSON.stringify(latin)}`;
    if (found < 0 ? present.includes(true) : present[found] !== true) throw new Error(`${where}: found ${found}`);
    if (any !== present.includes(true)) throw new Error(`${where}: says ${any}`);
    const marks = new Uint32Array(4);
    owned.mark(latin, marks, 1);
    const expected = new Set(owners.filter((_, index) => present[index]).flat());
    for (let bit = 0; bit < 96; bit += 1) {
      const is = (marks[1 + (bit >>> 5)]! >>> (bit & 31)) & 1;
      if (is !== (expected.has(bit) ? 1 : 0)) throw new Error(`${where}: bit ${bit} of an owner`);
    }
    for (const [index, is] of present.entries()) {
      if (((bits[index >>> 5]! >>> (index & 31)) & 1) !== (is ? 1 : 0)) throw new Error(`${where}: bit ${index}`);
    }
  }
}

if (import.meta.main) runAlone("literal-set", literalSetLaw);
