// Routes from a document as clients meet them: operations, mocks, the page, and what is not there.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { createHash } from "node:crypto";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parse } from "yaml";
import { type ConfigError, renderDiagnostic } from "../src/config/diagnostic.ts";
import { checkConfig } from "../src/config/load.ts";
import { explain } from "../src/control/explain.ts";
import { CONFIG_CHECKS } from "../src/control/verify.ts";
import { answer, type Message, request } from "./support/message.ts";
import { exchange } from "./support/peer.ts";
import { refusingPort } from "./support/ports.ts";
import { startProxy, type TestProxy } from "./support/proxy.ts";
import { RawBackend } from "./support/raw-backend.ts";

const DOCUMENT = `openapi: 3.1.0
info: { title: "Pets <b>", version: "1", description: "<script>alert(1)</script> [x](javascript:alert(1))" }
servers: [{ url: "https://internal.example/v1" }]
x-sluice: { timeouts: { response: 20s } }
paths:
  /pets:
    get:
      operationId: listPets
      tags: ["pets <i>"]
      summary: 'All <img src=x onerror="alert(2)">'
      parameters: [{ name: limit, in: query, schema: { type: integer, maximum: 100 } }]
      responses:
        200:
          description: pets
          headers: { X-Total: { schema: { type: integer }, example: 12 }, Transfer-Encoding: { schema: {}, example: chunked } }
          content:
            application/json: { schema: { type: array, items: { $ref: "parts/pet.yaml#/Pet" } } }
            application/xml: { schema: { $ref: "parts/pet.yaml#/Pet" } }
        404:
          description: none
          content:
            application/json:
              examples: { gone: { value: { code: gone } }, other: { $ref: "#/components/examples/Other" } }
        5XX: { description: broken, content: { text/plain: { example: sorry } } }
    post:
      operationId: makePet
      tags: ["pets <i>"]
      security: [{ key: [write] }]
      requestBody: { required: true, content: { application/json: { schema: { $ref: "parts/pet.yaml#/Pet" } } } }
      responses: { 201: { description: made }, default: { description: error, content: { application/json: { schema: { $ref: "#/components/schemas/Error" } } } } }
  /pets/{id}:
    get:
      operationId: getPet
      parameters: [{ name: id, in: path, required: true, schema: { type: integer } }]
      responses: { 200: { description: one, content: { application/json: { schema: { $ref: "parts/pet.yaml#/Pet" } } } } }
  /notes/{name}:
    get: { operationId: getNote, parameters: [{ name: name, in: path, required: true, schema: { type: string } }], responses: { 200: { description: one } } }
  /notes/hidden:
    get: { operationId: hiddenNote, x-sluice: { hidden: true }, responses: { 200: { description: one } } }
  /audit:
    get: { operationId: audit, x-internal: true, responses: { 200: { description: "", content: { application/json: { schema: { $ref: "#/components/schemas/Audit" } } } } } }
components:
  securitySchemes: { key: { type: apiKey, in: header, name: x-api-key }, unused: { type: http, scheme: basic } }
  examples: { Other: { value: { code: other } } }
  schemas:
    Error: { type: object, properties: { code: { type: string } } }
    Audit: { type: object, properties: { password: { type: string } } }
`;
const PET = `Pet:
  type: object
  required: [name]
  properties: { name: { type: string, minLength: 1 }, kind: { enum: [dog, cat] }, friends: { type: array, items: { $ref: "#/Pet" } } }
`;
const hashed = (key: string): string => `sha256:${createHash("sha256").update(key).digest("hex")}`;
const auth = {
  apiKey: {
    keys: [
      { name: "ann", key: hashed("reads"), scopes: ["read"] },
      { name: "bob", key: hashed("writes"), scopes: ["read", "write"] },
    ],
  },
};

