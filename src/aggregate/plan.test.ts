import { describe, expect, test } from "bun:test";
import { CompileError, within } from "../config/compile-error.ts";
import { aggregateSchema } from "../config/schema-aggregate.ts";
import { compileAggregate } from "./plan.ts";

const CONTEXT = {
  route: "r",
  params: ["id"],
  upstream(text: string): string {
    if (text === "none") throw new RangeError('there is no upstream named "none"');
    return text;
  },
};
const planOf = (config: object) => compileAggregate(aggregateSchema.parse(config), CONTEXT);
const call = { to: "app", path: "/x" };

test("who waits for whom", () => {
  const { calls, readsBody } = planOf({
    calls: {
      a: { to: "app", path: "/{call.c.id}", when: "{call.b}" },
      b: { ...call, method: "POST", body: { list: ["{call.c.x[*].y}"] } },
      c: { ...call, headers: { "x-id": "{id}" } },
      d: { ...call, path: "/{id}", select: "a.b" },
    },
  });
  expect(calls.map(({ needs }) => [...needs].sort())).toEqual([[1, 2], [2], [], []]);
  expect(calls.map(({ neededBy }) => [...neededBy].sort())).toEqual([[], [0], [0, 1], []]);
  expect(readsBody).toBe("no");
});

describe("the client's body", () => {
  const CASES: readonly (readonly [config: object, reads: string])[] = [
    [{ calls: { a: { ...call, method: "POST", body: "request" } } }, "bytes"],
    [{ calls: { a: { ...call, path: "/{body.id}" } } }, "json"],
    [{ calls: { a: call }, merge: { sent: "{body}" } }, "json"],
    [{ calls: { a: call }, headers: { x: "{body.x}" } }, "json"],
    [{ calls: { a: call }, merge: { sent: "{{body}}" } }, "no"],
  ];
  for (const [config, reads] of CASES)
    test(JSON.stringify(config), () => expect(planOf(config).readsBody as string).toBe(reads));
});

describe("what cannot be", () => {
  const CASES: readonly (readonly [config: object, path: string, message: string])[] = [
    [{ calls: { a: { to: "none", path: "/" } } }, "calls.a.to", 'no upstream named "none"'],
    [{ calls: { a: { ...call, path: "/{call.b}" } } }, "calls.a.path", 'there is no call named "b"'],
    [{ calls: { a: { ...call, path: "/{nothing}" } } }, "calls.a.path", "unknown placeholder {nothing}"],
    [{ calls: { a: { ...call, path: "/#x" } } }, "calls.a", "a path has no fragment"],
    [{ calls: { a: { ...call, body: {} } } }, "calls.a", "a GET has no body"],
    [{ calls: { a: { ...call, statuses: "2xx" } } }, "calls.a.statuses", '"2xx" is not a status'],
    [{ calls: { a: { ...call, select: "a..b" } } }, "calls.a.select", "is no path"],
    [{ calls: { a: { ...call, headers: { x: "{call.a[}" } } } }, "calls.a.headers.x", "is no path"],
    [{ calls: { a: { ...call, path: "/{call.a}" } } }, "calls", "wait for each other: a → a"],
    [
      { calls: { x: call, a: { ...call, path: "/{call.b}" }, b: { ...call, when: "{call.a}" } } },
      "calls",
      "wait for each other: a → b → a",
    ],
    [{ calls: { a: call }, merge: { x: ["{call.c}"] } }, "merge", 'there is no call named "c"'],
  ];
  for (const [config, path, message] of CASES)
    test(message, () => {
      let found: unknown;
      try {
        within("x", () => planOf(config));
      } catch (error) {
        found = error;
      }
      expect(found).toBeInstanceOf(CompileError);
      expect((found as CompileError).path.slice(1).join(".")).toBe(path);
      expect((found as CompileError).message).toContain(message);
    });

  const SHAPES: readonly object[] = [
    { calls: {} },
    { calls: Object.fromEntries(Array.from({ length: 33 }, (_, at) => [`c${at}`, call])) },
    { calls: { "a.b": call } },
    { calls: { a: { ...call, path: "x" } } },
    { calls: { a: { ...call, headers: { "Content-Length": "1" } } } },
    { calls: { a: { ...call, headers: { "a b": "1" } } } },
    { calls: { a: { ...call, headers: { "X-Forwarded-For": "1" } } } },
    { calls: { a: { ...call, method: "CONNECT" } } },
    { calls: { a: { ...call, pass: [500] } } },
    { calls: { a: call }, merge: "deep" },
    { calls: { a: call }, passHeaders: ["connection"] },
    { calls: { a: call }, status: 404 },
  ];
  for (const shape of SHAPES)
    test(JSON.stringify(shape).slice(0, 80), () => expect(aggregateSchema.safeParse(shape).success).toBe(false));
});
