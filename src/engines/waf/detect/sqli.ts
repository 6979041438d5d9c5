// Finds SQL that a value would bring into a query. The value is read as it would stand there: by itself (where a number
// is expected), and within single and double quotes, which it ends. What follows the first value then has to have the
// shape of an attack: the shapes are the functions below. Natural text has none, and is mostly left at its second word.
import { BARE, type Base, NUMERIC, QUOTED, selectsValue, statement, union } from "./sql-statements.ts";
import {
  behindCall,
  ends,
  hasBlank,
  hasWeapon,
  isFullCall,
  isOpenString,
  isSubquery,
  isSymbol,
  isValue,
  LOOK_AHEAD,
  lexer,
  selectsFrom,
  skipCloses,
  skipOpens,
} from "./sql-tokens.ts";
import { KIND } from "./sql-words.ts";

/** Steps of arithmetic that may stand between a value and the attack. */
const STEPS_MAX = 64;
const FINGERPRINT_MAX = 16;

const QUOTE = 0x22;
const APOSTROPHE = 0x27;

/** Bytes of which alone no attack can be made, without blanks between them. */
const PLAIN: Uint8Array = new Uint8Array(256).fill(1, 0x80);
for (const code of Buffer.from("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.:@/+-~%,$?[]{}"))
  PLAIN[code] = 1;
PLAIN[0xa0] = 0;

const isPlain = (input: string): boolean => {
  let at = 0;
  while (at < input.length && PLAIN[input.charCodeAt(at)] === 1) at += 1;
  return at === input.length;
};

/** Kinds of the tokens that an attack was found in, as letters; "" when there is none. */
export function detectSqli(input: string): string {
  if (isPlain(input)) return "";
  const found = look(input, 0, true) || inQuotes(input, "'", APOSTROPHE) || inQuotes(input, '"', QUOTE);
  return found || inNestedComment(input);
}

function inQuotes(input: string, mark: string, quote: number): string {
  const first = input.indexOf(mark);
  if (first < 0) return "";
  const found = look(input, quote, true);
  // Not every database takes a backslash for an escape.
  return found !== "" || input.charCodeAt(first - 1) !== 0x5c ? found : look(input, quote, false);
}

/**
 * Whether a comment begins within one: databases differ in where that ends, so nobody writes it but to be read
 * differently. What follows it has to look like SQL.
 */
function inNestedComment(input: string): string {
  const start = input.indexOf("/*");
  const end = start < 0 ? -1 : input.indexOf("*/", start + 2);
  if (end < 0 || !input.slice(start + 2, end + 1).includes("/*")) return "";
  const rest = input.slice(end + 2);
  if (look(rest, 0, true) !== "") return `X${lexer.fingerprint(FINGERPRINT_MAX)}`;
  lexer.begin(rest, 0, true);
  return lexer.kind(0) === KIND.number && lexer.kind(1) === KIND.union ? "X1U" : "";
}

/** Conditions that may still be looked at, so that a long row of them is no deep one. */
let conditionsLeft = 0;

function look(input: string, quote: number, escapes: boolean): string {
  if (!lexer.begin(input, quote, escapes)) return "";
  conditionsLeft = STEPS_MAX;
  const found = quote === 0 ? byItself() : tail(1, QUOTED, 0);
  return found ? lexer.fingerprint(FINGERPRINT_MAX) : "";
}

/** The value as it stands. */
function byItself(): boolean {
  const first = skipOpens(0);
  const kind = lexer.kind(first);
  switch (kind) {
    case KIND.number:
    case KIND.variable:
      return tail(first + 1, NUMERIC, first);
    case KIND.name:
    case KIND.string:
      return tail(first + 1, BARE, first);
    case KIND.close:
      return tail(first, NUMERIC, first);
    case KIND.weapon:
      return isFullCall(first);
    case KIND.call:
      return lexer.word(first) === "if" && hasWeapon(first);
    case KIND.statement:
      return statement(first, BARE);
    case KIND.keyword:
      return lexer.word(first) === "case" && lexer.word(first + 1) === "when" && condition(first + 2, BARE, 0);
    case KIND.union:
    case KIND.semicolon:
    case KIND.logic:
      return tail(first, BARE, first);
    default:
      return false;
  }
}

