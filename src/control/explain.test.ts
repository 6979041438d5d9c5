import { describe, expect, test } from "bun:test";
import { type ConfigInput, configSchema } from "../config/schema.ts";
import { explain, explanationText } from "./explain.ts";

const config = (route: NonNullable<ConfigInput["routes"]>[number]) =>
  configSchema.parse({
    listeners: [{ address: ":8080" }],
    upstreams: { app: { servers: ["127.0.0.1:1"] }, canary: { servers: ["127.0.0.1:2", "127.0.0.1:3"] } },
    routes: [route],
  });
const query = (headers: readonly (readonly [string, string])[]) => ({ method: "GET", url: "/", headers, ip: null });

const split = config({
  to: [
    { upstream: "app", weight: 2 },
    { upstream: "canary", weight: 1, match: { cookie: { tester: true } } },
  ],
  split: { cookie: "group" },
});

const CASES: readonly (readonly [
  name: string,
  of: ReturnType<typeof config>,
  headers: readonly (readonly [string, string])[],
  want: readonly string[],
])[] = [
  ["the only upstream", config({ to: "app" }), [], ["upstream   app: 127.0.0.1:1"]],
  [
    "the shares of a split",
    split,
    [["cookie", "group=x"]],
    ["upstream   app (66.67%): 127.0.0.1:1", "upstream   canary (33.33%): 127.0.0.1:2, 127.0.0.1:3"],
  ],
  [
    "all that a request of one client leads to",
    config({ aggregate: { calls: { a: { to: "app", path: "/" }, b: { to: "canary", path: "/" } } } }),
    [],
    ["upstream   app: 127.0.0.1:1", "upstream   canary: 127.0.0.1:2, 127.0.0.1:3"],
  ],
  [
    "the target that the request matches",
    split,
    [["cookie", "tester=1"]],
    ["upstream   canary: 127.0.0.1:2, 127.0.0.1:3"],
  ],
];
for (const [name, of, headers, want] of CASES)
  test(`names ${name}`, () => {
    const lines = explanationText(explain(of, query(headers))).split("\n");
    expect(lines.filter((line) => line.startsWith("upstream"))).toEqual([...want]);
  });

test("gives shares as numbers", () => {
  expect(explain(split, query([])).match?.upstreams).toEqual([
    { name: "app", share: 2 / 3, servers: ["127.0.0.1:1"] },
    { name: "canary", share: 1 / 3, servers: ["127.0.0.1:2", "127.0.0.1:3"] },
  ]);
});

describe("what comes before routes", () => {
  const tls = { internal: true };
  const sni = { "git.test": { passthrough: "127.0.0.1:9" }, "*.test": "terminate" } as const;
  const many = configSchema.parse({
    listeners: [
      { address: "127.0.0.1:80", redirectToHttps: true },
      { address: "127.0.0.1:8443", tls },
      { address: "127.0.0.1:9443", tls, sni },
    ],
    routes: [{ respond: {} }],
  });
  const lines = (url: string, of = many): string[] =>
    explanationText(explain(of, { ...query([]), url }))
      .split("\n")
      .slice(0, 3);
  const ROUTED = "route      route-1: matches: matches every request";
  const BOTH = "listener   127.0.0.1:8443, 127.0.0.1:9443";

  for (const [url, ...want] of [
    [
      "http://a.test/x?y=1",
      "GET http://a.test/x?y=1 from 127.0.0.1",
      "listener   127.0.0.1:80",
      "action     redirected to https://a.test:8443/x?y=1 (308)",
    ],
    ["https://a.test/x", "GET https://a.test/x from 127.0.0.1", BOTH, ROUTED],
    ["/x", "GET /x from 127.0.0.1", BOTH, ROUTED],
    [
      "https://git.test:9443/",
      "GET https://git.test/ from 127.0.0.1",
      "listener   127.0.0.1:9443",
      "action     passed on to 127.0.0.1:9 as it is, by the name in TLS",
    ],
    [
      "https://other.example:9443/",
      "GET https://other.example/ from 127.0.0.1",
      "listener   127.0.0.1:9443",
      "action     refused: no name in `sni` fits",
    ],
  ] as const)
    test(url, () => expect(lines(url)).toEqual([...want]));

  test("TLS that ends in front of us: plain listeners take it", () => {
    const plain = configSchema.parse({ listeners: [{ address: ":8080" }], routes: [{ respond: {} }] });
    expect(lines("https://a.test/", plain)).toEqual(["GET https://a.test/ from 127.0.0.1", "listener   :8080", ROUTED]);
  });
});
