// The parts of what routes of documents answer: negotiation, preferences, bodies, documents without what is internal; and
// that the order of routes is that of the paths of a document.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { loadConfig } from "../config/load.ts";
import { PathTree } from "../engines/openapi/index.ts";
import { compileRoutes } from "../routing/table.ts";
import { bestType } from "./accept.ts";
import { type ApiDocument, readApi, routePath } from "./api-document.ts";
import { inlineHtml, textHtml } from "./docs/html.ts";
import { published } from "./docs/publish.ts";
import { schemaHtml } from "./docs/schema-html.ts";
import { expandApis } from "./expand.ts";
import { Mock } from "./mock.ts";
import { bodyOf } from "./mock-body.ts";
import { preferencesOf } from "./prefer.ts";

const TYPES = ["application/json", "text/plain", "application/xml"];
const ACCEPTS: readonly (readonly [accept: string | null, want: number])[] = [
  [null, 0],
  ["", 0],
  ["*/*", 0],
  ["text/*", 1],
  ["application/xml", 2],
  ["TEXT/PLAIN", 1],
  ["application/json;q=0.2, application/xml;q=0.8", 2],
  ["application/*;q=0.5, application/xml;q=0", 0],
  ["*/*;q=0.1, text/plain", 1],
  ["*/*;q=0", -1],
  ["application/json;q=x", -1],
  ["image/png", -1],
  [",;,=", -1],
];
for (const [accept, want] of ACCEPTS) test(`Accept: ${accept}`, () => expect(bestType(accept, TYPES)).toBe(want));

const PREFERS: readonly (readonly [field: string | null, code: number, example: string])[] = [
  [null, 0, ""],
  ["code=404", 404, ""],
  ["CODE = 404 , Example = one", 404, "one"],
  ['example="a, b"; code=500', 500, "a, b"],
  ['example="a\\"b", code=500', 500, 'a"b'],
  ['example="code=404', 0, '"code=404'],
  ["respond-async, wait=10, code=2e2", 0, ""],
  ["code=404, code=500", 404, ""],
  ["code=100", 0, ""],
  ["code=4040", 0, ""],
  [`example=${"x".repeat(2000)}`, 0, ""],
];
for (const [field, code, example] of PREFERS)
  test(`Prefer: ${field?.slice(0, 40)}`, () => expect(preferencesOf(field)).toEqual({ code, example }));

const BODIES: readonly (readonly [value: unknown, type: string, schema: unknown, want: string])[] = [
  [{ a: 1 }, "application/json; charset=utf-8", {}, '{"a":1}'],
  ["a", "application/problem+json", {}, '"a"'],
  ["a", "text/plain", {}, "a"],
  [{ a: [1, 2], b: "c d" }, "application/x-www-form-urlencoded", {}, "a=1&a=2&b=c+d"],
  [undefined, "application/json", {}, ""],
  [
    { a: "<&>", "b c": [1, 2] },
    "application/xml",
    { $ref: "#/x/Pet" },
    "<Pet><a>&#60;&#38;&#62;</a><item>1</item><item>2</item></Pet>",
  ],
  [1, "text/xml", { xml: { name: "n" } }, "<n>1</n>"],
];
for (const [value, type, schema, want] of BODIES)
  test(`body: ${want}`, () =>
    expect(
      bodyOf(value, type, schema)
        .toString()
        .replace(/^<\?.*\n|\n$/g, ""),
    ).toBe(want));

