// A rule as it runs: data and operators, nothing left to look up.
import type { Operator } from "../operators/operator.ts";
import type { RuleFacts, State } from "../transaction/state.ts";
import type { Found } from "../variables.ts";
import type { Action, SetVar } from "./actions.ts";
import type { Macro } from "./macro.ts";
import type { Step } from "./steps.ts";

/** What a rule does about the request when it matches. `block` was replaced by the default of its phase. */
export type Disruption = "none" | "pass" | "deny" | "drop" | "redirect" | "allow" | "allow-phase" | "allow-request";

/** Entries of a column, each transformed and compared. */
export interface ColumnTarget {
  readonly kind: "column";
  /** The variable in upper case, as names of matches begin with it. */
  readonly prefix: string;
  readonly column: number;
  /** -1 for all entries. */
  readonly view: number;
  /** The pairs whose values are compared: one, or with `multiMatch` one for each step. */
  readonly pairs: readonly number[];
}

/** A variable that is read while the rule runs. */
export interface LiveTarget {
  readonly kind: "live";
  readonly prefix: string;
  readonly read: (state: State, found: Found) => void;
  /** In lower case; null for all entries. */
  readonly name: string | null;
  readonly regex: { test(input: string): boolean } | null;
  readonly exceptNames: readonly string[];
  readonly exceptRegexes: readonly { test(input: string): boolean }[];
}

/** One entry of TX by a name that stands in the rule. */
export interface TxTarget {
  readonly kind: "tx";
  readonly prefix: string;
  readonly key: string;
  readonly place: number;
}

/** How many entries there are. */
export interface CountTarget {
  readonly kind: "count";
  readonly prefix: string;
  readonly key: string;
  readonly of: readonly (ColumnTarget | LiveTarget | TxTarget)[];
}

export type Target = ColumnTarget | LiveTarget | TxTarget | CountTarget;

/** What runs a rule needs: filled by the compiler in one go, so that all rules have one shape. */
export interface CompiledRule extends RuleFacts {
  /** Its place among all rules, by which it can be removed for one transaction. Links of a chain have their head's. */
  readonly index: number;
  readonly targets: readonly Target[];
  /** Null for SecAction, which always matches. */
  readonly operator: Operator | null;
  readonly negated: boolean;
  /** What the operator costs for each byte of a value. */
  readonly weight: number;
  /** Bit of the operator in the prefilter of requests; -1 when it has to run on every value. */
  readonly requestBit: number;
  readonly responseBit: number;
  /** The group of all pairs that it looks at; -1 where it looks at something else too, or has no bit. */
  readonly group: number;
  /** The last transformation; null for none. */
  readonly step: Step | null;
  /** All steps that are compared, from the value as it came, for `multiMatch`; else null. */
  readonly stages: readonly (Step | null)[] | null;
  readonly capture: boolean;
  readonly setVars: readonly SetVar[];
  /** Run after all of the chain has matched. */
  readonly actions: readonly Action[];
  /** The next link of the chain. */
  readonly next: CompiledRule | null;
  readonly disruption: Disruption;
  readonly status: number;
  readonly redirect: Macro | null;
  /** Where the program goes on after a match; -1 for the next rule. */
  readonly jump: number;
  /** Only tried: it neither decides nor counts. */
  readonly dry: boolean;
  readonly log: boolean;
  readonly auditLog: boolean;
  readonly msg: Macro | null;
  readonly logdata: Macro | null;
}
