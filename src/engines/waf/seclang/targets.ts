// The first word of a SecRule: variables, what is left out of them, and what is only counted.
import { type Place, SecLangError } from "./error.ts";
import type { Selector, TargetSyntax } from "./syntax.ts";

const NAME = /[A-Za-z0-9_]/;

/**
 * Reads `ARGS|!ARGS:/^x/|&REQUEST_HEADERS:Host`. A comma separates as well, as older rules have it.
 *
 * @param place of a character by its offset in `text`, for errors
 */
export function parseTargets(text: string, place: (offset: number) => Place): TargetSyntax[] {
  const targets: TargetSyntax[] = [];
  let at = 0;
  while (at < text.length) {
    const start = at;
    let mode: TargetSyntax["mode"] = "take";
    if (text[at] === "!") mode = "except";
    else if (text[at] === "&") mode = "count";
    if (mode !== "take") at += 1;
    const nameAt = at;
    while (at < text.length && NAME.test(text[at]!)) at += 1;
    if (at === nameAt) throw new SecLangError(place(at), "the name of a variable is expected here");
    const variable = text.slice(nameAt, at).toUpperCase();
    let selector: Selector | null = null;
    if (text[at] === ":" || text[at] === ".") {
      const end = selectorEnd(text, at + 1, place);
      selector = selectorOf(text.slice(at + 1, end), variable);
      at = end;
    }
    targets.push({ mode, variable, selector, place: place(start) });
    if (at < text.length) {
      if (text[at] !== "|" && text[at] !== ",") {
        throw new SecLangError(place(at), `"|" is expected between variables, not ${JSON.stringify(text[at])}`);
      }
      at += 1;
    }
  }
  if (targets.length === 0) throw new SecLangError(place(0), "a rule needs at least one variable");
  return targets;
}

/** XPath expressions begin with a slash too, and are no regular expressions. */
function selectorOf(text: string, variable: string): Selector {
  let inner = text;
  if (inner.length >= 2 && inner.startsWith("'") && inner.endsWith("'")) inner = inner.slice(1, -1);
  if (variable !== "XML" && inner.length >= 2 && inner.startsWith("/") && inner.endsWith("/")) {
    return { kind: "regex", source: inner.slice(1, -1).replaceAll("\\/", "/") };
  }
  return { kind: "name", name: variable === "XML" ? inner : inner.toLowerCase() };
}

function selectorEnd(text: string, from: number, place: (offset: number) => Place): number {
  const first = text[from];
  if (first === "'") {
    const end = unescaped(text, "'", from + 1);
    if (end < 0) throw new SecLangError(place(from), "this ' is not closed; add the missing quote");
    return end + 1;
  }
  if (first === "/") {
    // A closing slash counts only where the variable ends: XPath (`/*`, `//@*`) has slashes but no closing one.
    for (let end = unescaped(text, "/", from + 1); end >= 0; end = unescaped(text, "/", end + 1)) {
      if (end + 1 === text.length || text[end + 1] === "|" || text[end + 1] === ",") return end + 1;
    }
  }
  let end = from;
  while (end < text.length && text[end] !== "|" && text[end] !== ",") end += 1;
  return end;
}

function unescaped(text: string, mark: string, from: number): number {
  let at = from;
  while (at < text.length && text[at] !== mark) at += text[at] === "\\" ? 2 : 1;
  return at < text.length ? at : -1;
}
