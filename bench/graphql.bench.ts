// What `graphql` costs a request with a document that was seen before, and one with a new one:
// `bun bench/graphql.bench.ts`.
// Sketch: 1 KB of JSON is looked through once and parsed, 2 us; its document is found by its text, and its cost added
// up for the variables. A new document is parsed and looked through, about 100 ns for each of its tokens; with a schema
// it is validated too. Over a budget something known is read anew.
import { graphqlSchema } from "../src/config/schema-graphql.ts";
import { Documents, readMessages, readSchema } from "../src/engines/graphql/index.ts";
import { parseJson } from "../src/engines/openapi/json-text.ts";
import { Judge } from "../src/filters/graphql/judge.ts";
import type { Exchange } from "../src/pipeline/exchange.ts";
import { bench, finish } from "./per-call.ts";

const FIELDS = Array.from({ length: 20 }, (_, at) => `field${at}`).join(" ");
const TYPED = FIELDS.replaceAll(/\w+/g, "$&: Int");
const QUERY = `query Orders($first: Int = 10, $after: String) {
  orders(first: $first, after: $after) {
    edges { node { ...Order lines(first: 5) { article { ...Article } count } customer { id name email } } }
    pageInfo { endCursor hasNextPage }
  }
}
fragment Order on Order { id number placed ${FIELDS} }
fragment Article on Article { id name price ${FIELDS} }`;
const SCHEMA = readSchema(`type Query { orders(first: Int, after: String): Orders }
type Orders { edges: [Edge] pageInfo: Page } type Edge { node: Order }
type Page { endCursor: String hasNextPage: Boolean }
type Order { id: ID number: Int placed: String lines(first: Int): [Line] customer: Customer ${TYPED} }
type Line { article: Article count: Int } type Customer { id: ID name: String email: String }
type Article { id: ID name: String price: Int ${TYPED} }`);

const RULES = { field: 1, weights: new Map(), sizeArguments: [["first"]], assumedSize: 10, denied: [], allowed: null };
const BODY = Buffer.from(JSON.stringify({ query: QUERY, variables: { first: 20, after: "x".repeat(100) } }));
const config = graphqlSchema.parse({ maxCost: 100_000 });
const documents = new Documents(null, RULES);
const judge = new Judge(config, { documents, list: null }, null);
const x = { request: { method: "POST" }, identity: null } as unknown as Exchange;

function known(): number {
  const parsed = parseJson(BODY);
  if (parsed.problem !== null) throw new Error(parsed.problem);
  const read = readMessages(parsed.value, 1, []);
  if (read.problem !== null) throw new Error(read.problem);
  const verdict = judge.judge(x, read.messages);
  if (verdict.refusals !== null) throw new Error(JSON.stringify(verdict));
  return verdict.cost;
}

const SHORT = Buffer.from(JSON.stringify({ query: "query Me { me { id name } }" }));
function short(): number {
  const parsed = parseJson(SHORT);
  const read = readMessages(parsed.problem === null ? parsed.value : null, 1, []);
  return read.problem === null ? judge.judge(x, read.messages).cost : 0;
}

const fresh = (each: Documents) => (): number => {
  const read = each.read(QUERY, 2000);
  if (read.kind !== "document") throw new Error(JSON.stringify(read));
  return read.operations.size;
};

bench("a known document, short", SHORT.length, 3000, short);
bench("a known document and its variables", BODY.length, 10_000, known);
bench("a new document", QUERY.length, 100_000, fresh(documents), 5000);
bench("a new document, held against a schema", QUERY.length, 1_000_000, fresh(new Documents(SCHEMA, RULES)), 2000);
finish();
