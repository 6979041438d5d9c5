// Documents become routes, and what is wrong with them is told where it stands.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ConfigError, type Diagnostic } from "../config/diagnostic.ts";
import { checkConfig } from "../config/load.ts";
import type { ConfigInput, RouteConfig } from "../config/schema.ts";
import { expandApis } from "./expand.ts";

type RouteInput = NonNullable<ConfigInput["routes"]>[number];
type Api = Omit<NonNullable<RouteInput["openapi"]>, "document">;

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "expand-"));
});
afterAll(() => rmSync(folder, { recursive: true }));

const HEAD = `openapi: 3.1.0
info: { title: Pets, version: "1" }
servers: [{ url: https://api.example.com/v1 }]
`;
const OK = "responses: { 200: { description: ok } }";
const PETS = `${HEAD}paths:
  /pets/{id}:
    parameters: [{ name: id, in: path, required: true, schema: { type: string } }]
    get: { operationId: getPet, tags: [read], ${OK} }
    delete: { operationId: dropPet, ${OK} }
  /pets/{id}.json:
    get: { parameters: [{ name: id, in: path, required: true, schema: { type: string } }], ${OK} }
  /pets/mine:
    get: { operationId: mine, ${OK} }
    head: { operationId: mineHead, ${OK} }
  /internal:
    get: { operationId: secret, x-internal: true, ${OK} }
`;

let unique = 0;
function expanded(
  text: string,
  openapi: Api = {},
  route: RouteInput = {},
  more: Partial<ConfigInput> = {},
): RouteConfig[] {
  const document = join(folder, `${(unique += 1)}.yaml`);
  writeFileSync(document, text);
  const routes = [{ name: "pets", to: "http://127.0.0.1:1", ...route, openapi: { document, ...openapi } }];
  const input = { listeners: [{ address: ":0" }], ...more, routes: [...routes, ...(more.routes ?? [])] };
  return checkConfig(input, { expand: expandApis }).config.routes;
}

/** `line:column message` of what is in the document, `path message` of what is in the configuration. */
function wrong(...given: Parameters<typeof expanded>): string[] {
  try {
    expanded(...given);
    return [];
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    const place = ({ file, line, column, path }: Diagnostic): string =>
      file.endsWith(".yaml") ? `${line}:${column}` : path.slice(2).join(".");
    return error.diagnostics.map((one) => `${place(one)} ${one.message}`);
  }
}

const shown = ({ name, match }: RouteConfig): string =>
  `${name} ${[match?.method ?? []].flat().join(",")} ${[match?.path].flat().join(" ")}`;

/** Not one that refuses a single operation. */
const isOpen = ({ name, source }: RouteConfig): boolean => source?.kind !== "rest" || name === source.api;

