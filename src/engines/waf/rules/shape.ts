// What a transaction is made for: the numbers that rules share, without the rules.

import type { TxNames } from "../transaction/tx-values.ts";
import type { ViewSpec } from "../transaction/values.ts";
import type { Prefilter } from "./prefilter.ts";
import type { Settings } from "./settings.ts";
import type { Step } from "./steps.ts";
import type { Triggers } from "./triggers.ts";

/** The values of a column after a chain of transformations. */
export interface PairSpec {
  readonly column: number;
  /** The pair of the chain without its last step; -1 for values as they came. */
  readonly parent: number;
  readonly step: Step | null;
  /** Set once all rules are known; null when no rule of this column has literals. */
  prefilter: Prefilter | null;
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
  readonly triggers: Triggers;
  /** How many rules can be named, those among them that were removed at load. */
  readonly ruleCount: number;
}