let folder: string;
let backend: RawBackend;
let proxy: TestProxy;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "openapi-"));
  mkdirSync(join(folder, "parts"));
  const document = join(folder, "openapi.yaml");
  writeFileSync(document, DOCUMENT);
  writeFileSync(join(folder, "parts", "pet.yaml"), PET);
  backend = await RawBackend.answering(({ target }) =>
    target.startsWith("/v1/pets/5") ? answer(501) : answer(200, target, ["Content-Type: text/plain"]),
  );
  const cors = { origins: ["https://app.example"], methods: ["GET", "POST"] };
  const closed = `http://127.0.0.1:${await refusingPort()}`;
  proxy = await startProxy({
    defaults: { retry: false },
    routes: [
      {
        name: "real",
        match: { host: "real" },
        openapi: { document, docs: { public: true } },
        auth,
        cors,
        to: backend.url,
      },
      {
        name: "limited",
        match: { host: "limited" },
        openapi: { document, security: "off" },
        rateLimit: { rate: "2/h", burst: 2 },
        to: backend.url,
      },
      {
        name: "mock",
        match: { host: "mock" },
        openapi: { document, security: "off", mock: true, docs: true, base: "" },
      },
      {
        name: "half",
        match: { host: "half" },
        openapi: { document, security: "off", mock: "fallback", checks: false },
        to: backend.url,
      },
      {
        name: "down",
        match: { host: "down" },
        openapi: { document, security: "off", mock: "fallback" },
        cors,
        to: closed,
      },
      {
        name: "forward",
        match: { host: "forward" },
        openapi: { document, security: "off", unknown: "forward" },
        to: backend.url,
      },
      {
        name: "next",
        match: { host: "next" },
        openapi: { document, security: "off", unknown: "next" },
        cors,
        to: backend.url,
      },
      { name: "behind", match: { host: "next" }, respond: { body: "behind" } },
    ],
  });
}, 30_000);

afterAll(async () => {
  await proxy[Symbol.asyncDispose]();
  await backend[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true });
});

function ask(
  host: string,
  target: string,
  fields: readonly string[] = [],
  method = "GET",
  body = "",
): Promise<Message> {
  return exchange(proxy.port, request(target, fields, method, body).replace(/^Host: .*$/m, `Host: ${host}`));
}
const json = async (...args: Parameters<typeof ask>): Promise<unknown> => JSON.parse((await ask(...args)).body);

describe("operations", () => {
  const READS = "X-Api-Key: reads";
  const TYPE = "Content-Type: application/json";
  const CASES: readonly (readonly [name: string, args: Parameters<typeof ask>, status: number])[] = [
    ["are forwarded", ["real", "/v1/pets/7", [READS]], 200],
    ["ask who it is", ["real", "/v1/pets/7"], 401],
    ["are held against the document", ["real", "/v1/pets/x", [READS]], 400],
    ["want their scopes", ["real", "/v1/pets", [READS, TYPE], "POST", '{"name":"a"}'], 403],
    ["and take who has them", ["real", "/v1/pets", ["X-Api-Key: writes", TYPE], "POST", '{"name":"a"}'], 200],
    ["look at bodies", ["real", "/v1/pets", ["X-Api-Key: writes", TYPE], "POST", '{"name":""}'], 400],
    ["HEAD where there is GET", ["mock", "/pets/7", [], "HEAD"], 200],
    ["that are internal are not there", ["real", "/v1/audit", [READS]], 404],
    ["that are hidden are not another one's either", ["forward", "/v1/notes/hidden"], 404],
    ["as what is not hidden is", ["forward", "/v1/notes/other"], 200],
    ["beside them there is nothing", ["real", "/v1/other", [READS]], 404],
    ["and what is not there asks as well who it is", ["real", "/v1/other"], 401],
    ["outside of the base no route is there", ["real", "/pets", [READS]], 404],
    ["others are forwarded where that is wanted", ["forward", "/v1/other"], 200],
    ["but not what servers may take for an operation", ["forward", "/v1/PETS"], 404],
    ["with a slash at its end", ["forward", "/v1/pets/7/"], 404],
    ["with parameters of the path", ["forward", "/v1/pets;a=1"], 404],
    ["or for one that is hidden", ["forward", "/v1/Notes/Hidden/"], 404],
    ["nor one that is internal", ["forward", "/v1/audit/"], 404],
    ["a method that is not described is", ["forward", "/v1/pets", [], "DELETE"], 200],
  ];
  for (const [name, args, status] of CASES) test(name, async () => expect((await ask(...args)).status).toBe(status));

  test("a method that a path has not is told those that it has", async () => {
    const got = await ask("real", "/v1/pets", [READS], "DELETE");
    expect([got.status, got.field("allow")]).toEqual([405, "GET, POST, HEAD"]);
    expect(JSON.parse(got.body)).toMatchObject({ status: 405, detail: "The path does not have this method." });
  });
  test("preflights are answered", async () => {
    const fields = ["Origin: https://app.example", "Access-Control-Request-Method: POST"];
    for (const host of ["real", "next"]) {
      const got = await ask(host, "/v1/pets", fields, "OPTIONS");
      expect([got.status, got.field("access-control-allow-origin")]).toEqual([204, "https://app.example"]);
    }
  });
  test("what is left goes to the next routes where that is wanted", async () => {
    expect((await ask("next", "/v1/other")).body).toBe("behind");
    expect((await ask("next", "/v1/pets/1")).body).toBe("/v1/pets/1");
  });
  test("a limit of the API is one for all of them", async () => {
    const got = [
      await ask("limited", "/v1/pets"),
      await ask("limited", "/v1/pets/1"),
      await ask("limited", "/v1/other"),
    ];
    expect(got.map(({ status }) => status)).toEqual([200, 200, 429]);
  });
});

