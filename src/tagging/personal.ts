// What is personal in a text, as a route's configuration has it.
import type { PrivacyConfig } from "../config/schema-tagging.ts";
import { findSensitive } from "../engines/llm/sensitive.ts";
import type { Finder } from "../engines/tagging/privacy/scrub.ts";
import { compilePattern, matchesOf } from "../engines/waf/regex/patterns.ts";

interface Place {
  readonly from: number;
  readonly to: number;
}

/** Throws RangeError for an expression that cannot be used. */
export function finderOf({ redact, patterns }: Pick<PrivacyConfig, "redact" | "patterns">): Finder {
  const kinds = new Set(redact);
  if (patterns.length === 0) return (text) => findSensitive(text, kinds);
  const own = patterns.map((pattern) => compilePattern(pattern));
  return (text) => {
    const found: Place[] = [...findSensitive(text, kinds)];
    for (const pattern of own) for (const [from, to] of matchesOf(pattern, text)) found.push({ from, to });
    return united(found);
  };
}

/** In their order, those that overlap as one. */
function united(places: readonly Place[]): Place[] {
  const all: { from: number; to: number }[] = [];
  for (const { from, to } of places.toSorted((a, b) => a.from - b.from)) {
    const last = all.at(-1);
    if (last === undefined || from >= last.to) all.push({ from, to });
    else last.to = Math.max(last.to, to);
  }
  return all;
}
