// Numbers for all that rules share: transformation chains, chosen entries, pairs of both, names of TX, operators.
import type { Operator } from "../operators/operator.ts";
import { compileRegex } from "../regex/regex.ts";
import type { Selector } from "../seclang/syntax.ts";
import { COLUMN_COUNT } from "../transaction/columns.ts";
import { KnownValues } from "../transaction/known.ts";
import { TxNames } from "../transaction/tx-values.ts";
import type { ViewSpec } from "../transaction/values.ts";
import { Prefilter } from "./prefilter.ts";
import type { PairSpec } from "./shape.ts";
import { type Step, Steps } from "./steps.ts";

type Tester = { test(input: string): boolean };

const selectorKey = (selector: Selector | null): string =>
  selector === null ? "" : selector.kind === "name" ? `=${selector.name}` : `/${selector.source}`;

export class Layout {
  readonly steps = new Steps();
  readonly txNames = new TxNames();
  readonly views: ViewSpec[] = [];
  readonly pairs: PairSpec[] = [];
  readonly groups: (readonly number[])[] = [];
  readonly atoms: (Map<string, number> | null)[] = Array.from({ length: COLUMN_COUNT }, () => null);
  readonly #viewIds = new Map<string, number>();
  readonly #pairIds = new Map<string, number>();
  readonly #groupIds = new Map<string, number>();
  readonly #regexes = new Map<string, Tester>();
  readonly #request: (readonly string[] | null)[] = [];
  readonly #response: (readonly string[] | null)[] = [];
  readonly #requestBits = [new Map<Operator, number>(), new Map<Operator, number>()] as const;
  readonly #responseBits = [new Map<Operator, number>(), new Map<Operator, number>()] as const;
  readonly #prefilter: boolean;

  constructor(prefilter: boolean) {
    this.#prefilter = prefilter;
  }

  /** An expression by which names are chosen; it does not regard case. Throws RegexError. */
  nameRegex(source: string): Tester {
    const known = this.#regexes.get(source) ?? compileRegex(source, { ignoreCase: true });
    this.#regexes.set(source, known);
    return known;
  }

  /** The number of the entries that are chosen; -1 when it is all of them. */
  view(column: number, chosen: Selector | null, except: readonly Selector[]): number {
    if (chosen === null && except.length === 0) return -1;
    const key = `${column} ${selectorKey(chosen)} ${except.map(selectorKey).sort().join(" ")}`;
    const known = this.#viewIds.get(key);
    if (known !== undefined) return known;
    const names = except.flatMap((selector) => (selector.kind === "name" ? [selector.name] : []));
    const regexes = except.flatMap((selector) => (selector.kind === "regex" ? [selector.source] : []));
    const id = this.views.length;
    this.views.push({
      column,
      atom: chosen?.kind === "name" ? this.#atom(column, chosen.name) : 0,
      regex: chosen?.kind === "regex" ? this.nameRegex(chosen.source) : null,
      exceptAtoms: names.map((name) => this.#atom(column, name)),
      exceptRegexes: regexes.map((source) => this.nameRegex(source)),
    });
    this.#viewIds.set(key, id);
    return id;
  }

  pair(column: number, step: Step | null): number {
    const key = `${column} ${step === null ? "" : step.id}`;
    const known = this.#pairIds.get(key);
    if (known !== undefined) return known;
    // The parent first, so that its number is lower and it is made before.
    const parent = step === null ? -1 : this.pair(column, step.parent);
    const id = this.pairs.length;
    this.pairs.push({ column, parent, step });
    this.#pairIds.set(key, id);
    return id;
  }

  /** The number of the group of these pairs. */
  group(pairs: readonly number[]): number {
    const unique = [...new Set(pairs)];
    const key = unique.join(" ");
    const known = this.#groupIds.get(key);
    if (known !== undefined) return known;
    const id = this.groups.length;
    this.groups.push(unique);
    this.#groupIds.set(key, id);
    return id;
  }

  /**
   * The bit of an operator, or of its negation, in the prefilter of requests or responses; -1 when it has none. Of what
   * a negation lets pass nothing is known until it was tried.
   */
  bit(operator: Operator, negated: boolean, response: boolean): number {
    if (!this.#prefilter || (operator.literals === null && operator.pure !== true)) return -1;
    const bits = (response ? this.#responseBits : this.#requestBits)[negated ? 1 : 0];
    const known = bits.get(operator);
    if (known !== undefined) return known;
    const lists = response ? this.#response : this.#request;
    const bit = lists.length;
    lists.push(negated ? null : operator.literals);
    bits.set(operator, bit);
    return bit;
  }

  /** Once all rules are compiled. */
  values(response: boolean): KnownValues {
    const lists = response ? this.#response : this.#request;
    return new KnownValues(this.steps.triggers, lists.length === 0 ? null : new Prefilter(lists));
  }

  #atom(column: number, name: string): number {
    this.atoms[column] ??= new Map();
    const atoms = this.atoms[column];
    const known = atoms.get(name) ?? atoms.size + 1;
    atoms.set(name, known);
    return known;
  }
}
