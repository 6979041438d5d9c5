// What a rule file says, before anything of it is given a meaning.
import type { Place } from "./error.ts";

/** Which entries of a collection are meant. Names are in lower case, as they are compared without regard to case. */
export type Selector =
  | { readonly kind: "name"; readonly name: string }
  | { readonly kind: "regex"; readonly source: string };

/** One of the variables of a rule: `ARGS`, `!ARGS:password`, `&REQUEST_HEADERS:Host`, `TX:/^x_/`. */
export interface TargetSyntax {
  readonly mode: "take" | "except" | "count";
  /** In upper case. */
  readonly variable: string;
  readonly selector: Selector | null;
  readonly place: Place;
}

/** `!@beginsWith /admin`: the name is in lower case and without the `@`. */
export interface OperatorSyntax {
  readonly name: string;
  readonly negated: boolean;
  readonly argument: string;
  readonly place: Place;
  /** Where the argument begins. */
  readonly argumentPlace: Place;
}

/** `setvar:'tx.score=+5'`: the name is in lower case, the value without its quotes; `""` where there is none. */
export interface ActionSyntax {
  readonly name: string;
  readonly value: string;
  readonly place: Place;
}

/** SecRule, and SecAction as a rule without targets. */
export interface RuleSyntax {
  readonly kind: "rule";
  readonly targets: TargetSyntax[];
  readonly operator: OperatorSyntax | null;
  readonly actions: ActionSyntax[];
  readonly place: Place;
}

/** Any other directive. */
export interface DirectiveSyntax {
  readonly kind: "directive";
  /** As documented, whatever case the file has. */
  readonly name: string;
  readonly words: readonly string[];
  readonly places: readonly Place[];
  readonly place: Place;
}

export type Statement = RuleSyntax | DirectiveSyntax;
