// Matching agrees with the engine's own RegExp and with the backtracker, and whatever matches has a required word.
// `bun src/engines/waf/regex/regex.fuzz.ts 182` replays one seed.
import { type Rng, runAlone } from "../../../core/fuzz.testing.ts";
import { Backtracker } from "./backtracker.ts";
import { HIT } from "./lazy-dfa.ts";
import { parsePattern } from "./parser.ts";
import { randomInput, randomPattern } from "./patterns.testing.ts";
import { compileProgram } from "./program.ts";
import { compileRegex } from "./regex.ts";
import { type RegexNode, widthOf } from "./syntax.ts";

export function regexLaw(rng: Rng): void {
  const text = randomPattern(rng);
  const flags = { ignoreCase: rng.oneIn(4), multiline: rng.oneIn(4), dollarEndOnly: true };
  const regex = compileRegex(text, flags);
  const { tree, groups } = parsePattern(text, { ...flags, dotAll: true, extended: false });
  const backtracker = new Backtracker(compileProgram(tree, groups));
  const oracle = oracleOf(text, `sd${flags.ignoreCase ? "i" : ""}${flags.multiline ? "m" : ""}`);
  const comparable = oracle === null ? 0 : comparableGroups(tree, groups);
  const captures = new Int32Array(groups * 2 + 2);
  const theirs = new Int32Array(groups * 2 + 2);
  for (let round = 0; round < 8; round += 1) {
    // RegExp finds a line behind a line feed that ends the text; PCRE does not.
    const input = flags.multiline ? randomInput(rng).replace(/\n+$/, "") : randomInput(rng);
    const where = `/${text}/ (${JSON.stringify(flags)}) on ${JSON.stringify(input)}`;
    const found = regex.exec(input, captures);
    if (regex.test(input) !== found) throw new Error(`${where}: test differs from exec`);
    if ((backtracker.find(input, theirs) === HIT) !== found)
      throw new Error(`${where}: the backtracker decides otherwise`);
    if (found) compare(captures, theirs, groups + 1, `${where}: backtracker`);
    if (oracle !== null && comparable > 0) {
      if (fromRegExp(oracle, input, theirs) !== found) throw new Error(`${where}: RegExp decides otherwise`);
      if (found) compare(captures, theirs, comparable, `${where}: RegExp`);
    }
    if (found && regex.literals !== null && !regex.literals.some((word) => input.toLowerCase().includes(word))) {
      throw new Error(`${where}: matches without ${regex.literals.join(" or ")}`);
    }
  }
}

/** RegExp has no atomic groups, and a group that took nothing is found again anywhere. */
function oracleOf(text: string, flags: string): RegExp | null {
  return text.includes("(?>") || text.includes("\\1") ? null : new RegExp(text, flags);
}

/**
 * How many groups must be the same as those of RegExp. It forgets at each round of a loop what groups have taken, where
 * PCRE does not; and it tries another way round where something that may be empty repeats, at times in error.
 */
function comparableGroups(tree: RegexNode, groups: number): number {
  let comparable = groups + 1;
  const visit = (node: RegexNode, repeats: boolean): void => {
    if (node.kind === "group" && repeats) comparable = Math.min(comparable, 1);
    if (node.kind === "repeat" && widthOf(node.item).min === 0) comparable = 0;
    if (node.kind === "sequence" || node.kind === "choice") for (const item of node.items) visit(item, repeats);
    else if ("item" in node) visit(node.item, repeats || node.kind === "repeat");
  };
  visit(tree, false);
  return comparable;
}

function compare(own: Int32Array, theirs: Int32Array, groups: number, where: string): void {
  for (let slot = 0; slot < groups * 2; slot += 1) {
    if (own[slot] !== theirs[slot]) throw new Error(`${where}: slot ${slot} is ${own[slot]}, not ${theirs[slot]}`);
  }
}

function fromRegExp(oracle: RegExp, input: string, captures: Int32Array): boolean {
  const indices = oracle.exec(input)?.indices;
  if (indices === undefined) return false;
  for (const [group, pair] of indices.entries()) captures.set(pair ?? [-1, -1], group * 2);
  return true;
}

if (import.meta.main) runAlone("regex", regexLaw);
