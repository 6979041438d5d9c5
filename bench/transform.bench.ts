// What changing a body costs: 1 KB of JSON in which two members are removed and two are set, one of them from the body;
// the same with a path through a list; and what JSON.parse and JSON.stringify take for it:
// `bun bench/transform.bench.ts`. Sketch: one look at each byte, an entry for each value, nodes for what lies on the
// way of a change alone, and a copy of the rest in a few pieces. Over a budget every value has become an object.

import { versionMatch } from "../src/config/schema-version.ts";
import { removeAt, setAt, valueAt } from "../src/engines/transform/edits.ts";
import { readJson } from "../src/engines/transform/json-document.ts";
import { JsonNode } from "../src/engines/transform/json-node.ts";
import { parsePath } from "../src/engines/transform/json-path.ts";
import { writeJson } from "../src/engines/transform/json-writer.ts";
import { StreamRemove } from "../src/engines/transform/stream-remove.ts";
import { versionTest } from "../src/routing/version.ts";
import { bench, finish } from "./per-call.ts";

const LINE = { article: "a-long-enough-name-of-an-article", count: 3, price: 12.5 };
const ORDER = {
  ...{ id: 12345, customer: "Ann Example", email: "ann@example.com", code: "DE-12345", placed: "2026-01-02T03:04:05Z" },
  ...{ internal: { cost: 7.5, margin: "12%" }, debug: true, meta: { trace: "0af7651916cd43dd8448eb211c80319c" } },
  lines: Array.from({ length: 11 }, () => LINE),
};
const BODY = Buffer.from(JSON.stringify(ORDER));
const [INTERNAL, DEBUG, TENANT, SEEN, ID, PRICES] = [
  ...["internal", "debug", "meta.tenant", "meta.order", "id", "lines[*].price"].map(parsePath),
];
const VALUE = JsonNode.of('"acme"');

function change(): number {
  const { document } = readJson(BODY);
  if (document === null) throw new Error("the body is no JSON");
  const root = JsonNode.read(document);
  removeAt(root, INTERNAL!);
  removeAt(root, DEBUG!);
  setAt(root, TENANT!, VALUE, false);
  setAt(root, SEEN!, valueAt(root, ID!)!, false);
  const made = writeJson(root, 1_000_000);
  document.release();
  return made!.length;
}

function changeLines(): number {
  const { document } = readJson(BODY);
  const root = JsonNode.read(document!);
  removeAt(root, PRICES!);
  const made = writeJson(root, 1_000_000);
  document!.release();
  return made!.length;
}

function parsed(): number {
  const order = JSON.parse(BODY.toString()) as Partial<typeof ORDER> & { meta: { tenant?: unknown; order?: unknown } };
  delete order.internal;
  delete order.debug;
  order.meta.tenant = "acme";
  order.meta.order = order.id;
  return Buffer.from(JSON.stringify(order)).length;
}

const LINES = Buffer.from(JSON.stringify(Array.from({ length: 1000 }, () => LINE)));

/** As an answer that is too long to be held goes by, in pieces as they come off a socket. */
function passing(): number {
  const stream = new StreamRemove([parsePath("[*].price")]);
  let length = 0;
  const emit = (_: Buffer, from: number, to: number): void => void (length += to - from);
  for (let at = 0; at < LINES.length; at += 16_384) {
    if (!stream.push(LINES, at, Math.min(LINES.length, at + 16_384), emit)) throw new Error("the list is no JSON");
  }
  return length;
}

const version = versionTest(versionMatch.parse({ from: "header:api-version", is: "2", default: "1" }));
const subject = {
  ...{ host: "a", path: "/", method: "GET", query: "", ip: "192.0.2.1", clientCert: null },
  header: () => "v2",
};

bench(`${BODY.length} bytes of JSON: remove 2, set 2`, BODY.length, 15_000, change);
bench(`${BODY.length} bytes of JSON: remove in 11 items of a list`, BODY.length, 20_000, changeLines);
bench("the same as the first by JSON.parse, which loses digits", BODY.length, 20_000, parsed);
bench(`${LINES.length} bytes of JSON as they pass: remove in 1000 items`, LINES.length, 5_000_000, passing, 50);
bench("the version of a request, by a field", 0, 1000, () => (version.test(subject) ? 1 : 0));
finish();
