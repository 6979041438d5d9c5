// Paths into JSON as a configuration writes them: `meta.tenant`, `items[*].id`, `["a.b"][0]`, `*.price`, `**.internal`.
import { hashOf } from "./json-document.ts";

export type Step =
  /** A member of an object; its hash and bytes as the reader compares them. */
  | { readonly kind: "name"; readonly name: string; readonly hash: number; readonly bytes: Buffer }
  /** An item of a list, from 0. */
  | { readonly kind: "item"; readonly at: number }
  /** `[*]`: all items of a list. */
  | { readonly kind: "items" }
  /** `*`: all members of an object. */
  | { readonly kind: "members" }
  /** `**`: the value itself and everything in it. */
  | { readonly kind: "deep" };

export type JsonPath = readonly Step[];

/** A path with more steps leads nowhere in what is read here. */
const STEPS_MAX = 64;

/** What one step is written like, behind a dot where it is no bracket. */
const STEP = /^(?:\[(\*|\d{1,9})\]|\[("(?:[^"\\]|\\.)*")\]|(\.?)(\*\*|\*|[^.[\]*"{}\s]+))/;

export const nameStep = (name: string): Step => {
  const bytes = Buffer.from(name);
  return { kind: "name", name, hash: hashOf(bytes), bytes };
};

/** Reads a path. Throws RangeError with what is wrong. */
export function parsePath(text: string): JsonPath {
  const steps: Step[] = [];
  let rest = text;
  while (rest !== "" || steps.length === 0) {
    const found = STEP.exec(rest);
    const isFirst = steps.length === 0;
    // A dot stands before every name but the first one.
    if (found === null || (found[4] !== undefined && (found[3] === "") !== isFirst)) {
      throw new RangeError(`"${text}" is no path: write it like meta.tenant, items[*].id or ["a.b"]`);
    }
    steps.push(stepOf(found[1], found[2], found[4]));
    rest = rest.slice(found[0].length);
  }
  if (steps.length > STEPS_MAX) throw new RangeError(`"${text}" has more than ${STEPS_MAX} steps`);
  // Several of them would look at the same values again and again.
  if (steps.filter(({ kind }) => kind === "deep").length > 1) throw new RangeError(`"${text}" has more than one **`);
  if (steps.at(-1)?.kind === "deep") throw new RangeError(`"${text}": behind ** stands what is looked for`);
  return steps;
}

function stepOf(item: string | undefined, quoted: string | undefined, name: string | undefined): Step {
  if (item === "*") return { kind: "items" };
  if (item !== undefined) return { kind: "item", at: Number(item) };
  if (name === "*") return { kind: "members" };
  if (name === "**") return { kind: "deep" };
  return nameStep(quoted === undefined ? name! : parseQuoted(quoted));
}

function parseQuoted(quoted: string): string {
  try {
    return JSON.parse(quoted) as string;
  } catch {
    throw new RangeError(`${quoted} is no text as JSON has it`);
  }
}

/** Whether a path leads to one place at most. */
export const isSingle = (path: JsonPath): boolean => path.every(({ kind }) => kind === "name" || kind === "item");