describe("mocks", () => {
  const pet = { name: "text", kind: "dog", friends: [] };
  test("answer with what the schema has", async () => {
    const got = await ask("mock", "/pets");
    expect([got.status, got.field("x-total"), got.field("content-type")]).toEqual([200, "12", "application/json"]);
    expect(got.field("transfer-encoding")).toBeNull();
    expect(JSON.parse(got.body)).toEqual([pet]);
  });
  test("are the same each time", async () =>
    expect((await ask("mock", "/pets/1")).body).toBe((await ask("mock", "/pets/2")).body));
  test("still refuse what is not as described", async () =>
    expect((await ask("mock", "/pets?limit=1000")).status).toBe(400));
  test("have no body where there is none", async () => {
    const got = await ask("mock", "/pets", ["Content-Type: application/json"], "POST", '{"name":"a"}');
    expect([got.status, got.body]).toEqual([201, ""]);
  });

  const PREFERENCES: readonly (readonly [prefer: string, status: number, body: unknown, applied: string | null])[] = [
    ["code=404", 404, { code: "gone" }, "code=404"],
    ["code=404, example=other", 404, { code: "other" }, 'code=404, example="other"'],
    ['example="other"; code=404', 404, { code: "other" }, 'code=404, example="other"'],
    ["code=404, example=unknown", 404, { code: "gone" }, "code=404"],
    ["code=418", 200, [pet], null],
    ["code=abc, respond-async", 200, [pet], null],
  ];
  for (const [prefer, status, body, applied] of PREFERENCES)
    test(`Prefer: ${prefer}`, async () => {
      const got = await ask("mock", "/pets", [`Prefer: ${prefer}`]);
      expect([got.status, JSON.parse(got.body), got.field("preference-applied")]).toEqual([status, body, applied]);
    });
  test("of a class of statuses", async () => {
    const got = await ask("mock", "/pets", ["Prefer: code=503"]);
    expect([got.status, got.field("content-type"), got.body]).toEqual([503, "text/plain", "sorry"]);
  });
  test("in the form that is wanted", async () => {
    const got = await ask("mock", "/pets", ["Accept: application/json;q=0.5, application/*"]);
    expect(got.field("content-type")).toBe("application/xml");
    expect(got.body).toContain("<name>text</name><kind>dog</kind>");
    expect((await ask("mock", "/pets", ["Accept: image/png"])).status).toBe(406);
    expect((await ask("mock", "/pets", ["Accept: */*;q=0"])).status).toBe(406);
  });

  test("stand in for servers that cannot be reached", async () => {
    const got = await ask("down", "/v1/pets/3", ["Origin: https://app.example"]);
    expect([got.status, got.field("access-control-allow-origin")]).toEqual([200, "https://app.example"]);
    expect(JSON.parse(got.body)).toEqual(pet);
    const posted = await ask("down", "/v1/pets", ["Content-Type: application/json"], "POST", '{"name":"a"}');
    expect(posted.status).toBe(201);
  });
  test("and for what a server has not built yet, but for nothing else", async () => {
    expect(await json("half", "/v1/pets/5")).toEqual(pet);
    expect((await ask("half", "/v1/pets/6")).body).toBe("/v1/pets/6");
    expect((await ask("half", "/v1/other")).status).toBe(404);
  });
});

