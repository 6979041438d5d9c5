// What the schema found wrong, in sentences: which key, what must be there, what is there instead.
import type { z } from "zod";
import { type ConfigPath, type Problem, problem } from "./diagnostic.ts";
import { descriptionAt, schemasAt } from "./json-schema.ts";
import { type Config, configSchema } from "./schema.ts";
import { suggest } from "./suggest.ts";

type Issue = z.core.$ZodIssue;

const KEYS_LISTED_MAX = 14;
const SHOWN_TEXT_MAX = 40;

/** The checked configuration, or why it has not the right shape. */
export function checkShape(input: unknown): { config: Config } | { problems: Problem[] } {
  const result = configSchema.safeParse(input);
  if (result.success) return { config: result.data };
  return { problems: result.error.issues.flatMap((issue) => describe(issue, [], input)) };
}

/** What is wrong with policies that stand elsewhere than in a route, as if they were those of one. */
export function partProblems(issues: readonly Issue[], input: unknown): Problem[] {
  const whole = { routes: [input] };
  return issues
    .flatMap((issue) => describe(issue, ["routes", 0], whole))
    .map((one) => ({ ...one, path: one.path.slice(2) }));
}

function describe(issue: Issue, base: ConfigPath, input: unknown): Problem[] {
  const path = [...base, ...(issue.path as (string | number)[])];
  const found = valueAt(input, path);
  const name = nameOf(path);
  switch (issue.code) {
    case "unrecognized_keys":
      return issue.keys.map((key) => unknownKey(path, key));
    case "invalid_union":
      return describeUnion(issue.errors as Issue[][], path, input);
    case "invalid_type":
    case "invalid_value":
      return [wrongKind(path, found, expectedBy(issue, path))];
    case "too_small":
      if (issue.origin === "string" && Number(issue.minimum) > 1) return [problem(path, `${name}: ${issue.message}`)];
      if (issue.origin === "string" || (Number(issue.minimum) === 1 && issue.origin === "array"))
        return [problem(path, `${name} must not be empty`)];
      return [problem(path, `${name} must ${bound(issue.origin, "at least", Number(issue.minimum), found)}`)];
    case "too_big":
      return [problem(path, `${name} must ${bound(issue.origin, "at most", Number(issue.maximum), found)}`)];
    default:
      return [problem(path, `${name}: ${issue.message}`)];
  }
}

function bound(origin: string, which: string, limit: number, found: unknown): string {
  if (origin === "array") return `have ${which} ${limit} items, not ${Array.isArray(found) ? found.length : 0}`;
  return `be ${which} ${limit}, not ${show(found)}`;
}

/** Speaks of the branch that fits the kind of what was written; of all of them when none does. */
function describeUnion(branches: readonly Issue[][], path: ConfigPath, input: unknown): Problem[] {
  let best: Issue[][] = [];
  let bestDepth = -1;
  for (const branch of branches) {
    const depth = firstWrongKind(branch, path, input);
    if (depth > bestDepth) {
      best = [branch];
      bestDepth = depth;
    } else if (depth === bestDepth) best.push(branch);
  }
  const fits = best[0] ?? [];
  const alike = best.filter(
    (branch) => branch[0] !== undefined && isWrongKind(branch[0], path, input) && samePath(branch[0], fits[0]),
  );
  if (alike.length > 1) {
    const where = [...path, ...((fits[0]?.path ?? []) as (string | number)[])];
    return [wrongKind(where, valueAt(input, where), oneOf(alike.flatMap((branch) => expectedBy(branch[0]!, where))))];
  }
  return fits.flatMap((issue) => describe(issue, path, input));
}

function samePath(a: Issue, b: Issue | undefined): boolean {
  return JSON.stringify(a.path) === JSON.stringify(b?.path);
}

/** How deep in the value the first part of a wrong kind stands; infinitely deep when there is none. */
function firstWrongKind(branch: readonly Issue[], path: ConfigPath, input: unknown): number {
  const depths = branch.filter((issue) => isWrongKind(issue, path, input)).map((issue) => issue.path.length);
  return Math.min(Number.POSITIVE_INFINITY, ...depths);
}

function isWrongKind(issue: Issue, base: ConfigPath, input: unknown): boolean {
  if (issue.code === "invalid_union") {
    // Whether all the branches of an inner union stumble over the value itself.
    const inner = [...base, ...(issue.path as (string | number)[])];
    return (issue.errors as Issue[][]).every((branch) => firstWrongKind(branch, inner, input) === 0);
  }
  if (issue.code === "invalid_value") return true;
  // What is missing says nothing about which branch was meant.
  return (
    issue.code === "invalid_type" && valueAt(input, [...base, ...(issue.path as (string | number)[])]) !== undefined
  );
}

