// From a pattern in the flavour of PCRE to a syntax tree. What cannot be matched in bounded time is refused here.

import { readBracket } from "./bracket.ts";
import { ANY, LINE_FEED, NOT_LINE_FEED, oneByte, VERTICAL } from "./byte-set.ts";
import { Cursor, isDecimal, readEscape, readOctal } from "./escapes.ts";
import { EMPTY, type Position, RegexError, type RegexNode, sequence, widthOf } from "./syntax.ts";

export interface Flags {
  readonly ignoreCase: boolean;
  /** `^` and `$` at every line. */
  readonly multiline: boolean;
  /** The dot takes a line feed too. */
  readonly dotAll: boolean;
  /** White space and comments in the pattern mean nothing. */
  readonly extended: boolean;
  /** `$` at the very end only. */
  readonly dollarEndOnly: boolean;
}

export interface Parsed {
  readonly tree: RegexNode;
  /** Capturing groups, without the whole match. */
  readonly groups: number;
}

/** PCRE's own limit for groups in groups; it keeps recursion over the tree within the stack. */
const DEPTH_MAX = 250;
/** PCRE's own limit for a number in {n,m}. */
const REPEAT_MAX = 65_535;

/**
 * Reads a pattern.
 *
 * @throws RegexError with the offset and what to do
 */
export function parsePattern(pattern: string, flags: Flags): Parsed {
  return new Parser(pattern, flags).parse();
}

class Parser {
  readonly #cursor: Cursor;
  readonly #names = new Map<string, number>();
  readonly #references: { group: number | string; at: number }[] = [];
  readonly #resolved: { kind: "back-reference"; group: number; ignoreCase: boolean }[] = [];
  #flags: Flags;
  #groups = 0;
  #depth = 0;

  constructor(pattern: string, flags: Flags) {
    this.#cursor = new Cursor(pattern);
    this.#flags = flags;
  }

