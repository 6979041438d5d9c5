import { describe, expect, test } from "bun:test";
import { echoDescriptors, echoTranscoder, type Rule } from "./descriptors.testing.ts";

describe("mistakes in descriptors", () => {
  const get = (path: string, more: Partial<Rule> = {}): Record<string, Rule> => ({ Unary: { verb: 2, path, ...more } });
  const CASES: readonly (readonly [rules: Record<string, Rule>, message: string])[] = [
    [get("v1"), 'test.Echo/Unary: "v1" is no path template'],
    [get("/{nope}"), 'test.Message has no field "nope"'],
    [get("/{inner.nope}"), 'has no field "inner.nope"'],
    [get("/{inner}"), 'has no field "inner" that a path can hold'],
    [get("/{tags}"), 'has no field "tags" that a path can hold'],
    [get("/x", { body: "nope" }), 'has no field "nope"'],
    [get("/x", { responseBody: "nope" }), 'has no field "nope"'],
    [get("/x", { more: [{ verb: 2, path: "/x" }] }), "another method has the same path"],
    [{ Chat: { verb: 4, path: "/x" } }, "a stream of messages comes as the body"],
    [{}, "no method has the option google.api.http"],
  ];
  for (const [rules, message] of CASES)
    test(message, () => expect(() => echoTranscoder({}, echoDescriptors(rules))).toThrow(message));

  test("a service that is not there", () => {
    expect(() => echoTranscoder({ services: ["test.Other"] })).toThrow('no service "test.Other"; there are test.Echo');
  });
  test("no descriptors at all", () => {
    for (const bytes of [new Uint8Array(), Buffer.from("hello"), echoDescriptors().subarray(500)])
      expect(() => echoTranscoder({}, bytes)).toThrow("no complete set of descriptors");
  });
});

test("methods without the option", () => {
  const bound = echoTranscoder({ unbound: true, base: "/api" });
  expect(bound.find("POST", "/api/test.Echo/Hold")).toMatchObject({ kind: "found" });
  expect(bound.find("POST", "/api/test.Echo/Unary")).toEqual({ kind: "none" }); // it has bindings of its own
  expect(echoTranscoder().find("POST", "/test.Echo/Hold")).toEqual({ kind: "none" });
});
