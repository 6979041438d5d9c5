import { expect, test } from "bun:test";
import { POLICY_KEYS, UPSTREAM_DEFAULTS } from "./defaults.ts";
import { policySchema } from "./schema.ts";
import { upstreamSchema } from "./schema-upstreams.ts";

test("the policies known to workers are those of the schema", () => {
  expect([...POLICY_KEYS].sort()).toEqual(Object.keys(policySchema.shape).sort() as (typeof POLICY_KEYS)[number][]);
});

test("an upstream that workers make is what the schema would make", () => {
  expect(upstreamSchema.parse({ servers: ["a:1"] })).toEqual({ servers: ["a:1"], ...UPSTREAM_DEFAULTS });
});