describe("routes", () => {
  test("of operations, the most specific first, and one for all that is left", () => {
    expect(expanded(PETS).map(shown)).toEqual([
      "pets.mine GET /v1/pets/mine",
      "pets.mineHead HEAD /v1/pets/mine",
      "pets.get-pets-id-json GET,HEAD ~^/v1/pets/(?<id>[^/]+?)\\.json$",
      "pets.getPet GET,HEAD /v1/pets/:id",
      "pets.dropPet DELETE /v1/pets/:id",
      "pets.secret GET,HEAD /v1/internal",
      "pets  /v1/*",
    ]);
  });

  test("have what their API has, and what is their own", () => {
    const routes = expanded(
      PETS,
      { base: "", operations: { mine: { to: "http://127.0.0.1:2", checks: false, rateLimit: { rate: "1/s" } } } },
      { match: { host: "a.example" }, limits: { uri: "1KB" } },
    );
    const [mine, , , getPet] = routes;
    expect(mine).toMatchObject({
      to: "http://127.0.0.1:2",
      validate: false,
      limits: { uri: 1024 },
      match: { host: "a.example" },
    });
    expect(mine?.source?.own).toEqual(["rateLimit", "to"]);
    expect(getPet).toMatchObject({
      to: "http://127.0.0.1:1",
      match: { path: "/pets/:id" },
      validate: { requests: "enforce" },
    });
    expect(getPet?.rateLimit).toBeUndefined();
  });

  const KINDS: readonly (readonly [name: string, openapi: Api, want: readonly string[]])[] = [
    ["of one tag", { only: { tags: ["read"] } }, ["pets.getPet", "pets"]],
    ["of some names", { only: { operations: ["mine"] } }, ["pets.mine", "pets"]],
    ["that are internal too", { internal: true, only: { operations: ["secret"] } }, ["pets.secret", "pets"]],
    [
      "without those that are hidden",
      { only: { operations: ["mine", "getPet"] }, operations: { mine: { hidden: true } } },
      ["pets.getPet", "pets"],
    ],
    ["and no other", { only: { operations: ["mine"] }, unknown: "next" }, ["pets.mine"]],
    ["and a page", { only: { operations: ["mine"] }, docs: { path: "/help" } }, ["pets/docs", "pets.mine", "pets"]],
  ];
  for (const [name, openapi, want] of KINDS)
    test(name, () =>
      expect(
        expanded(PETS, openapi)
          .filter(isOpen)
          .map(({ name }) => name!),
      ).toEqual([...want]),
    );

  test("refuse what is left out where another path could stand for it", () => {
    const [mine, , , getPet] = expanded(PETS, { operations: { mine: { hidden: true } } });
    expect([mine?.source?.kind, mine?.source?.operations, getPet?.source?.kind]).toEqual([
      "rest",
      ["HEAD /pets/mine"],
      "operation",
    ]);
  });

  test("of other routes keep the names that their places gave them", () => {
    const routes = expanded(PETS, { only: { operations: ["mine"] } }, {}, { routes: [{ respond: {} }] });
    expect(routes.at(-1)?.name).toBe("route-2");
  });

  test("whose API is mocked ask no server and store nothing", () => {
    const [mine] = expanded(PETS, { mock: true }, { cache: true });
    expect(mine).toMatchObject({ cache: false, source: { mock: true } });
    expect(mine?.to).toBeUndefined();
  });

  test("have names of parameters that templates do not have for something else", () => {
    const text = PETS.replaceAll("{id}", "{host}").replaceAll("name: id", "name: host");
    expect(expanded(text)[3]?.match?.path).toBe("/v1/pets/:host_");
  });

  test("with CORS of their own answer the preflights for them alone", () => {
    const routes = expanded(PETS, { operations: { dropPet: { cors: { origins: ["https://a.example"] } } } });
    const preflight = routes.find(({ name }) => name === "pets.dropPet/preflight");
    expect(preflight?.match).toEqual({
      path: "/v1/pets/:id",
      method: ["OPTIONS"],
      header: { "access-control-request-method": "DELETE" },
    });
  });
});

const withExtension = (extension: string): string =>
  `${HEAD}paths:\n  /a:\n    get:\n      operationId: a\n      x-sluice: ${extension}\n      ${OK}\n`;

