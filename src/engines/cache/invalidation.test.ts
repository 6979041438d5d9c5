import { expect, test } from "bun:test";
import { invalidated, isUnsafe } from "./invalidation.ts";
import { block, requestHead } from "./model.testing.ts";

type Row = readonly [method: string, target: string, status: number, response: string, want: readonly string[]];
const CASES: readonly Row[] = [
  ["POST", "/a", 200, "", ["/a"]],
  ["PUT", "/a?b=1", 204, "", ["/a?b=1"]],
  ["DELETE", "/a", 200, "", ["/a"]],
  ["PATCH", "/a", 200, "", ["/a"]],
  ["M-SEARCH", "/a", 200, "", ["/a"]],
  ["POST", "/a", 303, "", ["/a"]],
  ["POST", "/%7ea//b", 200, "", ["/~a/b"]],
  ["POST", "/a", 400, "", []],
  ["POST", "/a", 404, "Location: /b", []],
  ["POST", "/a", 500, "", []],
  ["POST", "/a", 101, "", []],
  ["GET", "/a", 200, "Location: /b", []],
  ["HEAD", "/a", 200, "", []],
  ["OPTIONS", "/a", 200, "", []],
  ["TRACE", "/a", 200, "", []],
  ["get", "/a", 200, "", ["/a"]], // methods know no case: this one is not known
  ["POST", "/a/b", 201, "Location: c", ["/a/b", "/a/c"]],
  ["POST", "/a/b", 201, "Location: /c?d=1#e", ["/a/b", "/c?d=1"]],
  ["POST", "/a/b", 201, "Location: ?x=1", ["/a/b", "/a/b?x=1"]],
  ["POST", "/a", 201, "Location: https://example.com/c", ["/a", "/c"]],
  ["POST", "/a", 201, "Location: https://EXAMPLE.com:443/c", ["/a", "/c"]],
  ["POST", "/a", 201, "Location: //example.com/c", ["/a", "/c"]],
  ["POST", "/a", 201, "Location: http://example.com/c", ["/a"]],
  ["POST", "/a", 201, "Location: https://example.com:8443/c", ["/a"]],
  ["POST", "/a", 201, "Location: https://other.example/c", ["/a"]],
  ["POST", "/a", 201, "Location: //other.example/c", ["/a"]],
  ["POST", "/a", 201, "Location: https://[", ["/a"]],
  ["POST", "/a", 201, "Location: javascript:alert(1)", ["/a"]],
  ["POST", "/a", 201, "Location: /b%2f..", ["/a"]],
  ["POST", "/a", 200, "Content-Location: /c", ["/a", "/c"]],
  ["POST", "/a", 200, "Content-Location: /c | Location: /b", ["/a", "/b", "/c"]],
  ["POST", "/a", 200, "Content-Location: /a", ["/a"]],
  ["POST", "/a/%2e%2e", 200, "", []],
];
for (const [method, target, status, response, want] of CASES)
  test(`RFC 9111 §4.4: ${method} ${target} ${status} ${response}`, () => {
    expect(invalidated("https", requestHead("", target, method), status, block(response))).toEqual([...want]);
  });

test("what is not known to be safe is not", () => {
  expect(["GET", "HEAD", "OPTIONS", "TRACE"].some(isUnsafe)).toBe(false);
  expect(["POST", "QUERY", "PURGE", "FOO"].every(isUnsafe)).toBe(true);
});
