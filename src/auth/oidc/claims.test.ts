import { expect, test } from "bun:test";
import { issuerIn } from "./claims.ts";

const COMMON = "https://login.microsoftonline.com/{tenantid}/v2.0";
const TENANT = "11111111-2222-3333-4444-555555555555";

const ISSUERS: readonly (readonly [issuer: string, tid: unknown, told: string])[] = [
  [COMMON, TENANT, `https://login.microsoftonline.com/${TENANT}/v2.0`],
  [COMMON, undefined, COMMON],
  [COMMON, "evil.example/x", COMMON],
  [COMMON, [TENANT], COMMON],
  ["https://login.example.com", TENANT, "https://login.example.com"],
];
for (const [issuer, tid, told] of ISSUERS)
  test(`${issuer} with the tenant ${tid}`, () => expect(issuerIn(issuer, { tid })).toBe(told));