const TEXTS: readonly (readonly [markdown: string, want: string])[] = [
  ["a <b>", "<p>a &#60;b&#62;</p>"],
  ["**a** and `b<`", "<p><strong>a</strong> and <code>b&#60;</code></p>"],
  ["[a](https://b/?c&d)", '<p><a href="https://b/?c&#38;d" rel="noreferrer noopener">a</a></p>'],
  ["[a](javascript:alert(1))", "<p>[a](javascript:alert(1))</p>"],
  ['[a](https://b"onclick=1)', '<p><a href="https://b&#34;onclick=1" rel="noreferrer noopener">a</a></p>'],
  ["- a\n- b", "<ul><li>a</li><li>b</li></ul>"],
  ["# a", "<p><strong>a</strong></p>"],
  ["```\n<a>\n```", '<pre tabindex="0"><code>&#60;a&#62;</code></pre>'],
];
test("marks without an end are not searched for through all of a text", () => {
  const began = performance.now();
  for (const mark of ["[", "`a", "**a", "[a](", "```"]) textHtml(mark.repeat(20_000));
  for (const mark of ["[", "`a", "**a", "[a]("]) inlineHtml(mark.repeat(1_000_000));
  expect(performance.now() - began).toBeLessThan(1000);
});

for (const [markdown, want] of TEXTS) test(`text: ${markdown}`, () => expect(textHtml(markdown)).toBe(want));

test("a schema is shown with its limits, and others by their names", () => {
  const html = schemaHtml({
    type: "object",
    required: ["a"],
    properties: { a: { type: "string", maxLength: 3, enum: ["<"] }, b: { $ref: "#/components/schemas/B~1C" } },
  });
  expect(html).toContain('<code>a</code> <span class="required">required</span>');
  expect(html).toContain("one of <code>&#60;</code>");
  expect(html).toContain('href="#schema-B-2f-C">B/C</a>');
});

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "apis-"));
  mkdirSync(join(folder, "parts"));
});
afterAll(() => rmSync(folder, { recursive: true }));

const fail = (error: Error): never => {
  throw error;
};
function api(document: unknown, name: string): ApiDocument {
  const file = join(folder, `${name}.json`);
  writeFileSync(file, JSON.stringify(document));
  return readApi(file, null, () => undefined, fail);
}

test("a document that grows by its references is not published", () => {
  const pathItems: Record<string, unknown> = { P40: {} };
  for (let at = 0; at < 40; at += 1) {
    const next = { $ref: `#/components/pathItems/P${at + 1}` };
    pathItems[`P${at}`] = { post: { responses: {}, callbacks: { told: { one: next, another: next } } } };
  }
  const paths = { "/a": { $ref: "#/components/pathItems/P0" } };
  const document = api(
    { openapi: "3.1.0", info: { title: "t", version: "1" }, paths, components: { pathItems } },
    "grows",
  );
  expect(() => published(document, document.operations)).toThrow("more than 2000000 values");
});

test("an example that is nested too deep is a mistake in the document", () => {
  const example = JSON.parse(`${"[".repeat(100_000)}${"]".repeat(100_000)}`);
  const fields = { responses: { 200: { description: "", content: { "application/json": { example } } } } };
  const paths = { "/a": { get: { responses: {} } } };
  const document = api({ openapi: "3.1.0", info: { title: "t", version: "1" }, paths }, "deep");
  expect(() => new Mock(document, { ...document.operations[0]!, fields }).prepare()).toThrow("nested too deep");
});

