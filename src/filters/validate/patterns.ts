// Expressions of schemas (`pattern`), tried in time that grows with the length of the text alone, whatever they are.
import type { PatternTester } from "../../engines/openapi/index.ts";
import { compileRegex, RegexError } from "../../engines/waf/regex/regex.ts";

/** Stands for all characters beyond ASCII, which an expression without any of them does not tell apart. */
const BEYOND = "\xff";
/** For expressions that the runtime has to try: what they may take grows with the square of this. */
const UNICODE_MAX = 2000;
/** Longer ones are made to be expensive. */
const PATTERN_MAX = 4096;

/**
 * The tester of an expression of ECMAScript. Those that speak of characters beyond ASCII are left to the runtime, where
 * they are so simple that they cannot take long. Throws RangeError for one that is none, or is not simple enough.
 */
export function patternTester(pattern: string): PatternTester {
  if (pattern.length > PATTERN_MAX) throw new RangeError(`the pattern is longer than ${PATTERN_MAX} characters`);
  const native = nativeOf(pattern);
  const bytes = inAscii(pattern);
  if (bytes === null) return unicodeTester(pattern, native);
  try {
    const regex = compileRegex(bytes, { dollarEndOnly: true });
    return { test: (text) => regex.test(toAscii(text)) };
  } catch (error) {
    if (error instanceof RegexError) throw new RangeError(`"${pattern}": ${error.message}`);
    throw error;
  }
}

/** JSON Schema has them with the flag `u`; many are written without it in mind. */
function nativeOf(pattern: string): RegExp {
  try {
    return new RegExp(pattern, "u");
  } catch {
    // Tried without.
  }
  try {
    return new RegExp(pattern);
  } catch (error) {
    throw new RangeError(`"${pattern}": ${(error as Error).message}`);
  }
}

/** Characters that are written as numbers become themselves; null where one is not ASCII, or a property is named. */
function inAscii(pattern: string): string | null {
  let made = "";
  let inClass = false;
  for (let at = 0; at < pattern.length; at += 1) {
    const char = pattern[at]!;
    if (char > "\x7f") return null;
    if (char === "[" && !inClass) inClass = true;
    else if (char === "]") inClass = false;
    else if (char === "[") made += "\\"; // a bracket in a class is itself, and begins nothing
    if (char === "." && !inClass) made += "[^\\n\\r]";
    else if (char !== "\\") made += char;
    else {
      const numbered = /^(?:u\{([0-9a-f]{1,6})\}|u([0-9a-f]{4})|x([0-9a-f]{2}))/i.exec(pattern.slice(at + 1));
      const next = pattern[at + 1] ?? "";
      if (numbered !== null) {
        const code = Number.parseInt(numbered[1] ?? numbered[2] ?? numbered[3] ?? "", 16);
        if (code > 0x7f) return null;
        made += `\\x${code.toString(16).padStart(2, "0")}`;
        at += numbered[0].length;
      } else if (/[pPkc]/.test(next) || next > "\x7f") return null;
      else {
        made += `\\${next}`;
        at += 1;
      }
    }
  }
  return made;
}

function toAscii(text: string): string {
  for (let at = 0; at < text.length; at += 1) {
    if (text.charCodeAt(at) > 0x7f) return text.replaceAll(/[^\x00-\x7f]/gu, BEYOND);
  }
  return text;
}

/** No group may be repeated, and one repetition alone may have no end: then the square of the length is the most. */
function unicodeTester(pattern: string, native: RegExp): PatternTester {
  const outside = pattern.replaceAll(/\\[pP]\{[^}]*\}|\\./gs, "a").replaceAll(/\[[^\]]*\]/g, "a");
  const endless = outside.match(/[*+]|\{\d+,\}/g)?.length ?? 0;
  if (endless > 1 || /\)(?:[*+]|\{)/.test(outside) || /\(\?/.test(outside) || /\\[1-9k]/.test(pattern))
    throw new RangeError(
      `"${pattern}": with characters beyond ASCII, a pattern has one endless repetition at most, and repeats no group`,
    );
  return { test: (text) => text.length <= UNICODE_MAX && native.test(text) };
}