  parse(): Parsed {
    const tree = this.#choice(false);
    if (!this.#cursor.done) throw new RegexError("this closing parenthesis closes nothing: write \\)", this.#cursor.at);
    for (const [index, { group, at }] of this.#references.entries()) {
      const number = typeof group === "number" ? group : (this.#names.get(group) ?? Number.NaN);
      if (!(number >= 1 && number <= this.#groups)) throw new RegexError(`there is no group ${group} to refer to`, at);
      this.#resolved[index]!.group = number;
    }
    return { tree, groups: this.#groups };
  }

  /** Branches up to the end of the group; `reset` numbers the groups of each branch from the same number on. */
  #choice(reset: boolean): RegexNode {
    const branches: RegexNode[] = [];
    const first = this.#groups;
    let most = first;
    do {
      if (reset) this.#groups = first;
      branches.push(this.#branch());
      most = Math.max(most, this.#groups);
    } while (this.#cursor.take("|"));
    this.#groups = most;
    return branches.length === 1 ? branches[0]! : { kind: "choice", items: branches };
  }

  #branch(): RegexNode {
    const cursor = this.#cursor;
    const items: RegexNode[] = [];
    while (!cursor.done && cursor.here !== "|" && cursor.here !== ")") {
      if (this.#flags.extended && this.#skipExtended()) continue;
      const from = cursor.at;
      if (cursor.take("\\Q")) {
        this.#quoted(items);
        continue;
      }
      if (cursor.take("\\E")) continue;
      const atom = this.#atom();
      // Flags and comments are no items, so nothing can be repeated there.
      if (atom !== null) items.push(this.#repeated(atom, from));
    }
    return sequence(items);
  }

  #skipExtended(): boolean {
    const cursor = this.#cursor;
    if (cursor.take("#")) {
      cursor.takeWhile((char) => char !== "\n", Number.POSITIVE_INFINITY);
      return true;
    }
    return cursor.takeWhile((char) => " \t\n\v\f\r".includes(char), Number.POSITIVE_INFINITY) !== "";
  }

  /** `\Q...\E`, or up to the end of the pattern; what repeats after it repeats the last character. */
  #quoted(items: RegexNode[]): void {
    const cursor = this.#cursor;
    const from = cursor.at;
    const end = cursor.text.indexOf("\\E", from);
    const text = cursor.text.slice(from, end < 0 ? cursor.text.length : end);
    cursor.at = end < 0 ? cursor.text.length : end + 2;
    for (let at = 0; at < text.length; at += 1) {
      const atom = this.#byte(text.charCodeAt(at), from + at);
      items.push(at === text.length - 1 ? this.#repeated(atom, from + at) : atom);
    }
  }

  #byte(code: number, from: number): RegexNode {
    if (code <= 255) return { kind: "bytes", set: oneByte(code, this.#flags.ignoreCase) };
    throw new RegexError("patterns are matched on bytes: write this character as bytes (\\xNN)", from);
  }

  #atom(): RegexNode | null {
    const cursor = this.#cursor;
    const from = cursor.at;
    const char = cursor.here;
    cursor.at += 1;
    switch (char) {
      case "(":
        return this.#parenthesis(from);
      case "[":
        return { kind: "bytes", set: readBracket(cursor, this.#flags.ignoreCase) };
      case ".":
        return { kind: "bytes", set: this.#flags.dotAll ? ANY : NOT_LINE_FEED };
      case "^":
        return position({ at: this.#flags.multiline ? "line-start" : "text-start" });
      case "$":
        if (this.#flags.multiline) return position({ at: "line-end" });
        return position({ at: this.#flags.dollarEndOnly ? "text-end" : "last-line-end" });
      case "\\":
        return this.#escape(from);
      case "*":
      case "+":
      case "?":
        throw new RegexError(`there is nothing to repeat: write \\${char} for the character`, from);
      default:
        return this.#byte(char.charCodeAt(0), from);
    }
  }

  #escape(from: number): RegexNode {
    const cursor = this.#cursor;
    const char = cursor.here;
    if (isDecimal(char) && char !== "0") return this.#numbered(from);
    const escaped = readEscape(cursor);
    if (escaped !== null) {
      return typeof escaped === "number" ? this.#byte(escaped, from) : { kind: "bytes", set: escaped };
    }
    cursor.at += 1;
    switch (char) {
      case "b":
      case "B":
        return position({ at: "word-edge", negative: char === "B" });
      case "A":
      case "G":
        return position({ at: "text-start" });
      case "z":
        return position({ at: "text-end" });
      case "Z":
        return position({ at: "last-line-end" });
      case "N":
        return { kind: "bytes", set: NOT_LINE_FEED };
      case "C":
        return { kind: "bytes", set: ANY };
      case "R":
        return { kind: "atomic", item: { kind: "choice", items: [CRLF, { kind: "bytes", set: VERTICAL }] } };
      case "g":
      case "k":
        return this.#named(char, from);
      case "K":
        throw new RegexError("\\K is not supported: put the part that matters into a group", from);
      case "p":
      case "P":
      case "X":
        throw new RegexError(`\\${char} is about Unicode, and patterns are matched on bytes: list the bytes`, from);
      default:
        throw new RegexError(`\\${char} means nothing: write ${char} for the letter`, from);
    }
  }

  /** `\1`: a group, or from 10 on an octal number where there are not so many groups yet. */
  #numbered(from: number): RegexNode {
    const cursor = this.#cursor;
    const digits = cursor.takeWhile(isDecimal, 6);
    const number = Number(digits);
    if (number < 10 || number <= this.#groups) return this.#reference(number, from);
    cursor.at = from + 1;
    if (cursor.here < "8") return this.#byte(readOctal(cursor), from);
    throw new RegexError(`there is no group ${number} to refer to`, from);
  }

  /** `\g1`, `\g{-1}`, `\g{name}`, `\k<name>`. */
  #named(letter: string, from: number): RegexNode {
    const cursor = this.#cursor;
    const close = cursor.take("{") ? "}" : letter === "k" && cursor.take("<") ? ">" : "";
    const quote = close === "" && letter === "k" && cursor.take("'") ? "'" : close;
    const text = quote === "" ? cursor.takeWhile((char) => isDecimal(char) || char === "-", 6) : "";
    const name = quote === "" ? text : cursor.takeUntil(quote, "this reference");
    if (!/^(?:-?\d+|[A-Za-z_]\w*)$/.test(name)) throw new RegexError("expected the name or number of a group", from);
    if (/^[A-Za-z_]/.test(name)) return this.#reference(name, from);
    const number = Number(name);
    return this.#reference(number < 0 ? this.#groups + 1 + number : number, from);
  }

  #reference(group: number | string, at: number): RegexNode {
    const node = { kind: "back-reference" as const, group: 0, ignoreCase: this.#flags.ignoreCase };
    this.#references.push({ group, at });
    this.#resolved.push(node);
    return node;
  }

  #parenthesis(from: number): RegexNode | null {
    const cursor = this.#cursor;
    if (cursor.here === "*") throw new RegexError("verbs like (*...) are not supported: leave it out", from);
    if (!cursor.take("?")) return this.#capture(from);
    if (cursor.take("#")) {
      cursor.takeUntil(")", "this comment");
      return null;
    }
    if (cursor.take(":")) return this.#inside(from, false);
    if (cursor.take("|")) return this.#inside(from, true);
    if (cursor.take(">")) return { kind: "atomic", item: this.#inside(from, false) };
    if (cursor.take("=")) return this.#look(from, true, false);
    if (cursor.take("!")) return this.#look(from, true, true);
    if (cursor.take("<=")) return this.#look(from, false, false);
    if (cursor.take("<!")) return this.#look(from, false, true);
    if (cursor.take("P=")) return this.#reference(cursor.takeUntil(")", "this reference"), from);
    if (cursor.take("P<") || cursor.take("<")) return this.#capture(from, ">");
    if (cursor.take("'")) return this.#capture(from, "'");
    return this.#inlineFlags(from);
  }

  #capture(from: number, close = ""): RegexNode {
    this.#groups += 1;
    const index = this.#groups;
    if (close !== "") {
      const name = this.#cursor.takeUntil(close, "this name");
      if (!/^[A-Za-z_]\w*$/.test(name)) throw new RegexError("the name of a group is letters, digits and _", from);
      this.#names.set(name, index);
    }
    return { kind: "group", index, item: this.#inside(from, false) };
  }

  /** The inside of a group up to its closing parenthesis; flags that change within end with it. */
  #inside(from: number, reset: boolean): RegexNode {
    const flags = this.#flags;
    this.#depth += 1;
    if (this.#depth > DEPTH_MAX) throw new RegexError(`more than ${DEPTH_MAX} groups within each other`, from);
    const node = this.#choice(reset);
    if (!this.#cursor.take(")")) throw new RegexError("this parenthesis is never closed: write \\( for one", from);
    this.#depth -= 1;
    this.#flags = flags;
    return node;
  }

  #look(from: number, ahead: boolean, negative: boolean): RegexNode {
    const item = this.#inside(from, false);
    if (item.kind === "bytes") return position({ at: ahead ? "after" : "before", set: item.set, negative });
    if (!ahead) {
      for (const branch of item.kind === "choice" ? item.items : [item]) {
        const { min, max } = widthOf(branch);
        if (min === max) continue;
        throw new RegexError("each branch of a look-behind needs a fixed length: write it as a match before", from);
      }
    }
    return { kind: "look", ahead, negative, item };
  }

  /** `(?i)` for the rest of the group, and `(?i:...)`. */
  #inlineFlags(from: number): RegexNode | null {
    const cursor = this.#cursor;
    const outer = this.#flags;
    const flags = { ...outer };
    if (cursor.take("^")) Object.assign(flags, { ignoreCase: false, multiline: false, dotAll: false, extended: false });
    for (let on = true; ; cursor.at += 1) {
      if (cursor.here === "-") on = false;
      else if (cursor.here === "i") flags.ignoreCase = on;
      else if (cursor.here === "m") flags.multiline = on;
      else if (cursor.here === "s") flags.dotAll = on;
      else if (cursor.here === "x") flags.extended = on;
      else break;
    }
    this.#flags = flags;
    if (cursor.take(")")) return null;
    if (!cursor.take(":")) {
      throw new RegexError(`(?${cursor.here || ""} is not supported (no recursion, no conditions)`, from);
    }
    const node = this.#inside(from, false);
    this.#flags = outer;
    return node;
  }

  /** The atom with the quantifier that follows it, if there is one. */
  #repeated(atom: RegexNode, from: number): RegexNode {
    const cursor = this.#cursor;
    if (this.#flags.extended) while (this.#skipExtended());
    const range = this.#range();
    if (range === null) return atom;
    const [min, max] = range;
    if (min > max) throw new RegexError(`{${min},${max}} is the wrong way round`, from);
    if (cursor.take("+")) return possessive(atom, min, max);
    const mode = cursor.take("?") ? "lazy" : "greedy";
    // What is never taken matches nothing; a group in it still has its number.
    return max === 0 ? EMPTY : { kind: "repeat", item: atom, min, max, mode };
  }

  #range(): readonly [min: number, max: number] | null {
    const cursor = this.#cursor;
    if (cursor.take("*")) return [0, Number.POSITIVE_INFINITY];
    if (cursor.take("+")) return [1, Number.POSITIVE_INFINITY];
    if (cursor.take("?")) return [0, 1];
    if (cursor.here !== "{") return null;
    const from = cursor.at;
    cursor.at += 1;
    const low = cursor.takeWhile(isDecimal, 6);
    const comma = cursor.take(",");
    const high = comma ? cursor.takeWhile(isDecimal, 6) : low;
    if (low === "" || !cursor.take("}")) {
      // Not a quantifier, so the brace stands for itself.
      cursor.at = from;
      return null;
    }
    const max = high === "" ? Number.POSITIVE_INFINITY : Number(high);
    if (Number(low) > REPEAT_MAX || (max !== Number.POSITIVE_INFINITY && max > REPEAT_MAX)) {
      throw new RegexError(`a repetition goes up to ${REPEAT_MAX}: use {${low},} or a length check`, from);
    }
    return [Number(low), max];
  }
}

function position(of: Position): RegexNode {
  return { kind: "position", position: of };
}

const CRLF: RegexNode = sequence([
  { kind: "bytes", set: oneByte(13, false) },
  { kind: "bytes", set: LINE_FEED },
]);

/**
 * A repetition that gives nothing back. Of one byte it is the same as a greedy one that may end before its greatest
 * number only where no further byte would fit, which automata can do; of more it needs the backtracker.
 */
function possessive(item: RegexNode, min: number, max: number): RegexNode {
  if (item.kind !== "bytes" || min === max) {
    const repeat: RegexNode = { kind: "repeat", item, min, max, mode: "greedy" };
    return min === max && item.kind === "bytes" ? repeat : { kind: "atomic", item: repeat };
  }
  const stop = position({ at: "after", set: item.set, negative: true });
  if (max === Number.POSITIVE_INFINITY) {
    return sequence([{ kind: "repeat", item, min, max, mode: "greedy" }, stop]);
  }
  const fewer = sequence([{ kind: "repeat", item, min, max: max - 1, mode: "greedy" }, stop]);
  return { kind: "choice", items: [{ kind: "repeat", item, min: max, max, mode: "greedy" }, fewer] };
}
