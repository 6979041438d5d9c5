// Statements and unions: what databases are told, and sentences that begin with the same words.
import { behindCall, ends, hasWeapon, lexer, selectsFrom, skipOpens } from "./sql-tokens.ts";
import { KIND } from "./sql-words.ts";

/** What the injected part follows: how sure one can be that a query is meant. */
export const BARE = 0;
export const NUMERIC = 1;
export const QUOTED = 2;
export type Base = typeof BARE | typeof NUMERIC | typeof QUOTED;

/** What objects of a database can be made and dropped. */
const OBJECTS: ReadonlySet<string> = new Set(
  "table database schema view index user role function trigger procedure column login sequence".split(" "),
);

/** UNION [ALL] SELECT, also within a parenthesis. */
export function union(at: number, base: Base): boolean {
  let next = at + 1;
  if (lexer.word(next) === "all" || lexer.word(next) === "distinct") next += 1;
  const select = skipOpens(next);
  const word = lexer.word(select);
  if (word === "values" || word === "table")
    return base === QUOTED && (lexer.kind(select + 1) === KIND.open || lexer.kind(select + 1) === KIND.name);
  if (word !== "select") return false;
  return base === QUOTED || isSelection(select + 1, base);
}

/** Whether what follows SELECT is a list of what databases select, and not a sentence. */
function isSelection(from: number, base: Base): boolean {
  let at = from;
  const first = lexer.word(at);
  if (first === "all" || first === "distinct" || first === "top") at += 1;
  const kind = lexer.kind(at);
  if (kind === KIND.weapon || kind === KIND.variable || kind === KIND.open || kind === KIND.string) return true;
  if (kind === KIND.operator) return lexer.slice(at) === "*";
  const next = lexer.kind(at + 1);
  const goesOn = next === KIND.comma || next === KIND.union || lexer.word(at + 1) === "from";
  if (kind === KIND.number) return goesOn || ends(at + 1) || next === KIND.close || next === KIND.semicolon;
  if (kind === KIND.call) return lexer.isCommonCall(at) || lexer.word(behindCall(at)) === "from";
  if (ends(at)) return base === NUMERIC;
  if (kind !== KIND.name) return false;
  return base === BARE ? next === KIND.comma && selectsFrom(at) : goesOn || (base === NUMERIC && ends(at + 1));
}

/** Whether the subquery that begins here selects what sentences do not. */
export function selectsValue(from: number): boolean {
  const at = skipOpens(from);
  return lexer.kind(at) === KIND.weapon || lexer.word(at + 1) === "case" || isSelection(at + 1, BARE);
}

/** A statement that begins here, as databases have it; sentences may begin with the same words. */
export function statement(at: number, base: Base): boolean {
  const next = lexer.word(at + 1);
  switch (lexer.word(at)) {
    case "select":
      return isSelection(at + 1, base) && (base !== BARE || isWhole(at));
    case "insert":
    case "replace":
      return next === "into" && (lexer.kind(at + 3) === KIND.open || lexer.word(at + 3) === "values");
    case "delete":
      return next === "from" && (lexer.word(at + 3) === "where" || (base !== BARE && ends(at + 3)));
    case "update":
      return lexer.word(at + 2) === "set" && lexer.kind(at + 4) === KIND.compare;
    case "drop":
    case "create":
    case "alter":
    case "truncate":
      return OBJECTS.has(next) && (base !== BARE || ends(at + 3) || lexer.kind(at + 3) === KIND.semicolon);
    case "exec":
    case "execute":
      return runsProgram(at + 1);
    case "declare":
    case "set":
      return lexer.kind(at + 1) === KIND.variable && lexer.kind(at + 2) !== KIND.end;
    case "begin":
      return base !== BARE && lexer.kind(at + 1) === KIND.statement;
    case "waitfor":
      return next === "delay" || next === "time";
    case "shutdown":
      return base !== BARE && (ends(at + 1) || lexer.kind(at + 1) === KIND.semicolon || next === "with");
    case "call":
    case "copy":
    case "handler":
    case "attach":
    case "load":
    case "if":
    case "while":
      return base !== BARE && (lexer.kind(at + 1) === KIND.open || hasWeapon(at + 1));
    default:
      return false;
  }
}

/** Whether a SELECT that nothing stands before is one: it has FROM, a weapon, or ends where a query does. */
function isWhole(select: number): boolean {
  const kind = lexer.kind(select + 1);
  return (
    kind === KIND.weapon || kind === KIND.variable || kind === KIND.call || selectsFrom(select) || hasWeapon(select)
  );
}

function runsProgram(at: number): boolean {
  const kind = lexer.kind(at);
  if (kind === KIND.variable || kind === KIND.weapon) return true;
  if (kind === KIND.open) return lexer.kind(at + 1) === KIND.string || lexer.kind(at + 1) === KIND.variable;
  const name = lexer.slice(at).toLowerCase();
  return name.startsWith("xp_") || name.startsWith("sp_") || name.startsWith("master.") || name.includes(".xp_");
}