/** What follows a value and the parentheses that it closes. `opens` are those before it. */
function tail(from: number, base: Base, opens: number): boolean {
  let at = from;
  for (let steps = 0; steps < STEPS_MAX; steps += 1) {
    const closed = skipCloses(at);
    switch (lexer.kind(closed)) {
      case KIND.logic:
        if (condition(closed + 1, base, closed)) return true;
        if (!isSymbol(closed)) return false;
        break;
      case KIND.union:
        return union(closed, base);
      case KIND.semicolon:
        return stacked(closed + 1, base);
      case KIND.clause:
        return clause(closed, base);
      case KIND.comment:
        return comment(closed, base, closed - at > opens);
      case KIND.statement:
        return lexer.word(closed) === "waitfor" && statement(closed, base);
      case KIND.weapon:
        return base === QUOTED || closed > at;
      case KIND.comma:
        return isSubquery(closed + 1) && (base !== BARE || selectsValue(closed + 1));
      case KIND.operator:
      case KIND.compare:
      case KIND.not:
        break;
      default:
        return false;
    }
    const next = arithmetic(closed, base);
    if (next <= 0) return next === FOUND;
    at = next;
  }
  return false;
}

const FOUND = -1;
const NOTHING = 0;

/** An operator and what it is applied to: FOUND, NOTHING, or where to go on. */
function arithmetic(operator: number, base: Base): number {
  if (base === QUOTED && isBalanced(operator)) return FOUND;
  let at = operator + 1;
  while (lexer.kind(at) === KIND.not || lexer.kind(at) === KIND.compare) at += 1;
  if (isSubquery(at)) return base === BARE && lexer.kind(skipOpens(at)) === KIND.weapon ? bareWeapon(at) : FOUND;
  const operand = skipOpens(at);
  const kind = lexer.kind(operand);
  if (kind === KIND.call) return base !== BARE && lexer.isCommonCall(operand) ? FOUND : NOTHING;
  if (lexer.word(operand) === "case" && lexer.word(operand + 1) === "when") return FOUND;
  if (!isValue(kind)) return NOTHING;
  if (lexer.word(operator) === "collate") return operand + 1;
  if (lexer.kind(operator) === KIND.compare) {
    if (base !== QUOTED) return kind === KIND.name ? NOTHING : operand + 1;
    return comparedWith(operand) ? FOUND : operand + 1;
  }
  // `1' div '1`: what stands in both quotes is computed with.
  if (base === QUOTED && isOpenString(operand) && !hasBlank(lexer.slice(0))) return FOUND;
  return kind === KIND.name ? NOTHING : operand + 1;
}

/** After a name, a weapon counts with its arguments only: `a - sleep(5)`, and not `a -sleep`. */
const bareWeapon = (at: number): number => (isFullCall(skipOpens(at)) ? FOUND : NOTHING);

/** `'='x`, `' like 'a`, `'=0 --`: a comparison that follows a quote. */
function comparedWith(operand: number): boolean {
  const next = skipCloses(operand + 1);
  if (lexer.kind(next) === KIND.comment) return lexer.kind(operand) !== KIND.name && comment(next, QUOTED, false);
  if (lexer.kind(operand) === KIND.string) return isOpenString(operand);
  if (lexer.kind(operand) !== KIND.number) return false;
  if (isOpenString(next)) return lexer.slice(next).length === 1;
  if (lexer.kind(next) !== KIND.end) return false;
  return lexer.slice(operand) === "0" || lexer.slice(operand) === "1";
}

/** `' + … + '`: an operator behind the quote, and one before the quote that ends the value. */
function isBalanced(operator: number): boolean {
  let at = operator + 1;
  while (at < operator + LOOK_AHEAD && lexer.kind(at) !== KIND.end && lexer.kind(at) !== KIND.string) at += 1;
  if (lexer.kind(at) !== KIND.string || lexer.kind(at + 1) !== KIND.end) return false;
  if (lexer.slice(at).trim().length > 1 || hasBlank(lexer.slice(0))) return false;
  if (at === operator + 1) return lexer.end(0) <= 1;
  const first = lexer.kind(operator + 1);
  // Rows of operators are ornaments, a dash before a letter is an option, and a slash begins a path.
  if (first === KIND.operator || (first !== KIND.number && "-/".includes(lexer.slice(operator)))) return false;
  const before = lexer.kind(at - 1);
  if (before === KIND.operator) return lexer.kind(at - 2) !== KIND.operator;
  return before === KIND.compare || isSymbol(at - 1);
}

