// Which rules an id, a range of ids, a tag or a message means.
import { compileRegex } from "../regex/regex.ts";

/** What can be said of a rule to find it. */
export interface RuleName {
  readonly id: number;
  readonly tags: readonly string[];
  readonly msg: string;
}

/** Finds rules by their place in the set. */
export class RuleIndex {
  readonly #names: readonly RuleName[];

  constructor(names: readonly RuleName[]) {
    this.#names = names;
  }

  /** `942100`, `942000-942999`, or several of them; null where the text is something else. */
  byId(text: string): Uint8Array | null {
    const parts = text.split(/[\s,]+/).filter((part) => part !== "");
    const ranges: [number, number][] = [];
    for (const part of parts) {
      const range = /^"?(\d+)(?:-(\d+))?"?$/.exec(part);
      if (range === null) return null;
      ranges.push([Number(range[1]), Number(range[2] ?? range[1])]);
    }
    return this.#where((name) => ranges.some(([from, to]) => name.id >= from && name.id <= to));
  }

  /** Rules with a tag that the expression matches. Throws RegexError. */
  byTag(pattern: string): Uint8Array {
    const regex = compileRegex(pattern);
    return this.#where((name) => name.tags.some((tag) => tag === pattern || regex.test(tag)));
  }

  /** Rules with a message that the expression matches. Throws RegexError. */
  byMsg(pattern: string): Uint8Array {
    const regex = compileRegex(pattern);
    return this.#where((name) => name.msg === pattern || regex.test(name.msg));
  }

  /** Rules by ids, ranges of ids (`942000-942999`) and whole tags. */
  named(names: readonly (number | string)[]): Uint8Array {
    const found = new Uint8Array(this.#names.length);
    for (const name of names) {
      const rules = this.byId(String(name)) ?? this.#where(({ tags }) => tags.includes(String(name)));
      for (let at = 0; at < rules.length; at += 1) found[at]! |= rules[at]!;
    }
    return found;
  }

  #where(test: (name: RuleName) => boolean): Uint8Array {
    return Uint8Array.from(this.#names, (name) => (name.id > 0 && test(name) ? 1 : 0));
  }
}
