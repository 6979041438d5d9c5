// Which events a destination gets, and what of them: by consent, by name, by chance, and as its mapping has it.
import { missing, type Purpose } from "./consent/consent.ts";
import type { Params, ParamValue, TagEvent } from "./event.ts";
import { isSampled } from "./privacy/pseudonym.ts";

export interface SelectionRules {
  /** What somebody must have agreed to. */
  readonly purposes: readonly Purpose[];
  /** Names of events, `*` at the end for all that begin so; empty for all. */
  readonly only: readonly string[];
  readonly except: readonly string[];
  /** Share of the browsers, from 0 to 1. */
  readonly sample: number;
  /** Other names for events. */
  readonly rename: Readonly<Record<string, string>>;
  readonly params: ParamRules;
}

export interface ParamRules {
  /** These alone; empty for all. */
  readonly keep: readonly string[];
  readonly remove: readonly string[];
  readonly rename: Readonly<Record<string, string>>;
  readonly set: Readonly<Record<string, ParamValue>>;
}

/** Why an event is not for a destination. */
export type Unwanted = "consent" | "filter" | "sample";

export class Selection {
  readonly #rules: SelectionRules;
  readonly #keep: ReadonlySet<string>;
  readonly #changesParams: boolean;

  constructor(rules: SelectionRules) {
    this.#rules = rules;
    const { keep, remove, rename, set } = rules.params;
    this.#keep = new Set(keep);
    this.#changesParams = keep.length + remove.length + Object.keys(rename).length + Object.keys(set).length > 0;
  }

  /** The event as this destination gets it, or why it does not. */
  of(event: TagEvent): TagEvent | Unwanted {
    const { purposes, only, except, sample, rename } = this.#rules;
    if (missing(event.consent, purposes) !== null) return "consent";
    if ((only.length > 0 && !isNamed(event.name, only)) || isNamed(event.name, except)) return "filter";
    if (!isSampled(event.clientId === "" ? event.id : event.clientId, sample)) return "sample";
    const name = Object.hasOwn(rename, event.name) ? rename[event.name]! : event.name;
    if (name === event.name && !this.#changesParams) return event;
    return { ...event, name, params: this.#changesParams ? this.#mapped(event.params) : event.params };
  }

  #mapped(params: Params): Params {
    const { remove, rename, set } = this.#rules.params;
    const mapped: Record<string, ParamValue> = Object.create(null) as Record<string, ParamValue>;
    for (const [name, value] of Object.entries(params)) {
      if (remove.includes(name) || (this.#keep.size > 0 && !this.#keep.has(name))) continue;
      mapped[Object.hasOwn(rename, name) ? rename[name]! : name] = value;
    }
    return Object.assign(mapped, set);
  }
}

const isNamed = (name: string, patterns: readonly string[]): boolean =>
  patterns.some((pattern) => (pattern.endsWith("*") ? name.startsWith(pattern.slice(0, -1)) : name === pattern));
