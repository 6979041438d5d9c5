import { expect, test } from "bun:test";
import { unreachableRoutes } from "./reachability.ts";
import type { MatchConfig, RouteConfig } from "./schema.ts";

const routeOf = (match: MatchConfig | null): RouteConfig => (match === null ? {} : { match });

/** A match block, a later one, and whether the first takes all requests of the later one. */
const CASES: readonly (readonly [first: MatchConfig | null, second: MatchConfig | null, covered: boolean])[] = [
  [null, null, true],
  [null, { path: "/a" }, true],
  [{}, { host: "a.example", method: "GET" }, true],
  [{ path: "/*" }, null, true],
  [{ path: "/a" }, null, false],
  [{ path: "/a" }, { path: "/a" }, true],
  [{ path: "/a" }, { path: "/b" }, false],
  [{ path: "/a/*" }, { path: "/a" }, true],
  [{ path: "/a/*" }, { path: "/a/b" }, true],
  [{ path: "/a/*" }, { path: "/a/b/*" }, true],
  [{ path: "/a/*" }, { path: "/ab" }, false],
  [{ path: "/a/*" }, { path: "/*" }, false],
  [{ path: "/a/*" }, { path: "/a/:id" }, true],
  [{ path: "/a/:id" }, { path: "/a/:name" }, true],
  [{ path: "/a/:id" }, { path: "/a/b" }, true],
  [{ path: "/a/b" }, { path: "/a/:id" }, false],
  [{ path: "/a/:id" }, { path: "/a/:id/*" }, false],
  [{ path: "/:id" }, { path: "/" }, false],
  [{ path: "~^/a" }, { path: "~^/a" }, true],
  [{ path: "~^/a" }, { path: "/a" }, false],
  [{ path: "/*" }, { path: "~^/a" }, true],
  [{ path: ["/a", "/b"] }, { path: ["/b", "/a"] }, true],
  [{ path: ["/a", "/b"] }, { path: ["/a", "/c"] }, false],
  [{ host: "a.example" }, { host: "A.Example." }, true],
  [{ host: "*.example" }, { host: "a.example" }, true],
  [{ host: "*.example" }, { host: "*.a.example" }, true],
  [{ host: "*.example" }, { host: "example" }, false],
  [{ host: "*.a.example" }, { host: "*.example" }, false],
  [{ host: "*" }, { path: "/a" }, true],
  [{ host: "a.example" }, { path: "/a" }, false],
  [{ host: "a.example", path: "/a/*" }, { host: "a.example", path: "/a/b" }, true],
  [{ host: "a.example", path: "/a/*" }, { host: "b.example", path: "/a/b" }, false],
  [{ method: "GET" }, { method: "GET", path: "/a" }, true],
  [{ method: ["GET", "POST"] }, { method: "POST" }, true],
  [{ method: "GET" }, { method: ["GET", "POST"] }, false],
  [{ method: "GET" }, null, false],
  [{ header: { a: true } }, { header: { a: "1" } }, true],
  [{ header: { a: "1" } }, { header: { a: true } }, false],
  [{ header: { a: "1" } }, { header: { a: "1" }, cookie: { b: true } }, true],
  [{ header: { a: "1" }, cookie: { b: true } }, { header: { a: "1" } }, false],
  [{ query: { a: "1" } }, { query: { a: "2" } }, false],
  [{ clientIp: ["10.0.0.0/8", "::1"] }, { clientIp: "::1" }, true],
  [{ clientIp: "10.0.0.0/8" }, { clientIp: "::1" }, false],
  [{ clientCert: true }, { clientCert: { subject: "CN=a" } }, true],
  [{ clientCert: true }, { path: "/a" }, false],
  [{ clientCert: { subject: "CN=a" } }, { clientCert: { subject: "CN=a" }, path: "/a" }, true],
  [{ clientCert: { subject: "CN=a" } }, { clientCert: { subject: "CN=b" } }, false],
  [{ clientCert: { subject: "CN=a" } }, { clientCert: true }, false],
  [{ version: { from: "path", is: "1", aliases: {} } }, { path: "/a" }, false],
  [{ version: { from: "path", is: "1", aliases: {} } }, { version: { from: "path", is: "2", aliases: {} } }, false],
  [
    { version: { from: "path", is: "1", aliases: {} } },
    { version: { from: "path", is: "1", aliases: {} }, path: "/a" },
    true,
  ],
  [{ path: "/a" }, { version: { from: "path", is: "1", aliases: {} }, path: "/a" }, true],
];
for (const [first, second, covered] of CASES) {
  test(`${JSON.stringify(first)} ${covered ? "takes" : "does not take"} all of ${JSON.stringify(second)}`, () => {
    const found = unreachableRoutes([routeOf(first), routeOf(second)]);
    expect(found.map((one) => one.path)).toEqual(covered ? [["routes", 1]] : []);
  });
}

test("names the earlier route", () => {
  const found = unreachableRoutes([{ name: "all" }, { name: "late" }]);
  expect(found[0]?.message).toBe('this route is never reached: "all" (routes[0]) before it takes all its requests');
});

test("ten thousand routes that share a path are looked at in a moment", () => {
  const routes = Array.from({ length: 10_000 }, (_, at) => routeOf({ path: "/a", header: { x: String(at) } }));
  const started = performance.now();
  expect(unreachableRoutes(routes)).toEqual([]);
  expect(performance.now() - started).toBeLessThan(2000);
});