/** What stands behind AND, OR, HAVING or WHEN; `logic` is that word. */
function condition(from: number, base: Base, logic: number): boolean {
  conditionsLeft -= 1;
  if (conditionsLeft < 0) return false;
  const at = skipOpens(from);
  const kind = lexer.kind(at);
  if (kind === KIND.weapon) return base !== BARE || isFullCall(at);
  if (kind === KIND.statement) return lexer.word(at) === "select" && (at > from || selectsFrom(at));
  if (kind === KIND.keyword) return isTest(at);
  if (kind === KIND.call) return isTest(at) || calledCondition(at, base);
  if (!isValue(kind)) return false;
  if (kind === KIND.name && lexer.kind(at + 1) === KIND.open) return calledCondition(at, base);
  let last = at;
  let next = skipCloses(at + 1);
  // Strings that follow each other are one.
  while (kind === KIND.string && lexer.kind(next) === KIND.string) last = next++;
  // Arithmetic on the left side.
  for (let steps = 0; steps < STEPS_MAX && lexer.kind(next) === KIND.operator; steps += 1) {
    if (isSubquery(next + 1)) return base !== BARE;
    const operand = skipOpens(next + 1);
    if (!isValue(lexer.kind(operand))) return false;
    last = operand;
    next = skipCloses(operand + 1);
  }
  if (lexer.kind(next) === KIND.comma) return base !== BARE && at > from && hasWeapon(next);
  while (lexer.kind(next) === KIND.not) next += 1;
  if (lexer.kind(next) === KIND.compare) return comparison(at, next, base, logic);
  return alone(last, next, base, logic);
}

/** EXISTS (SELECT, CASE WHEN. */
function isTest(at: number): boolean {
  const word = lexer.word(at);
  if (word === "case") return lexer.word(at + 1) === "when";
  return word === "exists" && isSubquery(at + 1);
}

function calledCondition(at: number, base: Base): boolean {
  if (base === BARE) return false;
  if (lexer.isCommonCall(at) || hasWeapon(at)) return true;
  const after = skipCloses(behindCall(at));
  return lexer.kind(after) === KIND.compare || (lexer.kind(after) === KIND.comment && comment(after, base, false));
}

const QUANTIFIERS: ReadonlySet<string> = new Set(["all", "any", "some"]);

/** A comparison as a condition: `left` is its first operand, `compare` the operator. */
function comparison(left: number, compare: number, base: Base, logic: number): boolean {
  let at = compare + 1;
  while (lexer.kind(at) === KIND.not || lexer.kind(at) === KIND.compare) at += 1;
  // `= all (select`: a comparison with each row.
  if (isSubquery(at) || (QUANTIFIERS.has(lexer.word(at)) && isSubquery(at + 1))) return true;
  const right = skipOpens(at);
  const leftKind = lexer.kind(left);
  const rightKind = lexer.kind(right);
  // `is`, `in`, `like` and `match` are words of English, too.
  if (lexer.word(compare) !== "" && rightKind === KIND.name) return false;
  if (base === BARE) {
    if (leftKind === KIND.number && rightKind === KIND.number) return true;
    return leftKind === KIND.string && rightKind === KIND.string && !isSymbol(logic);
  }
  const isCall = rightKind === KIND.call;
  if (!isValue(rightKind) && !isCall) return base === QUOTED && ends(right);
  if (leftKind === KIND.string && rightKind === KIND.string) {
    // In JSON words stand right behind the next quote.
    const after = lexer.kind(right + 1);
    return after !== KIND.name && after !== KIND.number && after !== KIND.other;
  }
  if (leftKind !== KIND.name || (rightKind !== KIND.name && !isCall)) return true;
  if (isCall) return lexer.isCommonCall(right) || base === QUOTED;
  return lexer.slice(left) === lexer.slice(right) || lexer.kind(right + 1) === KIND.comment;
}

