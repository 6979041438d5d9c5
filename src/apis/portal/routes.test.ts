// What becomes of a route with a portal, and which mistakes are told.
import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { checkConfig } from "../../config/load.ts";
import type { ConfigInput, RouteConfig } from "../../config/schema.ts";
import { expandApis } from "../expand.ts";

let folder: string;
let document: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "portal-routes-"));
  document = join(folder, "openapi.json");
  const responses = { 200: { description: "fine" } };
  const paths = { "/a": { get: { operationId: "a", responses } }, "/b": { get: { "x-internal": true, responses } } };
  const info = { title: "A", version: "1" };
  writeFileSync(document, JSON.stringify({ openapi: "3.1.0", info, servers: [{ url: "/v1" }], paths }));
});
afterAll(() => rmSync(folder, { recursive: true }));

type RouteInput = NonNullable<ConfigInput["routes"]>[number];
const KEYS: RouteInput["auth"] = { apiKey: { consumers: true } };

function routesOf(portal: RouteInput, more: Partial<ConfigInput> = {}): RouteConfig[] {
  const api: RouteInput = { name: "pets", openapi: { document, mock: true, security: "off" } };
  const input = { listeners: [{ address: ":0" }], ...more, routes: [{ name: "portal", ...portal }, api] };
  return checkConfig(input, { expand: expandApis }).config.routes;
}

test("the page is for everybody, and all else behind `auth`", () => {
  const [page, rest] = routesOf(
    {
      match: { host: "dev.example" },
      portal: { path: "/dev", apis: ["pets"] },
      auth: KEYS,
      rateLimit: [
        { name: "all", rate: "9/s" },
        { name: "each", rate: "1/s", key: "consumer" },
      ],
    },
    { defaults: { cors: { origins: ["*"] }, quota: { default: "free" } }, plans: { free: { rate: "1/s" } } },
  );
  expect(page).toMatchObject({
    name: "portal/page",
    match: { host: "dev.example", path: ["/dev", "/dev/portal.js", "/dev/docs.js", "/dev/portal.css"] },
    ...{ auth: false, quota: false, cors: false, rateLimit: [{ name: "all" }] },
    portalSource: { part: "page", apis: [], ways: [{ kind: "apiKey", header: "x-api-key" }] },
  });
  expect(rest).toMatchObject({
    name: "portal",
    match: { host: "dev.example", path: "/dev/*" },
    ...{ cors: false, rateLimit: [{ name: "all" }, { name: "each" }] },
    portalSource: { part: "rest", apis: [{ api: "pets", operations: ["GET /a"] }] },
  });
  expect([rest?.auth === undefined, rest?.quota]).toEqual([false, false]);
});

const WAYS: readonly (readonly [name: string, auth: RouteInput["auth"], ways: readonly unknown[]])[] = [
  ["a bearer", { apiKey: { header: "Authorization", consumers: true } }, [{ kind: "apiKey", header: "authorization" }]],
  ["a query, which a page does not send", [{ apiKey: { query: "key", consumers: true } }], []],
  ["certificates", { mtls: { consumers: true } }, [{ kind: "session" }]],
  ["a password", { basic: { consumers: true } }, [{ kind: "basic" }]],
  [
    "what says who is a consumer",
    [{ apiKey: { consumers: true } }, { basic: { users: { ann: "$2b$04$abcdefghijklmnopqrstuv" } } }],
    [{ kind: "apiKey", header: "x-api-key" }],
  ],
];
for (const [name, auth, ways] of WAYS)
  test(`signing in with ${name}`, () => {
    expect(routesOf({ portal: {}, auth })[0]!.portalSource!.ways).toEqual(ways as never);
  });

const WRONG: readonly (readonly [name: string, portal: RouteInput, said: RegExp])[] = [
  ["nobody could sign in", { portal: {} }, /nobody could sign in here: the route has no `auth`/],
  [
    "an API that is not there",
    { portal: { apis: ["pet"] }, auth: KEYS },
    /no route named "pet".*\n.*did you mean "pets"/,
  ],
  ["a path in `match`", { match: { path: "/x" }, portal: {}, auth: KEYS }, /`portal.path` says where a portal is/],
  ["two actions", { portal: {}, auth: KEYS, respond: {} }, /`respond` and `portal`/],
  [
    "nobody who is a consumer",
    { portal: {}, auth: { apiKey: { keys: [{ name: "a", key: `sha256:${"0".repeat(64)}` }] } } },
    /a portal is for consumers/,
  ],
  ["more keys than there may be", { portal: { keys: { max: 33 } }, auth: KEYS }, /portal.keys/],
];
for (const [name, portal, said] of WRONG)
  test(`refuses ${name}`, () => {
    expect(() => routesOf(portal)).toThrow(said);
  });
