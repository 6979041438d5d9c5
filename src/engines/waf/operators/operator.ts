// What an operator is, once its argument was read.
import type { Place } from "../seclang/error.ts";
import type { State } from "../transaction/state.ts";
import type { TxNames } from "../transaction/tx-values.ts";

export interface Operator {
  /** At least one of them occurs, without regard to case, in every value that matches; null when nothing is known. */
  readonly literals: readonly string[] | null;
  /** Whether all that counts is the value, so that what it does not match, it never will. Those with literals are so. */
  readonly pure?: true;
  /** What it costs for each byte of a value (see Work), if it goes through long ones without a break; 0 when absent. */
  readonly weight?: number;
  /** @param capture whether what matched is to be kept as TX:0 and so on */
  match(state: State, value: string, capture: boolean): boolean;
}

/** What an operator may need while it is made. */
export interface OperatorContext {
  readonly place: Place;
  readonly names: TxNames;
  /** The text of a data file that a rule names; null when there is none. */
  data(name: string): string | null;
  warn(problem: string): void;
}

/** Makes an operator of its argument. Throws SecLangError. */
export type OperatorMaker = (argument: string, context: OperatorContext) => Operator;

/** Keeps one text as TX:0 and empties the other captures. */
export function captureOne(state: State, text: string): void {
  const { placed } = state.tx;
  placed[0] = text;
  for (let digit = 1; digit <= 9; digit += 1) placed[digit] = null;
}
