import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { Sticky, type StickyConfig } from "./sticky.ts";

const SECRET = new Uint8Array(32).fill(7);
const SECOND = 1000;
const HOUR = 3_600_000;

interface Rig {
  readonly sticky: Sticky;
  now: number;
}

function rigOf(
  config: Partial<StickyConfig> = {},
  ids: readonly string[] = ["a:1", "b:1"],
  scope = "upstream:app",
): Rig {
  const rig = { now: 1_800_000_000_000 } as { now: number; sticky: Sticky };
  rig.sticky = new Sticky(scope, { cookie: "srv", sameSite: "lax", ...config }, SECRET, () => rig.now);
  rig.sticky.members(ids);
  return rig;
}

/** What a browser sends back of a Set-Cookie. */
const pairOf = (setCookie: string): string => setCookie.split(";")[0]!;

describe("a cookie", () => {
  test("without ttl lasts as long as the browser", () => {
    const { sticky } = rigOf();
    const set = sticky.setCookie("a:1", false);
    expect(set).toMatch(/^srv=[\w-]{16}; Path=\/; HttpOnly; SameSite=Lax$/);
    expect(sticky.find(pairOf(set))).toEqual({ id: "a:1", renew: false });
  });

  test("with ttl says when it was issued", () => {
    const { sticky } = rigOf({ ttl: HOUR });
    expect(sticky.setCookie("a:1", true)).toMatch(
      /^srv=[\w-]{16}\.[0-9a-z]{6}; Path=\/; Max-Age=3600; HttpOnly; SameSite=Lax; Secure$/,
    );
  });

  test("does not tell what it stands for", () => {
    expect(rigOf({}, ["10.0.0.1:80"]).sticky.setCookie("10.0.0.1:80", false)).not.toContain("10.0.0");
  });

  const ATTRIBUTES: readonly (readonly [sameSite: StickyConfig["sameSite"], secure: boolean, end: string])[] = [
    ["lax", false, "SameSite=Lax"],
    ["lax", true, "SameSite=Lax; Secure"],
    ["strict", true, "SameSite=Strict; Secure"],
    ["none", false, "SameSite=None; Secure"],
    ["none", true, "SameSite=None; Secure"],
  ];
  for (const [sameSite, secure, end] of ATTRIBUTES)
    test(`sameSite ${sameSite}, ${secure ? "https" : "http"}`, () => {
      expect(rigOf({ sameSite }).sticky.setCookie("a:1", secure)).toEndWith(`HttpOnly; ${end}`);
    });

  const AGES: readonly (readonly [name: string, seconds: number, want: "kept" | "renewed" | "forgotten"])[] = [
    ["new", 0, "kept"],
    ["at half its time", 1800, "kept"],
    ["past half its time", 1801, "renewed"],
    ["at its end", 3600, "renewed"],
    ["past its end", 3601, "forgotten"],
    ["of a clock that goes a little ahead", -300, "kept"],
    ["of the future", -301, "renewed"],
  ];
  for (const [name, seconds, want] of AGES)
    test(`${name} is ${want}`, () => {
      const rig = rigOf({ ttl: HOUR });
      const cookie = pairOf(rig.sticky.setCookie("b:1", false));
      rig.now += seconds * SECOND;
      const hit = rig.sticky.find(cookie);
      expect(hit).toEqual(want === "forgotten" ? null : { id: "b:1", renew: want === "renewed" });
    });

  test("is found among others, and behind one that is not valid", () => {
    const { sticky } = rigOf();
    const cookie = pairOf(sticky.setCookie("b:1", false));
    for (const field of [`x=1; ${cookie}; y=2`, `x=1;${cookie};y=2`, `${cookie}, z=1`, `srv=nothing; ${cookie}`])
      expect(sticky.find(field)?.id).toBe("b:1");
  });
});

