import { describe, expect, test } from "bun:test";
import { transformSchema } from "../../config/schema-transform.ts";
import { contextOf } from "../context.testing.ts";
import { transform } from "./filter.ts";
import { bodyTypeOf, isUtf8Type, prefersXml } from "./media.ts";

const compiled = (config: object) =>
  transform.compile({ transform: transformSchema.parse(config) }, contextOf({ params: ["id"] }));

describe("mistakes are told with the key that they are in", () => {
  const request = (json: object) => ({ request: { json } });
  const CASES: readonly (readonly [name: string, config: object, path: readonly (string | number)[]])[] = [
    ["no path", request({ remove: ["ok", "a..b"] }), ["request", "json", "remove", 1]],
    ["a path without an end", request({ set: { "**": 1 } }), ["request", "json", "set", "**"]],
    ["anywhere, to be set", request({ set: { "**.a": 1 } }), ["request", "json", "set", "**.a"]],
    ["anywhere, to be kept", request({ keep: ["**.a"] }), ["request", "json", "keep", 0]],
    ["a name for an item", request({ rename: { "a[0]": "b" } }), ["request", "json", "rename", "a[0]"]],
    ["many to one", request({ move: { "a[*].b": "c" } }), ["request", "json", "move", "a[*].b"]],
    ["one to many", request({ move: { a: "b[*].c" } }), ["request", "json", "move", "a"]],
    ["anywhere, to be moved", request({ move: { "**.a": "**.b" } }), ["request", "json", "move", "**.a"]],
    ["a placeholder", request({ set: { a: { b: ["{nothing}"] } } }), ["request", "json", "set", "a", "b", 0]],
    ["a path in a placeholder", request({ set: { a: "x{body.a..b}" } }), ["request", "json", "set", "a"]],
    ["the same alone", request({ set: { a: "{body.a..b}" } }), ["request", "json", "set", "a"]],
    ["a field", { request: { headers: { "a b": "x" } } }, ["request", "headers", "a b"]],
    [
      "a field of the framing",
      { request: { headers: { "Content-Length": "1" } } },
      ["request", "headers", "Content-Length"],
    ],
    ["Host", { request: { headers: { Host: "a" } } }, ["request", "headers", "Host"]],
    ["a path", { request: { path: "a" } }, ["request", "path"]],
    ["the name of an element", { request: { jsonToXml: { root: "a b" } } }, ["request", "jsonToXml"]],
    ["a list by numbers", { response: { xmlToJson: { lists: ["a[0]"] } } }, ["response", "xmlToJson", "lists", 0]],
    ["a status without a body", { response: [{ status: { 200: 204 } }] }, ["response", 0, "status", "200"]],
    ["another one", { response: { status: { 304: 200 } } }, ["response", "status", "304"]],
  ];
  for (const [name, config, path] of CASES)
    test(name, () => {
      let found: unknown = null;
      try {
        compiled(config);
      } catch (error) {
        found = (error as { path?: unknown }).path;
      }
      expect(found).toEqual([...path]);
    });

  test("and so is an answer that comes of gRPC", () => {
    const config = transformSchema.parse({ response: { json: { remove: ["a"] } } });
    const transcode = {} as never; // what is in there does not matter
    expect(() => transform.compile({ transform: config, transcode }, contextOf())).toThrow("`transcode`");
  });

  const REFUSED = [{}, { response: { for: ["6xx"] } }, { response: { status: { abc: 200 } } }, { request: { x: 1 } }];
  for (const config of REFUSED)
    test(JSON.stringify(config), () => expect(transformSchema.safeParse(config).success).toBe(false));
});

test("placeholders of all places are known", () => {
  const set = { a: "{id} {claim.b} {header.c} {query.d} {user} {body.e[0].f} {body} {status}", g: "{{literal}}" };
  expect(compiled({ request: { json: { set }, template: { a: [set, 1, null] } } })).toHaveLength(1);
});

describe("types of bodies", () => {
  const TYPES: readonly (readonly [type: string | null, want: string])[] = [
    ["application/json", "json"],
    ["Application/JSON ; charset=utf-8", "json"],
    ["application/problem+json", "json"],
    ["text/json", "json"],
    ["application/xml", "xml"],
    ["text/xml;charset=utf-8", "xml"],
    ["application/soap+xml", "xml"],
    ["application/x-ndjson", "other"],
    ["application/json-seq", "other"],
    ["text/event-stream", "other"],
    ["application/jsonx", "other"],
    ["", "other"],
    [null, "other"],
  ];
  for (const [type, want] of TYPES) test(`${type}`, () => expect(bodyTypeOf(type)).toBe(want as "json"));

  test("and their characters", () => {
    const types = ["application/json", "a/json; charset=UTF-8", 'a/xml;charset="utf-8"', "a/json;charset=us-ascii"];
    expect(types.every(isUtf8Type)).toBe(true);
    expect(["a/json;charset=utf-16", 'a/json; Charset = "iso-8859-1"'].some(isUtf8Type)).toBe(false);
  });

  test("that clients prefer", () => {
    const yes = ["application/xml", "text/xml, application/json;q=0.9", "application/*;q=0.1, text/xml"];
    const no = [
      "*/*",
      "",
      "application/json",
      "application/*",
      "text/xml;q=0.5, */*",
      "application/xml;q=0",
      "text/xml;q=x",
    ];
    expect([yes.map(prefersXml), no.map(prefersXml)]).toEqual([yes.map(() => true), no.map(() => false)]);
    expect(prefersXml(null)).toBe(false);
  });
});
