// All expressions of the Core Rule Set, as Debian packages it: they compile, and no input makes a long step.
import { expect, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { Rng } from "../../../core/fuzz.testing.ts";
import { parseSecLang } from "../seclang/parser.ts";
import { STEP_WORK, work } from "../work.ts";
import { hostileInputs } from "./hostile.testing.ts";
import { parsePattern } from "./parser.ts";
import { compileRegex, HIT, type Regex, WAITS } from "./regex.ts";
import { Scan } from "./scan.ts";

const FOLDER = "/usr/share/modsecurity-crs/rules";
const FLAGS = { ignoreCase: false, multiline: true, dotAll: true, extended: false, dollarEndOnly: false };
const LENGTH = 32_768;

function expressions(): Map<string, string> {
  const patterns = new Map<string, string>();
  for (const name of readdirSync(FOLDER)) {
    if (!name.endsWith(".conf")) continue;
    for (const statement of parseSecLang(name, readFileSync(`${FOLDER}/${name}`, "latin1"))) {
      if (statement.kind !== "rule" || statement.operator?.name !== "rx") continue;
      patterns.set(statement.operator.argument, `${name}:${statement.place.line}`);
    }
  }
  return patterns;
}

test("all expressions compile, and few are without literals", () => {
  const patterns = [...expressions().keys()];
  expect(patterns.length).toBeGreaterThan(150);
  const without = patterns.filter((pattern) => compileRegex(pattern, FLAGS).literals === null);
  expect(without.length).toBeLessThan(25);
});

/** What the longest of the steps that a search takes does, with what it captures; see Work. */
function longestStep(regex: Regex, input: string): number {
  const scan = new Scan();
  const captures = new Int32Array(20);
  let longest = 0;
  for (let found = WAITS; found === WAITS; ) {
    work.left = STEP_WORK;
    found = regex.search(input, scan);
    if (found === HIT) regex.capture(input, captures);
    longest = Math.max(longest, STEP_WORK - work.left);
  }
  return longest;
}

test("inputs made from each expression are searched in short steps", () => {
  const long: string[] = [];
  for (const [pattern, where] of expressions()) {
    const regex = compileRegex(pattern, FLAGS);
    const { tree } = parsePattern(pattern, FLAGS);
    for (const input of hostileInputs(tree, new Rng(7), LENGTH)) {
      const done = longestStep(regex, input);
      // A step ends a little late, and three readings for captures may follow, of a millisecond each.
      if (done > 2.5 * STEP_WORK) long.push(`${where}: ${done}`);
    }
  }
  expect(long).toEqual([]);
}, 30_000);
