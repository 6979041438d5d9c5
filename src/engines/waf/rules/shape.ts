// What a transaction is made for: the numbers that rules share, without the rules.

import type { KnownValues } from "../transaction/known.ts";
import type { TxNames } from "../transaction/tx-values.ts";
import type { ViewSpec } from "../transaction/values.ts";
import type { Settings } from "./settings.ts";
import type { Step } from "./steps.ts";

/** The values of a column after a chain of transformations. */
export interface PairSpec {
  readonly column: number;
  /** The pair of the chain without its last step; -1 for values as they came. */
  readonly parent: number;
  readonly step: Step | null;
}

export interface Shape {
  readonly settings: Readonly<Settings>;
  readonly txNames: TxNames;
  /** By column: the names by which rules choose entries, and their numbers. */
  readonly atoms: readonly (ReadonlyMap<string, number> | null)[];
  readonly views: readonly ViewSpec[];
  readonly pairs: readonly PairSpec[];
  /** Pairs that rules look at together, by their numbers. */
  readonly groups: readonly (readonly number[])[];
  /** What transactions have found out about values of requests, and of responses. */
  readonly requestValues: KnownValues;
  readonly responseValues: KnownValues;
  /** How many rules can be named, those among them that were removed at load. */
  readonly ruleCount: number;
}
