import { afterEach, beforeEach, expect, test } from "bun:test";
import { PermissionGate } from "./permission.ts";

let endpoint: ReturnType<typeof Bun.serve>;
let asked: string[] = [];
let status = 200;
let nowMs = 0;
const release: (() => void)[] = [];
let isHolding = false;

beforeEach(() => {
  asked = [];
  status = 200;
  nowMs = 0;
  isHolding = false;
  endpoint = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    fetch: async ({ url }) => {
      asked.push(new URL(url).search);
      if (isHolding) await new Promise<void>((resolve) => release.push(resolve));
      return new Response("", { status, headers: { location: "/yes" } });
    },
  });
});
afterEach(() => endpoint.stop(true));

const gate = (more: { allow?: readonly string[]; port?: number; asksPerSecond?: number } = {}) => {
  const ask = new URL(`http://127.0.0.1:${more.port ?? endpoint.port}/?key=a%26b`);
  const { allow, asksPerSecond = 10 } = more;
  return new PermissionGate({
    settings: allow === undefined ? { ask } : { ask, allow },
    asksPerSecond,
    now: () => nowMs,
  });
};

test("a yes is kept for an hour, a no for a minute", async () => {
  const one = gate();
  for (const [atMs, answer, count] of [
    [0, true, 1],
    [3_599_999, true, 1],
    [3_600_000, false, 2],
    [3_659_999, false, 2],
    [3_660_000, false, 3],
  ] as const) {
    nowMs = atMs;
    status = answer ? 204 : 404;
    expect((await one.check("a.test")).allowed).toBe(answer);
    expect(asked).toHaveLength(count);
  }
  expect(asked[0]).toBe("?key=a%26b&domain=a.test");
});

test("every other answer is a no, a redirect too; none at all is one for five seconds", async () => {
  const one = gate();
  for (const code of [302, 400, 401, 500, 503]) {
    status = code;
    expect(await one.check(`s${code}.test`)).toEqual({
      allowed: false,
      why: `the permission endpoint answered ${code}`,
    });
  }
  const dead = gate({ port: 1 });
  expect(await dead.check("a.test")).toMatchObject({ allowed: false, why: expect.stringContaining("did not answer") });
});

test("many who ask for one name make one question", async () => {
  const one = gate();
  isHolding = true;
  const answers = [1, 2, 3].map(() => one.check("a.test"));
  while (release.length === 0) await Bun.sleep(1);
  release.pop()?.();
  expect((await Promise.all(answers)).map(({ allowed }) => allowed)).toEqual([true, true, true]);
  expect(asked).toHaveLength(1);
});

test("questions beyond the rate are not asked, and not remembered as a no", async () => {
  const one = gate({ asksPerSecond: 2 });
  expect((await one.check("a.test")).allowed).toBe(true);
  expect((await one.check("b.test")).allowed).toBe(true);
  expect(await one.check("c.test")).toMatchObject({ why: "too many names are asked for at the moment" });
  expect((await one.check("a.test")).allowed).toBe(true);
  nowMs += 500;
  expect((await one.check("c.test")).allowed).toBe(true);
  expect((await one.check("d.test")).allowed).toBe(false);
  expect(asked).toHaveLength(3);
});

test("a list needs no endpoint; what is no name of a host is asked of nobody", async () => {
  const listed = gate({ allow: ["a.test", "*.b.test"] });
  status = 403;
  for (const [name, allowed] of [
    ["a.test", true],
    ["x.b.test", true],
    ["b.test", false],
    ["x.y.b.test", false],
  ] as const)
    expect((await listed.check(name)).allowed).toBe(allowed);
  expect(asked).toHaveLength(2);
  for (const name of ["10.0.0.1", "::1", "[::1]", "A.test", "a..test", "a b.test", "localhost", "*.b.test", ""])
    expect(await listed.check(name)).toEqual({ allowed: false, why: "it is not the name of a host" });
  expect(asked).toHaveLength(2);
  const only = new PermissionGate({ settings: { allow: ["a.test"] }, asksPerSecond: 1, now: () => 0 });
  expect(await only.check("c.test")).toMatchObject({ why: "it is not in the list of allowed names" });
});
