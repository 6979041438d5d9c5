import { describe, expect, test } from "bun:test";
import { parseTemplate } from "./path-template.ts";
import { PathTree } from "./path-tree.ts";

describe("templates", () => {
  const CASES: readonly (readonly [text: string, segments: string, verb: string, variables: string])[] = [
    ["/", "", "", ""],
    ["/v1/a", "v1 a", "", ""],
    ["/v1/{id}", "v1 *", "", "id 1-2"],
    ["/v1/{name=shelves/*/books/*}:publish", "v1 shelves * books *", "publish", "name 1-5"],
    ["/{a.b_c}/{d=**}", "* **", "", "a.b_c 0-1 d 1-Infinity"],
    ["/v1/**:x", "v1 **", "x", ""],
    ["/%7ea/%c3%a4", "~a %C3%A4", "", ""],
  ];
  for (const [text, segments, verb, variables] of CASES)
    test(text, () => {
      const template = parseTemplate(text);
      const shown = template.segments.map((each) =>
        each.kind === "literal" ? each.text : each.kind === "one" ? "*" : "**",
      );
      expect([shown.join(" "), template.verb]).toEqual([segments, verb]);
      expect(template.variables.map(({ field, from, to }) => `${field} ${from}-${to}`).join(" ")).toBe(variables);
    });

  const WRONG = ["", "v1", "/v1/", "//a", "/a{b}", "/{b}c", "/{a", "/{}", "/{a..b}", "/{a}/{a}", "/**/a", "/{a=**}/b"];
  for (const text of [...WRONG, "/a*", "/{a={b}}", "/%2e%2e", `/${"a/".repeat(64)}a`, "/{1a}"])
    test(`no template: ${text.slice(0, 20)}`, () => expect(() => parseTemplate(text)).toThrow(RangeError));
});

describe("which one is found", () => {
  const tree = new PathTree<string>();
  const ALL = ["/a/b", "/a/*", "/a/**", "/*/b", "/a/*/c", "/a/{x=b/*}/d", "/a/*:run", "/a/**:run", "/"];
  for (const text of ALL) tree.add("GET", parseTemplate(text), text);
  tree.add("POST", parseTemplate("/a/b"), "POST /a/b");
  tree.add("PUT", parseTemplate("/z"), "PUT /z");
  const CASES: readonly (readonly [path: string, found: string])[] = [
    ["/a/b", "/a/b"],
    ["/a/x", "/a/*"],
    ["/a", "/a/**"],
    ["/a/x/y", "/a/**"],
    ["/a/b/c", "/a/*/c"],
    ["/a/b/x/d", "/a/{x=b/*}/d"],
    ["/a/b/x/e", "/a/**"],
    ["/z/b", "/*/b"],
    ["/a/x:run", "/a/*:run"],
    ["/a/x/y:run", "/a/**:run"],
    ["/a/x:stop", "/a/*"],
    ["/", "/"],
    ["/z", "method PUT"],
    ["/y", "none"],
    ["/a/", "/a/**"],
  ];
  for (const [path, want] of CASES)
    test(path, () => {
      const found = tree.find("GET", path);
      const shown = found.kind === "found" ? found.value : found.kind === "method" ? `method ${found.methods}` : "none";
      expect(shown).toBe(want);
    });
  test("the same twice", () => {
    expect(() => tree.add("GET", parseTemplate("/a/{y}"), "")).toThrow("another method has the same path");
  });
});
