import { expect, test } from "bun:test";
import { exchangeOf } from "../../pipeline/exchange.fixture.ts";
import { isFault } from "../../pipeline/exchange.ts";
import { type Identity, NO_CLAIMS } from "../../pipeline/identity.ts";
import { type Shared, UNSHARED } from "../../pipeline/shared.ts";
import type { Verdict } from "../authenticator.ts";
import { authContext } from "../context.ts";
import { Endpoints } from "../endpoints.ts";
import type { Credentials } from "./credentials.ts";
import { Verified, type VerifiedOptions } from "./verified.ts";

const identityOf = (user: string): Identity => ({
  kind: "basic",
  user,
  issuer: "",
  groups: [],
  scopes: [],
  plan: "",
  consumer: "",
  limits: null,
  claims: NO_CLAIMS,
});

/** Checks that end when the test says so; the right password is "right". */
class Rig {
  now = 1000;
  readonly asked: Credentials[] = [];
  readonly #waiting: (() => void)[] = [];
  readonly #memories = new Map<string, SharedArrayBuffer>();
  readonly verified: Verified;

  constructor(options: Partial<VerifiedOptions> = {}) {
    const shared: Shared = {
      ...UNSHARED,
      now: () => this.now,
      memory: (name, bytes) => {
        const memory = this.#memories.get(name) ?? new SharedArrayBuffer(bytes);
        this.#memories.set(name, memory);
        return memory;
      },
    };
    this.verified = new Verified(
      { kind: "basic", atOnce: 2, cacheMs: 60_000, keep: false, ...options },
      async (credentials) => {
        this.asked.push(credentials);
        await new Promise<void>((resolve) => this.#waiting.push(resolve));
        if (credentials.password === "gone") return "unavailable";
        if (credentials.password === "bug") throw new Error("a bug");
        return credentials.password === "right" ? identityOf(credentials.user) : null;
      },
      authContext("site", "route site", shared, new Endpoints(), null, []),
    );
  }

  ask(password: string, user = "ann", ip = "192.0.2.1"): Verdict | Promise<Verdict> {
    const token = Buffer.from(`${user}:${password}`).toString("base64");
    return this.verified.authenticate(exchangeOf({ ip, headers: [["authorization", `Basic ${token}`]] }));
  }

  /** Ends the checks that are under way, and those that begin because of it. */
  async settle(): Promise<void> {
    for (let turns = 0; turns < 50; turns += 1) {
      this.#waiting.shift()?.();
      await Promise.resolve();
    }
    await Bun.sleep(0);
    if (this.#waiting.length > 0) await this.settle();
  }
}

function show(verdict: Verdict): string {
  if (verdict === null) return "none";
  if ("user" in verdict) return verdict.user;
  if ("refused" in verdict) return "refused";
  if ("forbidden" in verdict) return "forbidden";
  return isFault(verdict.answer) ? verdict.answer.code : "an answer";
}

test("what is right is remembered for its time, and nothing that is wrong", async () => {
  const rig = new Rig();
  for (const want of ["ann", "ann"]) {
    const first = rig.ask("right");
    expect(first).toBeInstanceOf(Promise);
    await rig.settle();
    expect(show(await first)).toBe(want);
    expect(show(rig.ask("right") as Verdict)).toBe(want);
    rig.now += 60_001;
  }
  expect(rig.asked.length).toBe(2);
  for (let i = 0; i < 2; i += 1) {
    const wrong = rig.ask("wrong");
    await rig.settle();
    expect(show(await wrong)).toBe("refused");
  }
  expect(rig.asked.length).toBe(4);
});

test("who asks for the same waits for one check, others for their turn", async () => {
  const rig = new Rig();
  const same = Array.from({ length: 50 }, () => rig.ask("right"));
  const others = ["bob", "carl", "dora"].map((user) => rig.ask("right", user));
  await Promise.resolve();
  expect(rig.asked.length).toBe(2);
  await rig.settle();
  expect(new Set((await Promise.all(same)).map(show))).toEqual(new Set(["ann"]));
  expect((await Promise.all(others)).map(show)).toEqual(["bob", "carl", "dora"]);
  expect(rig.asked.length).toBe(4);
});

test("only so many wait", async () => {
  const rig = new Rig();
  const all = Array.from({ length: 70 }, (_, i) => rig.ask("right", `user ${i}`, `198.51.100.${i}`));
  const busy = all.filter((verdict) => !(verdict instanceof Promise)) as Verdict[];
  expect(busy.map(show)).toEqual(Array.from({ length: 4 }, () => "limit.busy"));
  await rig.settle();
  expect((await Promise.all(all)).filter((verdict) => show(verdict).startsWith("user")).length).toBe(66);
});

test("guesses that wait in line are not checked any more once there were too many", async () => {
  const rig = new Rig();
  const guesses = Array.from({ length: 40 }, (_, i) => rig.ask(`guess ${i}`));
  await rig.settle();
  const shown = (await Promise.all(guesses)).map(show);
  expect(shown.filter((one) => one === "refused").length).toBeLessThan(14);
  expect(shown.at(-1)).toBe("limit.failures");
  expect(rig.asked.length).toBeLessThan(14);
  expect(show(rig.ask("right") as Verdict)).toBe("limit.failures");
});

test("whoever is known already does not wait", async () => {
  const rig = new Rig();
  const right = rig.ask("right");
  await rig.settle();
  expect(show(await right)).toBe("ann");
  const guesses = Array.from({ length: 20 }, (_, i) => rig.ask(`guess ${i}`));
  await rig.settle();
  await Promise.all(guesses);
  expect(show(rig.ask("right") as Verdict)).toBe("ann");
});

test("what was right when passwords changed meanwhile is not remembered", async () => {
  const rig = new Rig();
  const old = rig.ask("right");
  rig.verified.forget();
  await rig.settle();
  expect(show(await old)).toBe("ann");
  expect(rig.ask("right")).toBeInstanceOf(Promise);
  await rig.settle();
});

test("nobody gets in when nobody can say, and a bug leaves its place to others", async () => {
  const rig = new Rig({ atOnce: 1 });
  const gone = rig.ask("gone");
  const bug = rig.ask("bug", "bob") as Promise<Verdict>;
  const failed = bug.then(show, (error: Error) => error.message);
  const right = rig.ask("right", "carl");
  await rig.settle();
  expect([show(await gone), await failed, show(await right)]).toEqual(["auth.unavailable", "a bug", "carl"]);
});

test("credentials are taken out of the request, unless servers may see them", () => {
  for (const keep of [false, true]) {
    const x = exchangeOf({ headers: [["authorization", "Basic !"]] });
    expect(show(new Rig({ keep }).verified.authenticate(x) as Verdict)).toBe("refused");
    expect(x.request.header("authorization")).toBe(keep ? "Basic !" : null);
  }
  expect(new Rig().verified.authenticate(exchangeOf())).toBeNull();
});
