import { expect, test } from "bun:test";
import { upstreamSchema } from "./schema-upstreams.ts";
import { checkHealth } from "./validate-health.ts";

const CASES: readonly (readonly [name: string, input: Record<string, unknown>, problems: readonly string[]])[] = [
  ["defaults", {}, []],
  [
    "all of it",
    { path: "/a?b=%20", method: "PROPFIND", headers: { "X-A": "b c" }, status: "200, 204-299", body: "~^ok$" },
    [],
  ],
  ["method", { method: "GET /" }, ["error method"]],
  ["path", { path: "/a b" }, ["error path"]],
  ["fragment", { path: "/a#b" }, ["error path"]],
  ["header name", { headers: { "a b": "c" } }, ["error headers.a b"]],
  ["header value", { headers: { a: "b\r\nc: d" } }, ["error headers.a"]],
  ["status", { status: "200, 404-400" }, ["error status"]],
  ["regular expression", { body: "~(" }, ["error body"]],
  ["a text that is no expression", { body: "(" }, []],
  ["HEAD with a body", { method: "HEAD", body: "ok" }, ["error body"]],
  [
    "no time",
    { interval: "0s", downInterval: "0s", timeout: "0s" },
    ["error interval", "error downInterval", "error timeout"],
  ],
  ["slow", { interval: "1s", timeout: "2s" }, ["warning timeout"]],
];
for (const [name, input, want] of CASES)
  test(name, () => {
    const { health } = upstreamSchema.parse({ servers: [], health: input });
    expect(checkHealth(health!, ["h"]).map(({ severity, path }) => `${severity} ${path.slice(1).join(".")}`)).toEqual([
      ...want,
    ]);
  });