describe("x-sluice", () => {
  test("sets what the configuration lets it, the nearest one last", () => {
    const text = withExtension("{ rateLimit: { rate: 5/s }, mock: true }").replace(
      "paths:",
      "x-sluice: { rateLimit: { rate: 1/s }, timeouts: { response: 3s } }\npaths:",
    );
    expect(expanded(text)[0]).toMatchObject({
      rateLimit: { rate: expect.anything() },
      timeouts: { response: 3000 },
      source: { mock: true, own: ["rateLimit", "timeouts"] },
    });
  });

  test("chooses among the upstreams that it may", () => {
    const upstreams = { beta: { servers: ["127.0.0.1:2"] } };
    const text = withExtension("{ to: beta }");
    expect(expanded(text, { upstreams: ["beta"] }, {}, { upstreams })[0]?.to).toBe("beta");
    expect(wrong(text, {}, {}, { upstreams }).slice(-1)).toEqual([
      expect.stringMatching(/^8:19 .*"beta" is none of them/),
    ]);
  });

  const REFUSED: readonly (readonly [extension: string, openapi: Api, message: RegExp])[] = [
    ["{ ratelimit: { rate: 1/s } }", {}, /^8:19 unknown key "ratelimit" .*did you mean "rateLimit"/],
    ["{ auth: false }", {}, /^8:19 unknown key "auth"/],
    ["{ to: 'http://10.0.0.1' }", { upstreams: [] }, /^8:19 .*is none of them/],
    ["{ cache: true }", {}, /^8:19 .*may not set `cache`/],
    ["{ cache: { disk: { path: /etc, size: 1GB } } }", { extensions: ["cache"] }, /^8:19 .*name no files/],
    ["{ rateLimit: false }", {}, /^8:19 .*cannot turn `rateLimit` off/],
    ["{ rateLimit: { rate: fast } }", {}, /^8:38 .*rate/],
    ["{ limits: { bodies: 1KB } }", {}, /^8:29 unknown key "bodies"/],
    ["[]", {}, /^8:17 an object was expected/],
  ];
  for (const [extension, openapi, message] of REFUSED)
    test(`refused: ${extension}`, () =>
      expect(wrong(withExtension(extension), openapi)).toEqual([expect.stringMatching(message)]));

  test("is told once, whoever names the document", () => {
    const document = join(folder, "twice.yaml");
    writeFileSync(document, withExtension("{ nope: 1 }"));
    const again = { to: "http://127.0.0.1:1", openapi: { document } };
    const told = wrong(withExtension("{ nope: 1 }"), {}, {}, { routes: [again, again] });
    expect(told.filter((one) => one.includes("nope"))).toHaveLength(2);
  });
});

describe("mistakes", () => {
  const CASES: readonly (readonly [name: string, given: Parameters<typeof expanded>, want: RegExp])[] = [
    ["not OpenAPI", ["a: 1"], /^1:1 `openapi` is missing/],
    [
      "a name twice",
      [PETS.replace("operationId: mine,", "operationId: getPet,")],
      /^12:25 there is another operation "getPet": GET/,
    ],
    ["a schema that is none", [PETS.replace("type: string", "type: strin")], /^6:72 the schema is none/],
    ["a path that nobody can ask for", [PETS.replace("/internal", "/a/../b")], /^14:3 "\/a\/..\/b": requests never/],
    ["a reference to nowhere", [PETS.replace("{ description: ok }", "{ $ref: '#/x' }")], /^7:7\d "#\/x" leads nowhere/],
    ["a path of the route", [PETS, {}, { match: { path: "/x" } }], /^match.path the document says/],
    ["validate of the route", [PETS, {}, { validate: { openapi: "x" } }], /^validate the document that requests/],
    [
      "an operation that is not there",
      [PETS, { operations: { getPt: {} } }],
      /^openapi.operations.getPt .*no operation/,
    ],
    [
      "a tag that is not there",
      [PETS, { only: { tags: ["x"], operations: ["mine"] } }],
      /^openapi.only.tags.0 no operation/,
    ],
    ["an upstream that is not there", [PETS, { upstreams: ["x"] }], /^openapi.upstreams.0 there is no upstream/],
    [
      "a policy of one operation",
      [PETS, { operations: { mine: { to: "x" } } }],
      /^openapi.operations.mine.to there is no upstream/,
    ],
    [
      "a policy of all, once",
      [PETS, {}, { requestHeaders: { set: { "a b": "1" } } }],
      /^requestHeaders.set.a b .*not a header name/,
    ],
    ["an action of its own", [PETS, {}, { respond: {} }], /`openapi`|has one action/],
  ];
  for (const [name, given, want] of CASES)
    test(name, () => expect(wrong(...given)).toEqual([expect.stringMatching(want)]));

  test("nobody to answer", () => {
    const document = join(folder, "nobody.yaml");
    writeFileSync(document, PETS);
    const input = { listeners: [{ address: ":0" }], routes: [{ openapi: { document } }] };
    expect(() => checkConfig(input, { expand: expandApis })).toThrow(/nobody to answer/);
    const mocked = { listeners: [{ address: ":0" }], routes: [{ openapi: { document, mock: true } }] };
    expect(checkConfig(mocked, { expand: expandApis }).config.routes.length).toBeGreaterThan(1);
  });
});

