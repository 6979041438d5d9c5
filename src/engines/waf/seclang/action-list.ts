// The actions of a rule: `id:1,phase:2,msg:'a, b',setvar:tx.a=1`.
import { type Place, SecLangError } from "./error.ts";
import type { ActionSyntax } from "./syntax.ts";

const isBlank = (text: string): boolean => text === " " || text === "\t" || text === "\n";

/**
 * Splits a list of actions at its commas. A value may be wrapped in single quotes, in which `\'` is a quote.
 *
 * @param place of a character by its offset in `text`, for errors
 */
export function parseActions(text: string, place: (offset: number) => Place): ActionSyntax[] {
  const actions: ActionSyntax[] = [];
  let at = 0;
  for (;;) {
    while (at < text.length && (isBlank(text[at]!) || text[at] === ",")) at += 1;
    if (at >= text.length) return actions;
    const start = at;
    while (at < text.length && text[at] !== ":" && text[at] !== ",") at += 1;
    const name = text.slice(start, at).trim().toLowerCase();
    if (name === "") throw new SecLangError(place(start), "the name of an action is expected before the colon");
    let value = "";
    if (text[at] === ":") {
      const end = valueEnd(text, at + 1, place);
      value = unquoted(text.slice(at + 1, end).trim());
      at = end;
    }
    actions.push({ name, value, place: place(start) });
  }
}

/** A quote opens at the beginning of a value, or after `=` as in `setvar:tx.a='b, c'`. */
function valueEnd(text: string, from: number, place: (offset: number) => Place): number {
  let at = from;
  let last = ":";
  while (at < text.length && text[at] !== ",") {
    const char = text[at]!;
    if (char === "'" && (last === ":" || last === "=")) {
      const open = at;
      at += 1;
      while (at < text.length && text[at] !== "'") at += text[at] === "\\" ? 2 : 1;
      if (at >= text.length) throw new SecLangError(place(open), "this ' is not closed; add the missing quote");
    }
    if (!isBlank(char)) last = char;
    at += 1;
  }
  return at;
}

function unquoted(value: string): string {
  const inner = value.length >= 2 && value.startsWith("'") && value.endsWith("'") ? value.slice(1, -1) : value;
  return inner.replaceAll("\\'", "'");
}
