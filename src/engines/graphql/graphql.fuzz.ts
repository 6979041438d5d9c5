// Whatever a text says, it is a document or it is refused; what a document comes to is what one finds who writes all of
// its fragments out; and what is cut out of JSON is JSON. `bun src/engines/graphql/graphql.fuzz.ts 182` replays one seed.
import { type Rng, runAlone } from "../../core/fuzz.testing.ts";
import { costOf, Documents, type Rules, rawItems, rawMembers, readMessages } from "./index.ts";

const RULES: Rules = {
  field: 1,
  weights: new Map([["*.b", 3]]),
  sizeArguments: [["first"], ["page", "size"]],
  assumedSize: 4,
  denied: [],
  allowed: null,
};
const DOCUMENTS = new Documents(null, RULES);
const PIECES =
  '{ } { } { } ( ) [ ] : , @ $ $n ! = ... on T F G fragment query mutation subscription a b c first page size 1 -1 1e9 null true "x" """ # \n __typename __schema fields type & | \u0000 \ufeff ü'.split(
    " ",
  );

function soup(rng: Rng): void {
  const text = Array.from({ length: rng.below(60) }, () => rng.pick(PIECES)).join(rng.oneIn(3) ? "" : " ");
  const read = DOCUMENTS.read(text, 40);
  if (read.kind !== "document") {
    if (read.errors.length === 0 || read.errors.some(({ message }) => message.length > 250))
      throw new Error(`${JSON.stringify(text)}: ${JSON.stringify(read)}`);
    return;
  }
  for (const { sum, defaults } of read.operations.values()) {
    const cost = costOf(sum.cost, { n: rng.below(100) }, defaults);
    if (!(cost >= 0) || !(sum.depth >= 0)) throw new Error(`${JSON.stringify(text)}: ${cost}`);
  }
}

/** A selection as it was made up. */
type Made =
  | {
      readonly kind: "field";
      readonly name: string;
      readonly alias: boolean;
      readonly size: number;
      readonly of: readonly Made[];
    }
  | { readonly kind: "inline"; readonly of: readonly Made[] }
  | { readonly kind: "spread"; readonly fragment: number };

const FRAGMENTS = 4;

function selection(rng: Rng, depth: number, fragment: number): Made[] {
  return Array.from({ length: 1 + rng.below(3) }, (): Made => {
    if (fragment < FRAGMENTS && rng.oneIn(4))
      return { kind: "spread", fragment: fragment + rng.below(FRAGMENTS - fragment) };
    if (depth < 3 && rng.oneIn(5)) return { kind: "inline", of: selection(rng, depth + 1, fragment) };
    const of = depth < 3 && rng.oneIn(2) ? selection(rng, depth + 1, fragment) : [];
    return { kind: "field", name: rng.pick(["a", "b"]), alias: rng.oneIn(3), size: rng.below(6) - 2, of };
  });
}

// -1 is a variable, -2 says nothing.
const VARIABLE = -1;
const argumentOf = (size: number): string =>
  size === -2 ? "" : size === VARIABLE ? "(first: $n)" : `(page: { size: ${size} })`;

function written(all: readonly Made[]): string {
  const each = all.map((made) => {
    if (made.kind === "spread") return `...F${made.fragment}`;
    if (made.kind === "inline") return `... on T ${written(made.of)}`;
    return `${made.alias ? "x: " : ""}${made.name}${argumentOf(made.size)}${made.of.length === 0 ? "" : ` ${written(made.of)}`}`;
  });
  return `{ ${each.join(" ")} }`;
}

interface Told {
  depth: number;
  aliases: number;
  cost: number;
}

/** With all fragments written out. */
function naive(all: readonly Made[], fragments: readonly (readonly Made[])[], n: number): Told {
  const told: Told = { depth: 0, aliases: 0, cost: 0 };
  for (const made of all) {
    const of = made.kind === "spread" ? fragments[made.fragment]! : made.of;
    const below = naive(of, fragments, n);
    const isField = made.kind === "field";
    const size = !isField || made.size === -2 ? 1 : made.size === VARIABLE ? n : made.size;
    told.depth = Math.max(told.depth, below.depth + (isField ? 1 : 0));
    told.aliases += below.aliases + (isField && made.alias ? 1 : 0);
    told.cost += (isField ? (made.name === "b" ? 3 : 1) : 0) + (size >= 1 ? size : RULES.assumedSize) * below.cost;
  }
  return told;
}

function asWritten(rng: Rng): void {
  const fragments = Array.from({ length: FRAGMENTS }, (_, at) => selection(rng, 1, at + 1));
  const root = selection(rng, 0, 0);
  const text = `query Q($n: Int) ${written(root)} ${fragments.map((each, at) => `fragment F${at} on T ${written(each)}`).join(" ")}`;
  const read = DOCUMENTS.read(text, 50_000);
  if (read.kind !== "document") throw new Error(`${text}: ${JSON.stringify(read)}`);
  const { sum, defaults } = read.operations.get("Q")!;
  for (const n of [1, 7]) {
    const want = JSON.stringify(naive(root, fragments, n));
    const got = JSON.stringify({ depth: sum.depth, aliases: sum.aliases, cost: costOf(sum.cost, { n }, defaults) });
    if (got !== want) throw new Error(`${text} with ${n}: ${got} in place of ${want}`);
  }
}

function anything(rng: Rng, depth: number): unknown {
  const kind = rng.below(depth > 3 ? 4 : 6);
  if (kind === 0) return rng.pick(["", "a", '"', "\\", "},]", "ü", "{"]);
  if (kind === 1) return rng.below(1000) - 500;
  if (kind === 2) return rng.oneIn(2);
  if (kind === 3) return null;
  if (kind === 4) return Array.from({ length: rng.below(4) }, () => anything(rng, depth + 1));
  return Object.fromEntries(
    Array.from({ length: rng.below(4) }, () => [
      rng.pick(["query", "variables", "a", '"', "\\", "}", "__proto__"]),
      anything(rng, depth + 1),
    ]),
  );
}

function cutOut(rng: Rng): void {
  const value = anything(rng, 0);
  const text = JSON.stringify(value, null, rng.below(3));
  readMessages(value, 3, []);
  const made = Array.isArray(value)
    ? `[${rawItems(text).join(",")}]`
    : typeof value === "object" && value !== null
      ? `{${[...rawMembers(text)].map(([name, each]) => `${JSON.stringify(name)}:${each}`).join(",")}}`
      : text;
  if (JSON.stringify(JSON.parse(made)) !== JSON.stringify(JSON.parse(text))) throw new Error(`${text}: ${made}`);
}

export function graphqlLaw(rng: Rng): void {
  soup(rng);
  asWritten(rng);
  cutOut(rng);
}

if (import.meta.main) runAlone("graphql", graphqlLaw);
