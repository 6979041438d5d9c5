// What to leave out of the rules of the firewall, as far as what it has refused tells: for each rule and what it
// matched in, how often on which route, and the lines that a configuration needs for it. Whether the requests were
// honest only people know.
import { WAF_TARGET } from "../config/schema-waf.ts";
import type { WafRecord } from "../pipeline/events.ts";

/** A rule that has matched. */
export interface RuleUse {
  readonly route: string;
  readonly rule: number;
  readonly message: string;
  /** `ARGS:q`, or "" where that is not known. */
  readonly variable: string;
  readonly value: string;
  readonly ip: string;
}

export interface Suggestion {
  readonly route: string;
  readonly rule: number;
  readonly message: string;
  readonly target: string;
  /** Requests in which it matched, and addresses that these came from. */
  readonly count: number;
  readonly clients: number;
  /** One of the values. */
  readonly example: string;
  /** What to write into `exclude`. */
  readonly exclude: { readonly rule: number; readonly target?: string };
  /** The same as a line of YAML. */
  readonly line: string;
}

/**
 * Rules that only add up what others have found, by their thousands and hundreds: leaving them out would turn off the
 * firewall.
 */
const SUMS = [949_000, 959_000, 980_000];
const STARTER_SUM = 9909;
const addsUp = (id: number): boolean =>
  SUMS.some((from) => id >= from && id < from + 1000) || Math.floor(id / 100) === STARTER_SUM;
/** Groups that are kept apart; a scanner makes a name of its own for each request. */
const GROUPS_MAX = 10_000;
const SHOWN_MAX = 100;
const ADDRESSES_MAX = 1000;

export const usesOfRecords = (records: readonly WafRecord[]): RuleUse[] =>
  records.flatMap(({ route, ip, matches }) =>
    matches.flatMap(({ rule, message, variable, variables, value }) =>
      (variables.length === 0 ? [variable] : variables).map((each) => {
        return { route, rule, message, variable: each, value: each === variable ? value : "", ip };
      }),
    ),
  );

/** What was used most comes first. */
export function suggestionsOf(uses: Iterable<RuleUse>): Suggestion[] {
  const groups = new Map<string, { use: RuleUse; count: number; ips: Set<string> }>();
  for (const use of uses) {
    if (addsUp(use.rule)) continue;
    const key = JSON.stringify([use.route, use.rule, use.variable]);
    const known = groups.get(key);
    if (known !== undefined) {
      known.count += 1;
      if (known.ips.size < ADDRESSES_MAX) known.ips.add(use.ip);
    } else if (groups.size < GROUPS_MAX) groups.set(key, { use, count: 1, ips: new Set([use.ip]) });
  }
  return [...groups.values()]
    .sort((a, b) => b.count - a.count || a.use.rule - b.use.rule)
    .slice(0, SHOWN_MAX)
    .map(({ use, count, ips }) => suggestionOf(use, count, ips.size));
}

function suggestionOf({ route, rule, message, variable, value }: RuleUse, count: number, clients: number): Suggestion {
  const target = isTarget(variable) ? variable : "";
  const exclude = target === "" ? { rule } : { rule, target };
  const line = target === "" ? `- ${rule}` : `- { rule: ${rule}, target: ${JSON.stringify(target)} }`;
  return { route, rule, message, target: variable, count, clients, example: value, exclude, line };
}

/** What a rule can leave out by its name; a name that is one of many (`ARGS:items.0.text`) is left to people. */
const isTarget = (variable: string): boolean => variable.includes(":") && WAF_TARGET.test(variable);

/** As people read it, with what to write into the configuration of each route. */
export function suggestionsText(suggestions: readonly Suggestion[]): string {
  if (suggestions.length === 0) return "nothing was refused, so there is nothing to leave out";
  const lines: string[] = [];
  for (const route of new Set(suggestions.map((each) => each.route))) {
    if (lines.length > 0) lines.push("");
    const own = suggestions.filter((each) => each.route === route);
    lines.push(
      `# route ${route === "" ? "(not said)" : route}: keep the lines of what honest clients send`,
      "exclude:",
    );
    for (const { line, message, count, clients, example, target } of own) {
      const from = `${count} ${count === 1 ? "request" : "requests"} of ${clients} ${clients === 1 ? "client" : "clients"}`;
      lines.push(`  ${line}  # ${from}: ${message}, in ${target} ${JSON.stringify(example.slice(0, 60))}`);
    }
  }
  return lines.join("\n");
}
