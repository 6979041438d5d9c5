// Comparisons of numbers: @eq, @ge, @gt, @le, @lt.
import { compileMacro } from "../rules/macro.ts";
import type { State } from "../transaction/state.ts";
import type { Operator, OperatorMaker } from "./operator.ts";

/** The whole number that a text begins with, as C's atoi reads it; 0 when it begins with something else. */
export function leadingNumber(text: string): number {
  let at = 0;
  while (at < text.length && (text.charCodeAt(at) === 0x20 || text.charCodeAt(at) === 0x09)) at += 1;
  const sign = text.charCodeAt(at);
  if (sign === 0x2d || sign === 0x2b) at += 1;
  let value = 0;
  for (; at < text.length; at += 1) {
    const digit = text.charCodeAt(at) - 0x30;
    if (digit < 0 || digit > 9) break;
    value = value * 10 + digit;
  }
  return sign === 0x2d ? -value : value;
}

/** 0 equal, 1 at least, 2 more, 3 at most, 4 less. */
type Comparison = 0 | 1 | 2 | 3 | 4;

function holds(comparison: Comparison, left: number, right: number): boolean {
  switch (comparison) {
    case 0:
      return left === right;
    case 1:
      return left >= right;
    case 2:
      return left > right;
    case 3:
      return left <= right;
    default:
      return left < right;
  }
}

class CompareConstant implements Operator {
  readonly literals = null;
  readonly pure = true;
  readonly #comparison: Comparison;
  readonly #right: number;

  constructor(comparison: Comparison, right: number) {
    this.#comparison = comparison;
    this.#right = right;
  }

  match(_state: State, value: string): boolean {
    return holds(this.#comparison, leadingNumber(value), this.#right);
  }
}

const compare =
  (comparison: Comparison): OperatorMaker =>
  (argument, context) => {
    const macro = compileMacro(argument, context.names, context.place);
    if (macro.constant) return new CompareConstant(comparison, leadingNumber(argument));
    return {
      literals: null,
      match: (state, value) => holds(comparison, leadingNumber(value), leadingNumber(macro.expand(state))),
    };
  };

export const numberOperators: Readonly<Record<string, OperatorMaker>> = {
  eq: compare(0),
  ge: compare(1),
  gt: compare(2),
  le: compare(3),
  lt: compare(4),
};