describe("the page", () => {
  test("is open where it is public, and the rest is not", async () => {
    const got = await ask("real", "/docs", ["Accept: text/html"]);
    expect([got.status, got.field("content-type"), got.field("x-content-type-options")]).toEqual([
      200,
      "text/html; charset=utf-8",
      "nosniff",
    ]);
    expect((await ask("limited", "/docs")).status).toBe(404);
  });
  test("runs nothing that a document says", async () => {
    const { body, fields } = await ask("mock", "/docs");
    const csp = fields.find(([name]) => name.toLowerCase() === "content-security-policy")?.[1] ?? "";
    expect(csp).toMatch(
      /^default-src 'none'; script-src 'sha256-[\w+/=]+'; style-src 'sha256-[\w+/=]+'; connect-src 'self'; /,
    );
    const inner = (tag: string): string => new RegExp(`<${tag}>([\\s\\S]*?)</${tag}>`).exec(body)?.[1] ?? "";
    for (const tag of ["script", "style"])
      expect(csp).toContain(`'sha256-${createHash("sha256").update(inner(tag), "latin1").digest("base64")}'`);
    expect(body.match(/<script/g)).toHaveLength(1);
    for (const text of ["<img", "<b>", "<i>", 'javascript:alert(1)"', " style=", " onclick="])
      expect(body).not.toContain(text);
    expect(body).toContain("&#60;script&#62;alert(1)&#60;/script&#62;");
  });
  test("is not sent again to who has it", async () => {
    const etag = (await ask("mock", "/docs")).field("etag");
    expect((await ask("mock", "/docs", [`If-None-Match: ${etag}`])).status).toBe(304);
  });
  test("has the document beside it, in one piece and without what is internal", async () => {
    const got = await ask("mock", "/docs/openapi.json");
    const document = JSON.parse(got.body);
    expect(Object.keys(document.paths)).toEqual(["/pets", "/pets/{id}", "/notes/{name}"]);
    expect(Object.keys(document.components.schemas).sort()).toEqual(["Error", "Pet"]);
    expect(document.components.schemas.Pet.properties.friends.items).toEqual({ $ref: "#/components/schemas/Pet" });
    expect(Object.keys(document.components.securitySchemes)).toEqual(["key"]);
    expect(document.servers).toEqual([{ url: "/" }]);
    for (const secret of ["internal", "x-sluice", "audit", "Audit", "password", "parts/"])
      expect(got.body).not.toContain(secret);
    expect(parse((await ask("mock", "/docs/openapi.yaml")).body)).toEqual(document);
  });
  test("answers no other method", async () => expect((await ask("mock", "/docs", [], "POST")).status).toBe(404));
});

describe("without traffic", () => {
  const input = (document: string): unknown => ({
    listeners: [{ address: ":0" }],
    routes: [{ name: "pets", openapi: { document, security: "off" }, to: backend.url }],
  });

  test("`explain` names the operation", () => {
    const { config } = checkConfig(input(join(folder, "openapi.yaml")), CONFIG_CHECKS);
    const { match } = explain(config, { method: "GET", url: "/v1/pets/7", headers: [], ip: null });
    expect(match).toMatchObject({ route: "pets.getPet", requestFilters: ["validate"], action: "forward" });
  });

  test("`check` names file, line and column of a mistake in a file that is referred to", () => {
    const document = join(folder, "broken.yaml");
    writeFileSync(document, DOCUMENT.replaceAll("pet.yaml", "broken.yaml"));
    writeFileSync(join(folder, "parts", "broken.yaml"), PET.replace("type: string", "type: strin"));
    try {
      checkConfig(input(document), CONFIG_CHECKS);
      expect.unreachable();
    } catch (error) {
      const told = (error as ConfigError).diagnostics.map(renderDiagnostic);
      expect(told).toEqual([expect.stringMatching(/parts\/broken\.yaml:4:31: error: the schema is none/)]);
    }
  });
});