describe("is not believed:", () => {
  const { sticky } = rigOf();
  const timed = rigOf({ ttl: HOUR }).sticky;
  const good = pairOf(sticky.setCookie("a:1", false));
  const goodTimed = pairOf(timed.setCookie("a:1", false));
  const cookieOf = (other: Sticky): string => pairOf(other.setCookie("a:1", false));
  const CASES: readonly (readonly [name: string, sticky: Sticky, field: string | null])[] = [
    ["no field", sticky, null],
    ["no cookie", sticky, "a=1"],
    ["an empty one", sticky, "srv="],
    ["one that is too short", sticky, good.slice(0, -1)],
    ["one that is too long", sticky, `${good}A`],
    ["one without its time", timed, good],
    ["one with half a time", timed, `${good}.`],
    ["one with a time that is none", timed, `${good}.a*`],
    ["one with a time of capital letters", timed, `${good}.TEST`],
    ["one with a time that is too long", timed, `${good}.zzzzzzzz`],
    ["one with a time where none belongs", sticky, goodTimed],
    ["one of another upstream", sticky, cookieOf(rigOf({}, undefined, "upstream:other").sticky)],
    ["one of another kind of the same name", sticky, cookieOf(rigOf({}, undefined, "route:app").sticky)],
    ["one of another secret", sticky, cookieOf(rigOf({ secret: "sixteen letters!" }).sticky)],
    ["one of a server that is gone", rigOf({}, ["b:1"]).sticky, good],
    ["the server's name", sticky, "srv=a:1"],
    ["one under another name", rigOf({ cookie: "other" }).sticky, good],
  ];
  for (const [name, of, field] of CASES) test(name, () => expect(of.find(field)).toBeNull());

  test("anything else of the right length", () => {
    const anything = fc.stringMatching(/^[\w-]{16}$/);
    fc.assert(fc.property(anything, (text) => sticky.find(`srv=${text}`) === null));
  });

  test("one with a single character changed", () => {
    for (let at = 4; at < good.length; at += 1) {
      const forged = `${good.slice(0, at)}${good[at] === "A" ? "B" : "A"}${good.slice(at + 1)}`;
      expect(sticky.find(forged)).toBeNull();
    }
  });
});

describe("members", () => {
  test("keep their tokens whatever becomes of the others", () => {
    const { sticky } = rigOf();
    const cookie = pairOf(sticky.setCookie("b:1", false));
    for (const ids of [["b:1"], ["c:1", "b:1", "d:1"], ["b:1", "a:1"]]) {
      sticky.members(ids);
      expect(sticky.find(cookie)?.id).toBe("b:1");
      expect(pairOf(sticky.setCookie("b:1", false))).toBe(cookie);
    }
    sticky.members(["a:1"]);
    expect(sticky.find(cookie)).toBeNull();
    sticky.members(["a:1", "b:1"]);
    expect(sticky.find(cookie)?.id).toBe("b:1");
  });

  test("have the same tokens in every thread and machine with the secret", () => {
    const secret = "sixteen letters!";
    const here = new Sticky("upstream:app", { cookie: "srv", sameSite: "lax", secret }, SECRET, () => 0);
    const there = new Sticky("upstream:app", { cookie: "srv", sameSite: "lax", secret }, new Uint8Array(32), () => 0);
    expect(here.setCookie("a:1", false)).toBe(there.setCookie("a:1", false));
  });

  test("are told apart, a thousand of them and some twice", () => {
    const ids = Array.from({ length: 1000 }, (_, at) => `10.0.${at >> 8}.${at & 255}:80`);
    const { sticky } = rigOf({}, [...ids, ...ids]);
    for (const id of ids) expect(sticky.find(pairOf(sticky.setCookie(id, false)))?.id).toBe(id);
  });
});

describe("an answer sets the cookie", () => {
  const rig = rigOf({ ttl: HOUR });
  const hitOf = (id: string, ageS: number) => {
    const cookie = pairOf(rig.sticky.setCookie(id, false));
    rig.now += ageS * SECOND;
    return rig.sticky.find(cookie);
  };
  test("when the request had none", () => expect(rig.sticky.cookieFor(null, "a:1", false)).toStartWith("srv="));
  test("when another server answered", () =>
    expect(rig.sticky.cookieFor(hitOf("b:1", 0), "a:1", false)).toStartWith("srv="));
  test("when it is old", () => expect(rig.sticky.cookieFor(hitOf("a:1", 2000), "a:1", false)).toStartWith("srv="));
  test("and otherwise not", () => expect(rig.sticky.cookieFor(hitOf("a:1", 10), "a:1", false)).toBeNull());
});
