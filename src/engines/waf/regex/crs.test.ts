// All expressions of the Core Rule Set, as Debian packages it: they compile, and no input holds the event loop.
import { expect, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { Rng } from "../../../core/fuzz.testing.ts";
import { parseSecLang } from "../seclang/parser.ts";
import { hostileInputs } from "./hostile.testing.ts";
import { parsePattern } from "./parser.ts";
import { compileRegex } from "./regex.ts";

const FOLDER = "/usr/share/modsecurity-crs/rules";
const FLAGS = { ignoreCase: false, multiline: false, dotAll: true, extended: false, dollarEndOnly: false };
/** No value may hold the event loop longer. */
const MOST_MS = 5;
const LENGTH = 16_384;
/** What a match may cost where it costs most: a table look-up takes about 3 ns, and a new state about a microsecond. */
const TRIES = 8;

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

/** The least of some tries, in milliseconds: others run on this machine too. */
function timeOf(run: () => void): number {
  let least = Number.POSITIVE_INFINITY;
  for (let tries = 0; tries < TRIES && least > MOST_MS / 2; tries += 1) {
    const start = performance.now();
    run();
    least = Math.min(least, performance.now() - start);
  }
  return least;
}

test("all expressions compile, and few are without literals", () => {
  const patterns = [...expressions().keys()];
  expect(patterns.length).toBeGreaterThan(150);
  const without = patterns.filter((pattern) => compileRegex(pattern).literals === null);
  expect(without.length).toBeLessThan(25);
});

test("inputs made from each expression are searched in time", () => {
  const slow: string[] = [];
  const captures = new Int32Array(20);
  for (const [pattern, where] of expressions()) {
    const regex = compileRegex(pattern);
    const { tree } = parsePattern(pattern, FLAGS);
    for (const input of hostileInputs(tree, new Rng(7), LENGTH)) {
      const searching = timeOf(() => regex.test(input));
      const capturing = timeOf(() => regex.exec(input, captures));
      if (searching > MOST_MS || capturing > MOST_MS * 2) slow.push(`${where}: ${searching} ms, ${capturing} ms`);
    }
  }
  expect(slow).toEqual([]);
}, 30_000);
