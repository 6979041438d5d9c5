import { describe, expect, test } from "bun:test";
import { createHash } from "node:crypto";
import { challengeSchema } from "../../config/schema-abuse.ts";
import { exchangeOf } from "../../pipeline/exchange.fixture.ts";
import { isFault, type Outcome } from "../../pipeline/exchange.ts";
import { UNSHARED } from "../../pipeline/shared.ts";
import { contextOf } from "../context.testing.ts";
import { challenge } from "./filter.ts";
import { challengePage, PAGE_POLICY, SCRIPT } from "./page.ts";
import { Work } from "./work.ts";

const NOW = Date.parse("2026-05-01T12:00:00Z");
const SECRET = Buffer.alloc(32, 7);

/** What the page does, in a browser of a few lines. Returns the cookie that it sets. */
async function inBrowser(page: string, protocol = "http:"): Promise<string> {
  const dataset = Object.fromEntries(
    [...page.matchAll(/data-(\w+)="([^"]*)"/g)].map(([, name = "", value = ""]) => [name, value]),
  );
  const { promise, resolve } = Promise.withResolvers<string>();
  const document = { body: { dataset }, cookie: "", getElementById: () => ({}) };
  const location = { protocol, reload: () => resolve(document.cookie) };
  new Function("document", "location", "setTimeout", SCRIPT)(document, location, (go: () => void) => setImmediate(go));
  return await promise;
}

const solve = async (task: string, bits: number): Promise<string> =>
  (await inBrowser(challengePage(task, bits, "w", 60))).split(";")[0]!.slice(2);

test("the script's digests are SHA-256, for tasks of any length", async () => {
  for (const length of [1, 20, 53, 54, 55, 56, 62, 63, 64, 100]) {
    const task = "a".repeat(length);
    const solution = await solve(task, 8);
    const digest = createHash("sha256").update(solution.replace(".", ":")).digest();
    expect([length, digest[0]]).toEqual([length, 0]);
  }
});

describe("a solution", () => {
  const work = new Work(SECRET, 10, 60_000);
  test("holds for its task, address and time", async () => {
    const solution = await solve(work.task("10.0.0.1", NOW), 10);
    expect(work.solvedUntil(solution, "10.0.0.1", NOW)).toBe(NOW + 60_000);
    expect(work.solvedUntil(solution, "10.0.0.1", NOW + 59_999)).toBe(NOW + 60_000);
    for (const [address, at] of [
      ["10.0.0.1", NOW + 60_000],
      ["10.0.0.2", NOW],
    ] as const)
      expect([address, work.solvedUntil(solution, address, at)]).toEqual([address, 0]);
    expect(new Work(Buffer.alloc(32, 8), 10, 60_000).solvedUntil(solution, "10.0.0.1", NOW)).toBe(0);
    expect(new Work(SECRET, 11, 60_000).solvedUntil(solution, "10.0.0.1", NOW)).toBe(0);
  });
  test("that is made up is none", async () => {
    const task = work.task("10.0.0.1", NOW);
    const solution = await solve(task, 10);
    const number = Number(solution.split(".")[1]);
    for (const text of [
      "",
      "a",
      task,
      `${task}.`,
      `${task}.x`,
      `${task}.${number}0`,
      `${task}.1e3`,
      `z${solution}`,
      `${solution} `,
      `${task}.${"9".repeat(13)}`,
      `zzzzzzzz-${"A".repeat(22)}.1`,
    ])
      expect([text, work.solvedUntil(text, "10.0.0.1", NOW)]).toEqual([text, 0]);
    const other = number === 0 ? 1 : 0;
    expect(work.solvedUntil(`${task}.${other}`, "10.0.0.1", NOW)).toBe(0);
  });
});

describe("the filter", () => {
  const filter = challenge.compile(
    { challenge: challengeSchema.parse({ difficulty: 8, ttl: "1m" }) },
    contextOf({ shared: { ...UNSHARED, wallNow: () => NOW } }),
  )[0]!;
  const ask = (method: string, headers: readonly (readonly [string, string])[], ip = "10.0.0.1") =>
    filter.request!(exchangeOf({ method, headers, ip })) as Outcome | undefined;
  const HTML = ["accept", "text/html,*/*"] as const;

  test("gives browsers the page, which leads through; others are refused", async () => {
    const first = ask("GET", [HTML]);
    if (first === undefined || isFault(first)) throw new Error("no page");
    expect([first.status, first.headers.get("cache-control"), first.headers.get("content-security-policy")]).toEqual([
      403,
      "no-store",
      PAGE_POLICY,
    ]);
    const cookie = await inBrowser(first.body.toString(), "https:");
    expect(cookie).toMatch(/^sluice_work=[\w-]+\.\d+; Path=\/; SameSite=Lax; Max-Age=60; Secure$/);
    const sent = ["cookie", `a=b; sluice_work=old; ${cookie.split(";")[0]}`] as const;
    expect(ask("GET", [HTML, sent])).toBeUndefined();
    expect(ask("POST", [sent])).toBeUndefined();
    expect(ask("POST", [sent], "10.0.0.2")).toMatchObject({ code: "bot.challenge" });
    expect(ask("POST", [HTML])).toMatchObject({ code: "bot.challenge" });
    expect(ask("GET", [["accept", "application/json"]])).toMatchObject({ code: "bot.challenge" });
    expect(ask("GET", [])).toMatchObject({ code: "bot.challenge" });
  });
  test("a page of its own script alone", () => {
    const hash = createHash("sha256").update(SCRIPT).digest("base64");
    expect(PAGE_POLICY).toContain(`script-src 'sha256-${hash}'`);
    expect(SCRIPT).not.toContain("</script");
  });
});
