// A rule set as it runs.
import type { CompiledRule } from "./compiled-rule.ts";
import type { Shape } from "./shape.ts";

export interface Program extends Shape {
  /** By phase, 1 to 5. */
  readonly phases: readonly (readonly CompiledRule[])[];
}
