// The tokens of the value that is looked at, and what shapes of attacks ask of them.
import { SqlLexer } from "./sql-lexer.ts";
import { KIND } from "./sql-words.ts";

/** How many tokens are looked through for what has no fixed place. */
export const LOOK_AHEAD = 64;

// Detection never waits for anything, so all of a thread share one.
export const lexer = new SqlLexer();

export const isValue = (kind: number): boolean =>
  kind === KIND.number || kind === KIND.string || kind === KIND.variable || kind === KIND.name;

export const isSymbol = (at: number): boolean => lexer.kind(at) === KIND.logic && lexer.word(at) === "";

const isSign = (at: number): boolean => {
  if (lexer.kind(at) === KIND.not) return true;
  if (lexer.kind(at) !== KIND.operator) return false;
  const sign = lexer.slice(at);
  return sign === "-" || sign === "+";
};

export function skipOpens(from: number): number {
  let at = from;
  while (lexer.kind(at) === KIND.open || isSign(at)) at += 1;
  return at;
}

export function skipCloses(from: number): number {
  let at = from;
  while (lexer.kind(at) === KIND.close) at += 1;
  return at;
}

export const ends = (at: number): boolean => lexer.kind(at) === KIND.end || lexer.kind(at) === KIND.comment;

/** A weapon, or SELECT in a parenthesis. */
export function isSubquery(from: number): boolean {
  const at = skipOpens(from);
  if (lexer.kind(at) === KIND.weapon) return true;
  return at > from && lexer.kind(at) === KIND.statement && lexer.word(at) === "select";
}

/** A call with arguments, behind which a query could go on; programs go on otherwise. */
export function isFullCall(name: number): boolean {
  if (lexer.kind(name + 1) !== KIND.open || lexer.kind(name + 2) === KIND.close) return false;
  const after = behindCall(name);
  const kind = lexer.kind(after);
  if (ends(after) || kind === KIND.logic || kind === KIND.operator || kind === KIND.compare) return true;
  return kind === KIND.comma || kind === KIND.close;
}

/** Behind the parenthesis that ends a call, or at the end. */
export function behindCall(name: number): number {
  let depth = 0;
  for (let at = name + 1; ; at += 1) {
    const kind = lexer.kind(at);
    if (kind === KIND.end || kind === KIND.comment) return at;
    if (kind === KIND.open) depth += 1;
    else if (kind === KIND.close) depth -= 1;
    if (depth <= 0) return at + 1;
  }
}

export function hasWeapon(from: number): boolean {
  for (let at = from; at < from + LOOK_AHEAD && lexer.kind(at) !== KIND.end; at += 1)
    if (lexer.kind(at) === KIND.weapon || isSubquery(at)) return true;
  return false;
}

/** Whether FROM comes. */
export function selectsFrom(from: number): boolean {
  for (let at = from; at < from + LOOK_AHEAD && lexer.kind(at) !== KIND.end; at += 1)
    if (lexer.word(at) === "from") return true;
  return false;
}

/** Whether the string is the last thing, and open: the query's own quote ends it. It is a word, and no sentence. */
export function isOpenString(at: number): boolean {
  if (lexer.kind(at) !== KIND.string || lexer.kind(at + 1) !== KIND.end) return false;
  const text = lexer.slice(at);
  // Within the text's length it was ended, and the query's quote would begin another.
  if (lexer.end(at) <= lexer.start(at) + text.length || hasBlank(text)) return false;
  // `a '='` and `a '='.` end a sentence.
  return text.length === 1 ? !hasBlank(lexer.slice(0)) : beginsWord(text.charCodeAt(1));
}

/** A letter, a digit, or a mark that patterns begin with. */
const beginsWord = (code: number): boolean =>
  (code >= 0x30 && code <= 0x39) ||
  ((code | 0x20) >= 0x61 && (code | 0x20) <= 0x7a) ||
  code >= 0x80 ||
  code === 0x25 ||
  code === 0x5e;

export function hasBlank(text: string): boolean {
  for (let at = 0; at < text.length; at += 1) if (text.charCodeAt(at) <= 0x20) return true;
  return false;
}