/** A value as a condition: `or 1`, `or 'a`. */
function alone(at: number, next: number, base: Base, logic: number): boolean {
  const kind = lexer.kind(at);
  const isName = kind === KIND.name;
  if (lexer.kind(next) === KIND.comment) {
    // Text has dashes and hashes, too: behind a name nothing may follow them.
    if (isName || base === BARE) return (base !== BARE || kind === KIND.number) && comment(next, QUOTED, false);
    return true;
  }
  if (base !== BARE && !isName) {
    if (lexer.kind(next) === KIND.logic) return condition(next + 1, base, next);
    if (lexer.kind(next) === KIND.union) return union(next, base);
    if (lexer.kind(next) === KIND.clause) return clause(next, base);
    if (lexer.kind(next) === KIND.semicolon)
      return stacked(next + 1, base) || (base === QUOTED && lexer.kind(next + 1) === KIND.end);
  }
  if (lexer.kind(next) !== KIND.end || base === BARE || isName) return false;
  if (base === QUOTED && kind === KIND.string) return isOpenString(at);
  if (base === QUOTED) return kind !== KIND.variable || lexer.slice(at).startsWith("@@");
  if (kind !== KIND.number || logic === 0) return false;
  const value = lexer.slice(at);
  return value === "1" || value === "0" || value === lexer.slice(logic - 1) || lexer.word(at) !== "";
}

/** What stands behind a semicolon. */
function stacked(from: number, base: Base): boolean {
  let at = from;
  while (lexer.kind(at) === KIND.semicolon) at += 1;
  if (lexer.kind(at) === KIND.comment) return base === QUOTED && comment(at, base, false);
  if (lexer.kind(at) === KIND.call && lexer.word(at) === "if") return lexer.kind(behindCall(at)) === KIND.statement;
  return lexer.kind(at) === KIND.statement && statement(at, base === BARE ? NUMERIC : base);
}

/** ORDER BY, GROUP BY, HAVING, LIMIT, PROCEDURE ANALYSE, INTO OUTFILE. */
function clause(at: number, base: Base): boolean {
  const next = lexer.word(at + 1);
  switch (lexer.word(at)) {
    case "order":
    case "group":
      return next === "by" && orders(at + 2, base);
    case "having":
      return condition(at + 1, base, at);
    case "limit":
      if (lexer.kind(at + 1) !== KIND.number) return false;
      return (base === QUOTED && ends(at + 2)) || isLimit(at + 2);
    case "procedure":
      return next === "analyse" && lexer.kind(at + 2) === KIND.open;
    case "into":
      return next === "outfile" || next === "dumpfile" || (base === QUOTED && lexer.kind(at + 1) === KIND.variable);
    default:
      return false;
  }
}

/** What stands behind the number of a LIMIT. */
function isLimit(at: number): boolean {
  if (lexer.kind(at) === KIND.comma || lexer.word(at) === "offset") return lexer.kind(at + 1) === KIND.number;
  return lexer.kind(at) === KIND.comment || (lexer.kind(at) === KIND.clause && clause(at, NUMERIC));
}

function orders(at: number, base: Base): boolean {
  if (isSubquery(at) || isTest(at)) return true;
  const kind = lexer.kind(at);
  const next = skipCloses(at + 1);
  const goesOn = ends(next) || lexer.kind(next) === KIND.comma || lexer.kind(next) === KIND.clause;
  if (kind === KIND.number) return base !== BARE && goesOn;
  if (kind === KIND.call) return base !== BARE && lexer.isCommonCall(at);
  return (
    base === QUOTED && kind === KIND.name && (lexer.kind(next) === KIND.comment || lexer.kind(next) === KIND.clause)
  );
}

/** A comment that cuts off the rest of the query; `closes` says that a parenthesis was ended before. */
function comment(at: number, base: Base, closes: boolean): boolean {
  const text = lexer.slice(at);
  // A number and two dashes, and nothing else: nobody asks for that but to see whether the rest goes.
  if (base === NUMERIC && at === 1 && text === "--") return true;
  if (base !== QUOTED && !(base === NUMERIC && closes)) return false;
  const rest = text.slice(text.charCodeAt(0) === 0x23 ? 1 : 2);
  // Nothing, or what is written so that a blank is sure to follow the dashes: `-- -`, `--+`.
  if (isOnlyMarks(rest)) return true;
  const attached = lexer.start(at) === lexer.end(at - 1);
  return attached && text.charCodeAt(0) === 0x2d && rest.charCodeAt(0) <= 0x20;
}

function isOnlyMarks(text: string): boolean {
  for (let at = 0; at < text.length; at += 1) {
    const code = text.charCodeAt(at);
    if (code > 0x20 && code !== 0x2d && code !== 0x2b && code !== 0x3b) return false;
  }
  return true;
}
