// What an operation costs, as far as that can be said before its variables are known. Fragments are parts that several
// sums share, so that a sum is as long as the text that it was made of, however often its fragments are used.

/** Beyond this nobody counts, and numbers would no longer be exact. */
const COST_MAX = Number.MAX_SAFE_INTEGER;

/** A number, or what becomes one with the variables of a request. */
export type Cost = number | CostSum;

/** Where the size of a list is said: in the text, or in variables. */
export interface ListSize {
  /** The largest that stands in the text; 0 for none. */
  readonly literal: number;
  readonly variables: readonly VariablePath[];
  /** Where none of them says anything. */
  readonly assumed: number;
}

/** A variable, or what lies in it. */
export interface VariablePath {
  readonly name: string;
  readonly path: readonly string[];
}

interface Term {
  /** Null for once. */
  readonly size: ListSize | null;
  readonly times: number;
  readonly cost: Cost;
}

/** Adds up; what is known already becomes one number. */
export class CostBuilder {
  #constant = 0;
  #terms: Term[] = [];

  add(cost: Cost): void {
    this.addTimes(1, cost);
  }
  addTimes(size: number | ListSize, cost: Cost): void {
    if (cost === 0) return;
    if (typeof size !== "number") this.#terms.push({ size, times: 1, cost });
    else if (typeof cost === "number") this.#constant = bounded(this.#constant + size * cost);
    else this.#terms.push({ size: null, times: size, cost });
  }
  get cost(): Cost {
    return this.#terms.length === 0 ? this.#constant : new CostSum(this.#constant, this.#terms);
  }
}

class CostSum {
  readonly #constant: number;
  readonly #terms: readonly Term[];
  /** For which variables `#value` holds. */
  #known: Values | null = null;
  #value = 0;

  constructor(constant: number, terms: readonly Term[]) {
    this.#constant = constant;
    this.#terms = terms;
  }

  /** A part that is there several times is added up once. */
  with(values: Values): number {
    if (this.#known === values) return this.#value;
    let sum = this.#constant;
    for (const { size, times, cost } of this.#terms) {
      const each = typeof cost === "number" ? cost : cost.with(values);
      sum = bounded(sum + (size === null ? times : values.sizeOf(size)) * each);
    }
    this.#known = values;
    this.#value = sum;
    return sum;
  }
  /** Variables of a request must not be kept beyond it. */
  forget(): void {
    if (this.#known === null) return;
    this.#known = null;
    for (const { cost } of this.#terms) if (typeof cost !== "number") cost.forget();
  }
}

const bounded = (cost: number): number => (cost < COST_MAX ? cost : COST_MAX);

/** The variables of one request, over the defaults of its operation. */
class Values {
  readonly #given: Readonly<Record<string, unknown>> | null;
  readonly #defaults: ReadonlyMap<string, unknown>;

  constructor(given: Readonly<Record<string, unknown>> | null, defaults: ReadonlyMap<string, unknown>) {
    this.#given = given;
    this.#defaults = defaults;
  }

  sizeOf({ literal, variables, assumed }: ListSize): number {
    let size = literal;
    for (const each of variables) size = Math.max(size, this.#numberOf(each));
    return size >= 1 ? size : assumed;
  }

  #numberOf({ name, path }: VariablePath): number {
    const given = this.#given !== null && Object.hasOwn(this.#given, name) ? this.#given[name] : undefined;
    let value = given === undefined ? this.#defaults.get(name) : given;
    for (const key of path) value = isRecord(value) && Object.hasOwn(value, key) ? value[key] : undefined;
    return listSize(value);
  }
}

const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** The size that a value says; 0 for none. Some servers take numbers that are written as text. */
export function listSize(value: unknown): number {
  const size = typeof value === "string" ? Number(value) : value;
  return typeof size === "number" && size >= 1 ? Math.min(size, COST_MAX) : 0;
}

/** What it costs with these variables. */
export function costOf(
  cost: Cost,
  variables: Readonly<Record<string, unknown>> | null,
  defaults: ReadonlyMap<string, unknown>,
): number {
  if (typeof cost === "number") return cost;
  const sum = cost.with(new Values(variables, defaults));
  cost.forget();
  return sum;
}
