// Comparisons of texts: @streq, @contains, @containsWord, @beginsWith, @endsWith, @within, @strmatch.
import { compileMacro } from "../rules/macro.ts";
import type { Operator, OperatorMaker } from "./operator.ts";

type Test = (value: string, argument: string) => boolean;

/**
 * An operator over a text that may have variables in it.
 *
 * @param needed whether every value that matches contains the argument
 */
const text =
  (test: Test, needed: boolean): OperatorMaker =>
  (argument, context): Operator => {
    const macro = compileMacro(argument, context.names, context.place);
    if (!macro.constant) return { literals: null, match: (state, value) => test(value, macro.expand(state)) };
    const literals = needed && argument !== "" ? [argument.toLowerCase()] : null;
    return { literals, pure: true, match: (_state, value) => test(value, argument) };
  };

const isLetter = (code: number): boolean => (code | 0x20) >= 0x61 && (code | 0x20) <= 0x7a;

/** Whether a word occurs with no letter before and after it: digits end words, as in libmodsecurity. */
function containsWord(value: string, word: string): boolean {
  if (word === "") return true;
  for (let at = value.indexOf(word); at >= 0; at = value.indexOf(word, at + 1)) {
    const end = at + word.length;
    const begins = at === 0 || !isLetter(value.charCodeAt(at - 1));
    if (begins && (end === value.length || !isLetter(value.charCodeAt(end)))) return true;
  }
  return false;
}

export const textOperators: Readonly<Record<string, OperatorMaker>> = {
  streq: text((value, argument) => value === argument, true),
  contains: text((value, argument) => value.includes(argument), true),
  strmatch: text((value, argument) => value.includes(argument), true),
  containsword: text(containsWord, true),
  beginswith: text((value, argument) => value.startsWith(argument), true),
  endswith: text((value, argument) => value.endsWith(argument), true),
  // The other way round: the value has to occur in the argument.
  within: text((value, argument) => argument.includes(value), false),
};