function unknownKey(path: ConfigPath, key: string): Problem {
  const known = schemasAt(path).flatMap((node) => Object.keys(node.properties ?? {}));
  const near = suggest(key, known);
  const where = path.length === 0 ? "" : ` in ${nameOf(path)}`;
  const list = known.length <= KEYS_LISTED_MAX ? `the keys here are ${listed(known, "and")}` : undefined;
  return problem(
    [...path, key],
    `unknown key "${key}"${where}`,
    near === null ? list : `did you mean "${near}"?`,
    "key",
  );
}

function wrongKind(path: ConfigPath, found: unknown, expected: string): Problem {
  const name = nameOf(path);
  if (found === undefined) return problem(path, `${name} is missing`, descriptionAt(path) ?? `it must be ${expected}`);
  if (found === null) return problem(path, `${name} has no value: it must be ${expected}`);
  return problem(path, `${name} must be ${expected}, not ${show(found)}`, instead(path, found));
}

/** What to write in place of a value of the wrong kind. */
function instead(path: ConfigPath, found: unknown): string | undefined {
  const allowed = schemasAt(path);
  const units = allowed.find((node) => node.pattern !== undefined && node.examples !== undefined);
  if (typeof found === "number" && units !== undefined)
    return `write it with a unit, such as ${String(units.examples?.[0])}`;
  if (typeof found === "number" && path[path.length - 1] === "address") return `write ":${found}"`;
  const takesText = allowed.some(
    (node) => node.type === "string" && node.enum === undefined && node.const === undefined,
  );
  if ((typeof found === "number" || typeof found === "boolean") && takesText) return `write it in quotes: "${found}"`;
  const takesList = allowed.some((node) => node.type === "array");
  if (takesList && allowed.length === 1) return "a list is written [a, b], or one item on each line behind a -";
  const takesNumber = allowed.some((node) => node.type === "integer" || node.type === "number");
  if (typeof found === "number" && allowed.some((node) => [node.const, ...(node.enum ?? [])].includes(String(found))))
    return `write it in quotes: "${found}"`;
  if (typeof found !== "string") return undefined;
  const truth = /^(?:true|yes|on)$/i.test(found) ? true : /^(?:false|no|off)$/i.test(found) ? false : null;
  const takesTruth = allowed.some((node) => node.type === "boolean" && (node.const ?? truth) === truth);
  if (truth !== null && takesTruth) return `write ${truth} without quotes`;
  if (takesNumber && /^-?\d+$/.test(found)) return `write ${found} without quotes`;
  if (allowed.some((node) => node.properties?.[found]?.type === "boolean")) return `write { ${found}: true }`;
  const words = allowed
    .flatMap((node) => node.enum ?? (node.const === undefined ? [] : [node.const]))
    .filter((word) => typeof word === "string");
  const near = suggest(found, words);
  return near === null ? undefined : `did you mean "${near}"?`;
}

const KINDS: Readonly<Record<string, string>> = {
  string: "a text",
  number: "a number",
  int: "a whole number",
  boolean: "true or false",
  array: "a list",
  tuple: "a list",
  object: "a mapping of keys to values",
  record: "a mapping of names to values",
};

function expectedBy(issue: Issue, path: ConfigPath): string {
  if (issue.code === "invalid_value") return oneOf(issue.values.map((value) => String(value)));
  if (issue.code === "invalid_union")
    return oneOf(
      (issue.errors as Issue[][]).flatMap((branch) => branch.slice(0, 1).map((inner) => expectedBy(inner, path))),
    );
  if (issue.code !== "invalid_type") return issue.message;
  const unit = schemasAt(path).find((node) => node.pattern !== undefined && node.title !== undefined)?.title;
  if (issue.expected === "string" && unit !== undefined) return `a ${unit}`;
  return KINDS[issue.expected] ?? issue.expected;
}

function oneOf(options: readonly string[]): string {
  return listed([...new Set(options)], "or");
}

function listed(words: readonly string[], joint: "and" | "or"): string {
  return words.length < 2 ? words.join("") : `${words.slice(0, -1).join(", ")} ${joint} ${words[words.length - 1]}`;
}

/** The last key of the path, with the list indexes behind it. */
function nameOf(path: ConfigPath): string {
  let at = path.length - 1;
  while (at > 0 && typeof path[at] === "number") at -= 1;
  const key = path[at];
  if (key === undefined) return "the configuration";
  return `${key}${path
    .slice(at + 1)
    .map((index) => `[${index}]`)
    .join("")}`;
}

function show(value: unknown): string {
  if (typeof value === "string")
    return `the text ${JSON.stringify(value.length > SHOWN_TEXT_MAX ? `${value.slice(0, SHOWN_TEXT_MAX)}…` : value)}`;
  if (Array.isArray(value)) return "a list";
  if (typeof value === "object" && value !== null) return "a mapping";
  if (typeof value === "number") return `the number ${value}`;
  return typeof value === "function" ? "a function" : String(value);
}

function valueAt(input: unknown, path: ConfigPath): unknown {
  let value = input;
  for (const part of path) {
    if (typeof value !== "object" || value === null || !Object.hasOwn(value, part)) return undefined;
    value = (value as Record<string | number, unknown>)[part];
  }
  return value;
}
