// Transformations as a tree of steps: chains that begin alike share what they have made so far.
import { transformation } from "../transformations/index.ts";
import { Triggers } from "./triggers.ts";

/** One transformation, after those of its parent. */
export interface Step {
  readonly id: number;
  readonly parent: Step | null;
  readonly apply: (value: string) => string;
  /** The class of values that it may change; see Triggers. */
  readonly trigger: number;
}

/** All chains of one rule set. */
export class Steps {
  readonly triggers = new Triggers();
  #count = 0;
  readonly #known = new Map<string, Step>();

  /** The last step of a chain; null for an empty one. Undefined when there is no transformation of that name. */
  child(parent: Step | null, name: string): Step | undefined {
    const key = `${parent === null ? "" : parent.id} ${name.toLowerCase()}`;
    const known = this.#known.get(key);
    if (known !== undefined) return known;
    const apply = transformation(name);
    if (apply === null) return undefined;
    const step: Step = { id: this.#count, parent, apply, trigger: this.triggers.of(name) };
    this.#count += 1;
    this.#known.set(key, step);
    return step;
  }
}

/** A value after all steps up to this one. */
export function transformed(step: Step | null, value: string): string {
  return step === null ? value : step.apply(transformed(step.parent, value));
}
