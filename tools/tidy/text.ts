// What linters do not see: sizes, calls that belong in one place, words that are left over, the form of decisions.

const FILE_LINES_MAX = 500;
const LINE_MAX = 120;
/** A line may be longer when one string makes it so: breaking sentences and test data apart helps nobody. */
const LINE_MAX_BESIDE_STRING = 90;
const LONGEST_STRING = /"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|`(?:[^`\\]|\\.)*`|\/(?:[^/\\\n]|\\.)+\/[a-z]*|https?:\S+/g;

interface BannedCall {
  readonly pattern: RegExp;
  readonly why: string;
  /** Beginnings of paths where the call may stand. */
  readonly allowed: readonly string[];
}

const TIME: readonly string[] = ["src/core/clock.ts", "src/core/timers.ts", "src/observe/", "src/control/", "src/cli/"];

/** In src/ only; tests, tools and benchmarks may do as they like. */
const BANNED: readonly BannedCall[] = [
  {
    pattern: /\bDate\.now\(|\bnew Date\(\)/,
    why: "take the time from core/clock.ts, or as an argument",
    allowed: TIME,
  },
  { pattern: /\bperformance\.now\(/, why: "take the time from core/clock.ts, or as an argument", allowed: TIME },
  {
    pattern: /\bMath\.random\(/,
    why: "take the source of chance as an argument",
    allowed: ["src/control/", "src/cli/"],
  },
  { pattern: /\bBun\.(?:listen|connect)\(/, why: "only src/transport/ touches sockets", allowed: ["src/transport/"] },
];

// Written so that this file does not find itself.
const LEFTOVER = /\b(?:FIX(?:ME)|XX(?:X)|TO(?:DO)|HA(?:CK))\b/;
const MACHINE_PATH = /(?:^|[\s"'`(=:])\/(?:work|root|home|Users)\/[\w.-]/;
const REGISTRY = /\bregistry\.[a-z0-9-]+\.(?:com|dev|io|net|org)\b|\/\/npm\.[a-z]/;

const isTest = (path: string): boolean => /\.(?:test|fuzz|testing)\.ts$/.test(path) || path.startsWith("test/");

/**
 * The problems of one file, as `path:line: text`. Sizes are free in tests, whose tables read best unbroken, and in
 * generated files, which have `.generated.` in their names.
 */
export function textProblems(path: string, text: string): string[] {
  const problems: string[] = [];
  const lines = text.split("\n");
  const isCode = path.endsWith(".ts");
  const isExempt = isTest(path) || path.includes(".generated.");
  if (isCode && !isExempt && lines.length > FILE_LINES_MAX + 1) {
    problems.push(`${path}: ${lines.length - 1} lines; ${FILE_LINES_MAX} is the most`);
  }
  lines.forEach((line, index) => {
    const at = `${path}:${index + 1}`;
    if (isCode && !isExempt && isTooLong(line))
      problems.push(`${at}: ${line.length} characters; ${LINE_MAX} is the most`);
    if (LEFTOVER.test(line)) problems.push(`${at}: a leftover note; do it, or write an issue`);
    if (MACHINE_PATH.test(line)) problems.push(`${at}: a path of one machine`);
    if (REGISTRY.test(line)) problems.push(`${at}: the host of a package registry`);
    if (path.startsWith("src/") && !isTest(path)) problems.push(...callProblems(path, at, line));
  });
  return problems;
}

function isTooLong(written: string): boolean {
  const line = written.replace(/\\([`$])/g, "$1"); // pages in template literals: as they come out
  if (line.length <= LINE_MAX) return false;
  const longest = Math.max(0, ...[...line.matchAll(LONGEST_STRING)].map(([found]) => found.length));
  return line.length - longest > LINE_MAX_BESIDE_STRING;
}

function callProblems(path: string, at: string, line: string): string[] {
  if (/^\s*(?:\/\/|\/?\*)/.test(line)) return [];
  return BANNED.filter(
    ({ pattern, allowed }) => pattern.test(line) && !allowed.some((each) => path.startsWith(each)),
  ).map(({ pattern, why }) => `${at}: ${pattern.exec(line)?.[0] ?? ""} – ${why}`);
}

const SECTIONS = ["## Context", "## Decision", "## Consequences", "## Revisit when"];

/** docs/decisions/0007-title.md: a title with the number of its file, and the four sections in order. */
export function decisionProblems(path: string, text: string): string[] {
  const number = /(?:^|\/)(\d{4})-[a-z0-9-]+\.md$/.exec(path)?.[1];
  if (number === undefined) return [`${path}: the name must read like 0007-own-http2-engine.md`];
  const problems = text.startsWith(`# ${number} `) ? [] : [`${path}: the title must read "# ${number} …"`];
  let from = 0;
  for (const section of SECTIONS) {
    const at = text.indexOf(`\n${section}\n`, from);
    if (at < 0) problems.push(`${path}: no "${section}" in its place`);
    else from = at + 1;
  }
  return problems;
}
