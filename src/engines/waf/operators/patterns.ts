// Expressions and lists of words: @rx, @rxGlobal, @pm, @pmFromFile.
import { LiteralSet } from "../literals/literal-set.ts";
import { compileRegex, HIT, type Regex, RegexError } from "../regex/regex.ts";
import { compileMacro } from "../rules/macro.ts";
import { SecLangError } from "../seclang/error.ts";
import type { State } from "../transaction/state.ts";
import { captureOne, type Operator, type OperatorContext, type OperatorMaker } from "./operator.ts";

/** As libmodsecurity has it compiled: a line end hides nothing from `^` and `$`. */
const MODSECURITY = { multiline: true } as const;

// Sets of rules of one thread mostly differ in settings alone, and so do those before and after a reload: an expression
// that is in use is not compiled again, and has its tables ready.
const inUse = new Map<string, WeakRef<Regex>>();
/** From so many on it is looked which are still in use. */
let lookAt = 2048;

function shared(pattern: string): Regex {
  const known = inUse.get(pattern)?.deref();
  if (known !== undefined) return known;
  const made = compileRegex(pattern, MODSECURITY);
  inUse.set(pattern, new WeakRef(made));
  if (inUse.size > lookAt) {
    for (const [text, regex] of inUse) if (regex.deref() === undefined) inUse.delete(text);
    lookAt = inUse.size * 2;
  }
  return made;
}

/** Compiles an expression of a rule file, and says where it is wrong. */
export function regexOf(pattern: string, context: Pick<OperatorContext, "place">): Regex {
  try {
    return shared(pattern);
  } catch (error) {
    if (!(error instanceof RegexError)) throw error;
    const { file, line, column } = context.place;
    throw new SecLangError({ file, line, column: column + error.offset }, error.message);
  }
}

function keepGroups(state: State, value: string, regex: Regex): void {
  const { captures } = state;
  regex.capture(value, captures);
  const { placed } = state.tx;
  for (let digit = 0; digit <= 9; digit += 1) {
    if (digit > regex.groups) placed[digit] = null;
    else {
      const start = captures[digit * 2]!;
      placed[digit] = start < 0 ? "" : value.slice(start, captures[digit * 2 + 1]);
    }
  }
}

/** False also when the search goes on in a later step, as `state.scan` says then. */
function matches(regex: Regex, state: State, value: string, capture: boolean): boolean {
  if (regex.search(value, state.scan) !== HIT) {
    if (regex.gaveUp) state.giveUp();
    return false;
  }
  if (capture) keepGroups(state, value, regex);
  return true;
}

class Expression implements Operator {
  readonly literals: readonly string[] | null;
  readonly pure = true;
  readonly #regex: Regex;

  constructor(regex: Regex) {
    this.#regex = regex;
    this.literals = regex.literals;
  }

  match(state: State, value: string, capture: boolean): boolean {
    return matches(this.#regex, state, value, capture);
  }
}

// An expression with variables in it is compiled for each text that it becomes. Requests must not be able to make
// many of them, so few are kept: the values are those of settings like tx.allowed_request_content_type.
const VARIANTS_MAX = 16;

class ChangingExpression implements Operator {
  readonly literals = null;
  readonly #expand: (state: State) => string;
  readonly #compiled = new Map<string, Regex | null>();

  constructor(expand: (state: State) => string) {
    this.#expand = expand;
  }

  match(state: State, value: string, capture: boolean): boolean {
    const pattern = this.#expand(state);
    let regex = this.#compiled.get(pattern);
    if (regex === undefined) {
      regex = compiledOrNull(pattern);
      if (this.#compiled.size >= VARIANTS_MAX) this.#compiled.clear();
      this.#compiled.set(pattern, regex);
    }
    return regex !== null && matches(regex, state, value, capture);
  }
}

function compiledOrNull(pattern: string): Regex | null {
  try {
    return compileRegex(pattern, MODSECURITY);
  } catch (error) {
    // The text came from a request or a setting, long after the rules were checked: it matches nothing.
    if (error instanceof RegexError) return null;
    throw error;
  }
}

const rx: OperatorMaker = (argument, context) => {
  const macro = compileMacro(argument, context.names, context.place);
  if (!macro.constant) return new ChangingExpression((state) => macro.expand(state));
  return new Expression(regexOf(argument, context));
};

/** A list of words of which one has to occur, without regard to case. */
class Words implements Operator {
  readonly weight = 4;
  readonly literals: readonly string[];
  readonly #words: readonly string[];
  readonly #set: LiteralSet;

  constructor(words: readonly string[]) {
    this.#words = words;
    this.literals = words.map((word) => word.toLowerCase());
    this.#set = new LiteralSet(words);
  }

  match(state: State, value: string, capture: boolean): boolean {
    const found = this.#set.find(value);
    if (found < 0) return false;
    if (capture) captureOne(state, this.#words[found]!);
    return true;
  }
}

/** `A|42 43|D` is ABCD: bytes between bars are hexadecimal, as in Snort's rules. */
function snortBytes(word: string): string {
  return word.replace(/\|((?:[0-9A-Fa-f]{2}\s*)+)\|/g, (_all, bytes: string) =>
    bytes.replace(/([0-9A-Fa-f]{2})\s*/g, (_pair, hex: string) => String.fromCharCode(Number.parseInt(hex, 16))),
  );
}

const pm: OperatorMaker = (argument, context) => {
  const words = snortBytes(argument)
    .split(/\s+/)
    .filter((word) => word !== "");
  if (words.length === 0) throw new SecLangError(context.place, "@pm needs at least one word");
  return new Words(words);
};

/** The lines of the data files that a rule names, without comments. */
export function dataLines(argument: string, context: OperatorContext): string[] {
  const lines: string[] = [];
  for (const name of argument.split(/\s+/).filter((part) => part !== "")) {
    const text = context.data(name);
    if (text === null)
      throw new SecLangError(context.place, `the data file ${name} does not exist; put it beside the rules`);
    for (const line of text.split(/\r?\n/)) {
      if (line.trim() !== "" && !line.startsWith("#")) lines.push(line.trim());
    }
  }
  return lines;
}

const pmFromFile: OperatorMaker = (argument, context) => {
  const words = dataLines(argument, context);
  if (words.length === 0) throw new SecLangError(context.place, "the data file has no words");
  return new Words(words);
};

export const patternOperators: Readonly<Record<string, OperatorMaker>> = {
  rx,
  rxglobal: rx,
  pm,
  pmf: pmFromFile,
  pmfromfile: pmFromFile,
};