describe("a published document", () => {
  const shared = {
    type: "object",
    properties: { self: { $ref: "#/A" }, deep: { $ref: "../main.json#/components/schemas/B" } },
  };
  const B = { discriminator: { propertyName: "k", mapping: { a: "C" } }, example: { $ref: "#/not/a/reference" } };
  const document = {
    openapi: "3.1.0",
    info: { title: "t", version: "1" },
    paths: {
      "/a": { $ref: "parts/paths.json#/a" },
      "/b": { get: { "x-internal": true, responses: { 200: { $ref: "#/components/responses/Secret" } } } },
    },
    components: { schemas: { B, C: { type: "string" }, A: { const: "another A" } }, responses: { Secret: {} } },
  };
  const path = {
    parameters: [{ $ref: "shared.json#/P" }],
    get: { responses: { 200: { content: { "application/json": { schema: { $ref: "shared.json#/A" } } } } } },
    post: {
      responses: {
        200: { content: { "application/json": { schema: { $ref: "../main.json#/components/schemas/A" } } } },
      },
    },
  };
  const write = (): ApiDocument => {
    writeFileSync(join(folder, "parts/paths.json"), JSON.stringify({ a: path }));
    writeFileSync(
      join(folder, "parts/shared.json"),
      JSON.stringify({ A: shared, P: { name: "p", in: "query", schema: true } }),
    );
    return api(document, "main");
  };

  test("is one file, in which references are right and circles end", () => {
    const whole = write();
    const made = published(
      whole,
      whole.operations.filter(({ internal }) => !internal),
    ) as unknown as {
      paths: Record<string, unknown>;
      components: Record<string, Record<string, unknown>>;
    };
    const text = JSON.stringify(made);
    expect(text).not.toMatch(/\.json#|Secret/);
    for (const [, kind = "", name = ""] of text.matchAll(/"\$ref":"#\/components\/(\w+)\/(\w+)"/g))
      expect(made.components[kind]).toHaveProperty(name);
    expect(Object.keys(made.paths)).toEqual(["/a"]);
    expect(Object.keys(made.components.schemas!).sort()).toEqual(["A", "A_2", "B", "C"]);
    expect(made.components.schemas!.B).toMatchObject({
      discriminator: { mapping: { a: "#/components/schemas/C" } },
      example: { $ref: "#/not/a/reference" },
    });
  });
});

test("the files of documents are those of the configuration", async () => {
  writeFileSync(
    join(folder, "sluice.json"),
    JSON.stringify({ listeners: [{ address: ":0" }], routes: [{ openapi: { document: "main.json", mock: true } }] }),
  );
  const { files } = await loadConfig(join(folder, "sluice.json"), { expand: expandApis });
  expect(files).toContain(join(folder, "main.json"));
  expect(files).toContain(join(folder, "parts/shared.json"));
});

test("routes are found as paths of the document are", () => {
  const segment = fc.constantFrom("a", "b", "{p}", "{q}", "x{p}", "{p}.json", "{p}-{q}", "{p}-{q}-{r}.a");
  const template = fc
    .tuple(fc.array(segment, { minLength: 1, maxLength: 3 }), fc.constantFrom("", "/"))
    .map(([parts, end]) => `/${parts.join("/")}${end}`);
  const asked = fc
    .array(fc.constantFrom("a", "b", "c", "xa", "a.json", "a-b", "xa-b.json", "---", "--b-c.a", "a-b-c.a.a"), {
      minLength: 1,
      maxLength: 3,
    })
    .chain((parts) => fc.constantFrom("", "/").map((end) => `/${parts.join("/")}${end}`));
  fc.assert(
    fc.property(
      fc.array(template, { maxLength: 8 }),
      fc.array(asked, { minLength: 1, maxLength: 8 }),
      (templates, paths) => {
        const tree = new PathTree<string>();
        const taken = templates.filter((each) => {
          try {
            tree.add(each, each);
            return true;
          } catch {
            return false; // alike, or with a name twice
          }
        });
        const ordered = tree.leaves();
        expect([...ordered].sort()).toEqual([...taken].sort());
        const table = compileRoutes(
          ordered.map((each) => ({ name: each, match: { path: routePath("", each) }, value: each })),
        );
        for (const path of paths) {
          const subject = { host: "", path, method: "GET", query: "", ip: "", clientCert: null, header: () => null };
          expect([path, table.find(subject)]).toEqual([path, tree.find(path, [])]);
        }
      },
    ),
    { numRuns: 500 },
  );
});

test("a long path is told from a pattern of many names in no time", () => {
  const regex = new RegExp(routePath("", "/r/{a}-{b}-{c}-{d}-{e}.{f}").slice(1));
  expect({ ...regex.exec("/r/1-2-3-4-5-6.pdf.gz")?.groups }).toEqual({
    a: "1",
    b: "2",
    c: "3",
    d: "4",
    e: "5-6",
    f: "pdf.gz",
  });
  const began = performance.now();
  expect(regex.test(`/r/${"-".repeat(8000)}`)).toBe(false);
  expect(performance.now() - began).toBeLessThan(100); // trying all ways to part it would take hours
});
