// Answers that do not depend on all of their query (No-Vary-Search): under which address one lies that a request with
// another query may have. Looked at only where nothing is stored for the address itself.
import { type SearchRule, searchKey } from "../engines/cache/no-vary-search.ts";
import type { Changes, Stamp } from "./changes.ts";

/** Rules that one path may have at a time: each costs a look-up. A site has one for a path. */
const RULES_MAX = 4;
/** Answers that are found so: at some 500 bytes each, 32 MB at most. */
const ANSWERS_MAX = 65_536;

/** Where an answer lies, and how often what is behind its path had been changed before it was fetched. */
export interface Alike {
  readonly address: string;
  readonly stamp: Stamp;
}

/** A rule, a text that is the same for the same rule, and how many answers have it. */
interface Known {
  readonly rule: SearchRule;
  readonly text: string;
  answers: number;
}

interface Stored extends Alike {
  readonly path: string;
  readonly key: string;
  readonly known: Known;
}

/**
 * What all addresses of a path begin with, whatever their query; itself no address. It stands for all of them where
 * changes are counted.
 */
export function pathOf(address: string): string {
  const at = address.indexOf("?");
  return at < 0 ? `${address.slice(0, -1)}?` : address.slice(0, at + 1);
}

function queryOf(address: string): string {
  const at = address.indexOf("?");
  return at < 0 ? "" : address.slice(at + 1, -1);
}

export class Searches {
  readonly #rules = new Map<string, Known[]>();
  readonly #answers = new Map<string, Stored>();
  readonly #byAddress = new Map<string, Stored>();

  get size(): number {
    return this.#answers.size;
  }

  /** An answer with this rule has been stored. */
  add(address: string, rule: SearchRule, stamp: Stamp): void {
    this.delete(address);
    const path = pathOf(address);
    const known = this.#know(path, rule);
    known.answers += 1; // before another answer takes its rule along
    const key = path + known.text + searchKey(rule, queryOf(address));
    const before = this.#answers.get(key);
    if (before !== undefined) this.delete(before.address); // the one that came last is used (RFC 9111 §4)
    const stored: Stored = { address, stamp, path, key, known };
    this.#answers.set(key, stored);
    this.#byAddress.set(address, stored);
    if (this.#answers.size > ANSWERS_MAX) this.delete(this.#answers.values().next().value!.address);
  }

  #know(path: string, rule: SearchRule): Known {
    const text = JSON.stringify([rule.anyOrder, rule.listed, [...rule.names].sort()]);
    const rules = this.#rules.get(path) ?? [];
    const known = rules.find((each) => each.text === text) ?? { rule, text, answers: 0 };
    this.#rules.set(path, [known, ...rules.filter((each) => each !== known)].slice(0, RULES_MAX));
    return known;
  }

  /** The answer that fits this address by one of the rules of its path; null without one. */
  find(address: string): Alike | null {
    const path = pathOf(address);
    const rules = this.#rules.get(path);
    if (rules === undefined) return null;
    const query = queryOf(address);
    for (const { rule, text } of rules) {
      const found = this.#answers.get(path + text + searchKey(rule, query));
      if (found !== undefined) return found;
    }
    return null;
  }

  /** The address of an answer that goes for this one and holds; itself without one. */
  addressFor(address: string, changes: Changes): string {
    const alike = this.find(address);
    return alike !== null && changes.holds(alike.stamp) ? alike.address : address;
  }

  /** Nothing is stored there any more. */
  delete(address: string): void {
    const stored = this.#byAddress.get(address);
    if (stored === undefined) return;
    this.#byAddress.delete(address);
    const { path, key, known } = stored;
    this.#answers.delete(key);
    known.answers -= 1;
    if (known.answers > 0) return;
    const rules = this.#rules.get(path)?.filter((each) => each !== known) ?? [];
    if (rules.length === 0) this.#rules.delete(path);
    else this.#rules.set(path, rules);
  }
}
