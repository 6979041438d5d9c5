import { describe, expect, test } from "bun:test";
import { issueLeaf } from "../certificates/issue.ts";
import { RequestHead, ResponseHead } from "../http/message.ts";
import { ClientInfo } from "../pipeline/client-info.ts";
import { type Downstream, Exchange } from "../pipeline/exchange.ts";
import type { Reply } from "../pipeline/reply.ts";
import { type ChallengeAnswer, ChallengeAnswers, ChallengeHandler } from "./challenge-answers.ts";

const TOKEN = "LoqXcYV8q5ONbJQxbmR7SCTNo3tiAXDfowyjxAjEuX0";
const known = (token: string, response: string | null): ChallengeAnswer => ({ kind: "http-01", token, response });

/** Requests one after the other, and what became of them: an answer, or the next handler. */
class Desk {
  readonly answers = new ChallengeAnswers();
  readonly told: string[] = [];
  readonly #handler = new ChallengeHandler(this.answers, {
    handle: () => this.told.push("next"),
    finished: () => this.told.push("finished"),
  });

  ask(path: string): Exchange {
    const downstream = {
      reply: ({ status, body, headers }: Reply) =>
        this.told.push(`${status} ${body.toString()} ${headers.get("content-type")}`),
    } as unknown as Downstream;
    const request = new RequestHead();
    request.reset();
    request.method = "GET";
    request.target = path;
    request.authority = "a.test";
    const x = new Exchange(request, new ResponseHead(), downstream, new ClientInfo("192.0.2.1"), ":80", 0);
    this.#handler.handle(x);
    return x;
  }
}
const at = (token: string): string => `/.well-known/acme-challenge/${token}`;
const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe("what this thread knows", () => {
  test("is answered at that very path until it is over", () => {
    const desk = new Desk();
    expect(desk.answers.asked).toBe(false);
    desk.answers.set(known(TOKEN, `${TOKEN}.thumbprint`));
    expect(desk.answers.asked).toBe(true);
    for (const path of [at(TOKEN), at(`${TOKEN}x`), at(""), `/x${at(TOKEN)}`, "/"]) desk.ask(path);
    desk.answers.set(known(TOKEN, null));
    desk.ask(at(TOKEN));
    const found = `200 ${TOKEN}.thumbprint application/octet-stream`;
    expect(desk.told).toEqual([found, "next", "next", "next", "next", "next"]);
    expect(desk.answers.asked).toBe(false);
  });

  test("certificates of tls-alpn-01, by name in any case", () => {
    const { answers } = new Desk();
    const now = Date.now();
    const { certPem, keyPem } = issueLeaf(["a.test"], { notBeforeMs: now, notAfterMs: now + 60_000 }, null);
    expect(answers.certificate("a.test")).toBeNull();
    answers.set({ kind: "tls-alpn-01", name: "a.test", certificate: { chainPem: certPem, keyPem } });
    expect(answers.certificate("A.test")).toBe(answers.certificate("a.test"));
    expect([answers.certificate("a.test") !== null, answers.certificate("b.test")]).toEqual([true, null]);
    expect(answers.asked).toBe(false); // requests have nothing to do with it
    answers.set({ kind: "tls-alpn-01", name: "a.test", certificate: null });
    expect(answers.certificate("a.test")).toBeNull();
  });
});

describe("what another machine has begun", () => {
  function remote() {
    const desk = new Desk();
    const asked: string[] = [];
    const open: PromiseWithResolvers<string | null>[] = [];
    desk.answers.ask = (token) => {
      asked.push(token);
      open.push(Promise.withResolvers());
      return open.at(-1)!.promise;
    };
    return { desk, asked, open };
  }

  test("is asked for; what nobody knows is the next handler's", async () => {
    const { desk, asked, open } = remote();
    desk.ask(at(TOKEN));
    desk.ask(at("another_token-0123456789"));
    expect([desk.told, asked]).toEqual([[], [TOKEN, "another_token-0123456789"]]);
    open[1]!.resolve(null);
    await settled();
    open[0]!.resolve("proof");
    await settled();
    expect(desk.told).toEqual(["next", "200 proof application/octet-stream"]);
  });

  test("is not asked for where this thread knows, or where it is no token", () => {
    const { desk, asked } = remote();
    desk.answers.set(known(TOKEN, "own"));
    for (const token of [TOKEN, "short", "a".repeat(129), `${TOKEN}/x`, `${TOKEN}%2e`, `${TOKEN}?a`])
      desk.ask(at(token));
    expect(asked).toEqual([]);
    expect(desk.told[0]).toContain("own");
    expect(desk.told.slice(1)).toEqual(Array.from({ length: 5 }, () => "next"));
  });

  test("at most 32 at a time, so that strangers cannot ask without end", async () => {
    const { desk, asked, open } = remote();
    for (let i = 0; i < 40; i += 1) desk.ask(at(`${TOKEN}${i}`));
    expect([asked.length, desk.told.length]).toEqual([32, 8]);
    open[5]!.resolve(null);
    await settled();
    desk.ask(at(TOKEN));
    expect([asked.length, desk.told.length]).toEqual([33, 9]);
  });

  test("an answer for a client that has gone is for nobody", async () => {
    const { desk, open } = remote();
    const [first, second] = [desk.ask(at(TOKEN)), desk.ask(at(TOKEN))];
    first.over = true;
    second.over = true;
    open[0]!.resolve("proof");
    open[1]!.resolve(null);
    await settled();
    expect(desk.told).toEqual([]);
  });
});
