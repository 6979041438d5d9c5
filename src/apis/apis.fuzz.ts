// Whatever a document says, its routes are made or it is refused with a place; and what routes answer of it, examples and
// page, comes at once and holds nothing of the document that runs. `bun src/apis/apis.fuzz.ts 182` replays one seed.
import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ConfigError } from "../config/diagnostic.ts";
import { checkConfig } from "../config/load.ts";
import type { RouteConfig } from "../config/schema.ts";
import { type Rng, runAlone } from "../core/fuzz.testing.ts";
import { RequestHead, ResponseHead } from "../http/message.ts";
import type { Downstream } from "../pipeline/exchange.ts";
import { Exchange } from "../pipeline/exchange.ts";
import { compileApiAction } from "./action.ts";
import { expandApis } from "./expand.ts";

const BASE = {
  openapi: "3.1.0",
  info: { title: "T", version: "1", description: "a **b** `c` [d](https://e)" },
  servers: [{ url: "https://a.example/v1" }],
  tags: [{ name: "t", description: "text" }],
  "x-sluice": { rateLimit: { rate: "5/s" } },
  paths: {
    "/a/{id}": {
      parameters: [{ name: "id", in: "path", required: true, schema: { type: "string" } }],
      get: {
        operationId: "get",
        tags: ["t"],
        summary: "s",
        security: [{ key: [] }],
        parameters: [{ name: "q", in: "query", example: 7, schema: { type: "integer", minimum: 3 } }],
        responses: {
          200: {
            description: "d",
            headers: { "x-a": { schema: { type: "integer" } } },
            content: { "application/json": { schema: { $ref: "#/components/schemas/A" } } },
          },
          "4XX": { description: "e", content: { "text/*": { examples: { a: { value: "x" } } } } },
        },
      },
      post: {
        "x-sluice": { mock: true },
        requestBody: { content: { "application/xml": { schema: { $ref: "#/components/schemas/A" } } } },
        responses: { default: { $ref: "#/components/responses/R" } },
      },
    },
  },
  components: {
    responses: { R: { description: "r" } },
    securitySchemes: { key: { type: "apiKey", in: "header", name: "k" } },
    schemas: {
      A: {
        type: "object",
        required: ["a"],
        properties: {
          a: { type: "string", pattern: "^a+$" },
          b: { $ref: "#/components/schemas/A" },
          c: { type: "array" },
        },
        discriminator: { propertyName: "a", mapping: { x: "A" } },
      },
    },
  },
};

const VALUES: readonly unknown[] = [
  ...[
    null,
    true,
    false,
    0,
    -1,
    1e300,
    "",
    "x",
    "200",
    "__proto__",
    "constructor",
    "</script><script>",
    "' onload='x",
    "\u0000",
    "{id}",
  ],
  ...[
    "#/components/schemas/A",
    "#/paths",
    "#/",
    "other.yaml#/x",
    "../../../etc/passwd",
    "http://a/b",
    "javascript:x",
    "^(a+)+$",
  ],
  ...[[], {}, [[]], { $ref: "#/components/schemas/A" }, { $ref: "#" }, { allOf: [{ $ref: "#/components/schemas/A" }] }],
  ...[{ __proto__: 1 }, { type: ["null", "array"], minItems: 1e9 }, { type: "string", minLength: 1e9 }],
];

/** The value with some of its parts replaced, taken away, or put elsewhere. */
function mutated(rng: Rng, value: unknown): unknown {
  const copy = structuredClone(value);
  const spots: [holder: Record<string, unknown>, key: string][] = [];
  const walk = (node: unknown): void => {
    if (typeof node !== "object" || node === null) return;
    for (const [key, each] of Object.entries(node)) {
      spots.push([node as Record<string, unknown>, key]);
      walk(each);
    }
  };
  walk(copy);
  for (let count = 1 + rng.below(4); count > 0; count -= 1) {
    const [holder, key] = rng.pick(spots);
    const kind = rng.below(4);
    if (kind === 0) delete holder[key];
    else if (kind === 1) holder[String(rng.pick(VALUES))] = structuredClone(holder[key]);
    else if (kind === 2) holder[key] = structuredClone(rng.pick(spots)[1]);
    else holder[key] = structuredClone(rng.pick(VALUES));
  }
  return copy;
}

const document = join(mkdtempSync(join(tmpdir(), "apis-fuzz-")), "openapi.json");
const ACCEPTS = ["*/*", "application/json", "text/plain;q=0.1, */*;q=0", ",,;;", ""];
const PREFERS = ["code=404", "example=a", 'code=499, example="x"', "code=200; example=__proto__", "=,;"];

export function apisLaw(rng: Rng): void {
  const value = mutated(rng, BASE);
  writeFileSync(document, JSON.stringify(value));
  const security = rng.pick(["off", "follow", "check"] as const);
  const openapi = { document, mock: true, docs: true, security, checks: rng.oneIn(2) ? (false as const) : {} };
  let routes: readonly RouteConfig[];
  try {
    const auth = { apiKey: { header: "k", keys: [] } };
    const input = { listeners: [{ address: ":0" }], routes: [{ name: "api", auth, openapi }] };
    routes = checkConfig(input, { expand: expandApis }).config.routes;
  } catch (error) {
    if (error instanceof ConfigError) return;
    throw new Error(`${JSON.stringify(value)}: ${(error as Error).stack}`);
  }
  for (const { source } of routes) {
    const before = performance.now();
    try {
      const action = compileApiAction(source!);
      if (action.kind !== "reply") throw new Error(action.kind);
      const outcome = action.reply(asking(rng, source!.kind === "docs" ? source!.docs!.path : "/v1/a/1"));
      if ("code" in outcome) continue;
      const text = outcome.body.toString();
      if (source!.kind === "docs" && (text.match(/<script|<img|<a [^>]*href="javascript:/g)?.length ?? 0) !== 1)
        throw new Error("the page has something that runs");
    } catch (error) {
      throw new Error(`${JSON.stringify(value)}: ${(error as Error).stack}`);
    }
    if (performance.now() - before > 2000) throw new Error(`${JSON.stringify(value)}: it takes too long`);
  }
}

function asking(rng: Rng, path: string): Exchange {
  const head = new RequestHead();
  head.method = "GET";
  head.target = path;
  head.headers.add("accept", rng.pick(ACCEPTS));
  head.headers.add("prefer", rng.pick(PREFERS));
  const client = { address: "127.0.0.1", port: 1, scheme: "http" as const, certificate: null };
  return new Exchange(head, new ResponseHead(), {} as Downstream, client as unknown as Exchange["client"], ":0", 0);
}

if (import.meta.main) runAlone("apis", apisLaw);