const SECURED = `${HEAD}security: [{ oauth: [read] }]
paths:
  /a:
    get: { operationId: a, ${OK} }
    put: { operationId: b, security: [{ oauth: [read, write] }, { key: [] }], ${OK} }
    post: { operationId: c, security: [], ${OK} }
components:
  securitySchemes:
    oauth: { type: oauth2, flows: {} }
    key: { type: apiKey, in: header, name: X-Api-Key }
    pass: { type: http, scheme: basic }
`;
const JWT = { jwt: { issuer: "https://i.example", audience: "a", secret: "x".repeat(64) } };
const KEY = { apiKey: { keys: [] } };

describe("security", () => {
  const authOf = (route: RouteInput, openapi: Api = {}): unknown =>
    Object.fromEntries(
      expanded(SECURED, openapi, route).map(({ name, auth }) => [
        name,
        Array.isArray(auth)
          ? auth.map((each) => each.require?.scopeSets)
          : auth === undefined || auth === false
            ? auth
            : auth.require?.scopeSets,
      ]),
    );

  test("scopes are demanded, and ways that the document does not name are none", () => {
    expect(authOf({ auth: [JWT, KEY] })).toEqual({
      "pets.a": [[["read"]], []],
      "pets.b": [[["read", "write"]], undefined],
      "pets.c": [undefined, undefined],
      pets: [undefined, undefined],
    });
  });
  test("besides those that the configuration demands", () => {
    const auth = { ...JWT, require: { scopeSets: [["x"], ["y"]] } };
    expect(authOf({ auth })).toMatchObject({
      "pets.a": [
        ["x", "read"],
        ["y", "read"],
      ],
    });
  });
  test("open operations are open where the document is followed", () => {
    expect(authOf({ auth: JWT }, { security: "follow" })).toMatchObject({ "pets.c": false, "pets.a": [["read"]] });
  });
  test("and policies about those who are known are not theirs", () => {
    const to = [
      { upstream: "app", weight: 9 },
      { upstream: "next", weight: 1, match: { group: "testers", cookie: { next: "1" } } },
      { upstream: "other", weight: 0, match: { cookie: { other: "1" } } },
    ];
    const route: RouteInput = {
      auth: JWT,
      quota: true,
      rateLimit: [{ rate: "1/s" }, { rate: "1/s", key: ["ip", "consumer"] }],
      priority: { level: "low", consumers: { ann: "high" } },
      to,
      split: { by: "consumer" },
    };
    const openapi: Api = { security: "follow", docs: { public: true } };
    const upstreams = Object.fromEntries(to.map(({ upstream }) => [upstream, { servers: ["http://127.0.0.1:1"] }]));
    const made = expanded(SECURED, openapi, route, { plans: { gold: { rate: "1/s" } }, upstreams });
    const of = (name: string) => made.find((each) => each.name === name)!;
    expect(of("pets.a")).toMatchObject({ quota: true, to, split: { by: "consumer" } });
    for (const name of ["pets.c", "pets/docs"]) {
      const { auth, quota, rateLimit, priority } = of(name);
      expect([auth, quota, priority]).toEqual([false, false, { level: "low" }]);
      expect(rateLimit).toMatchObject([{ key: "ip" }]);
    }
    expect(of("pets.c").to).toEqual([to[0], { upstream: "next", weight: 1 }, to[2]] as RouteConfig["to"] & object);
    expect(of("pets.c").split?.by).toBe("ip");
  });
  test("nothing is looked at where it is off", () => {
    expect(authOf({}, { security: "off" })).toMatchObject({ "pets.a": undefined });
  });
  test("a route without `auth` is refused", () => {
    expect(wrong(SECURED)).toEqual([
      expect.stringMatching(/^4:11 GET \/a demands oauth/),
      expect.stringMatching(/^8:38 PUT \/a demands oauth, key/),
    ]);
  });
  test("and so is one with another way in", () => {
    expect(wrong(SECURED, {}, { auth: { basic: { users: {} } } })[0]).toMatch(/demands oauth, which is no way into/);
  });
  test("defaults count", () => {
    expect(expanded(SECURED, {}, {}, { defaults: { auth: JWT } })[0]?.auth).toMatchObject({
      require: { scopeSets: [["read"]] },
    });
  });
});
