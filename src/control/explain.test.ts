import { expect, test } from "bun:test";
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
