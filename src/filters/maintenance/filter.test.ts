// What is switched, and what clients see of it, is seen through the whole proxy (test/traffic-control.test.ts).
import { expect, test } from "bun:test";
import { policySchema } from "../../config/schema.ts";
import { exchangeOf } from "../../pipeline/exchange.fixture.ts";
import { contextOf } from "../context.testing.ts";
import type { Policies } from "../definition.ts";
import { compileFilters } from "../index.ts";

const SECRET = "only for those who test";

test("the field with the secret goes no further, whether there is maintenance or not", () => {
  for (const enabled of [false, true])
    for (const sent of [SECRET, "something else"]) {
      const maintenance = { enabled, allow: ["10.0.0.1"], bypass: { header: "X-Pass", secret: SECRET } };
      const { request } = compileFilters(policySchema.parse({ maintenance }) as Policies, contextOf());
      const x = exchangeOf({ headers: [["x-pass", sent]] });
      const outcome = request.map((filter) => filter.request!(x)).find((each) => each !== undefined);
      expect(outcome !== undefined).toBe(enabled && sent !== SECRET);
      expect(x.request.header("x-pass")).toBeNull();
    }
});

test("routes without such a field pay nothing while nothing is switched", () => {
  for (const maintenance of [undefined, {}, { bypass: { cookie: "pass", secret: SECRET } }]) {
    const { request, closed } = compileFilters(policySchema.parse({ maintenance }) as Policies, contextOf());
    expect([request.length, closed.length]).toEqual([0, 1]);
  }
});
