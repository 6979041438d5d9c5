import { expect, test } from "bun:test";
import { Contexts, type ContextsOptions, type NameAnswer } from "./contexts.ts";
import type { ServedCertificate } from "./served.ts";

const HOUR_MS = 3_600_000;

function one(id: string, names: readonly string[], notAfterMs = 100 * HOUR_MS): ServedCertificate {
  return { id, names, keyKind: "ecdsa", notAfterMs, source: "file", chainPem: "", keyPem: "" };
}

/** Contexts are texts: ids, and how many were made before. Questions are answered by hand. */
function setup(more: Partial<ContextsOptions<string>> = {}) {
  const clock = { now: 0 };
  const made: string[] = [];
  const failed: string[] = [];
  const questions: { name: string; answer: (answer: NameAnswer) => void; fail: () => void }[] = [];
  const contexts = new Contexts<string>({
    make: (certificates) => {
      const ids = certificates.map(({ id }) => id).join("+");
      if (ids.startsWith("bad")) throw new Error("damaged");
      made.push(ids);
      return ids;
    },
    failed: ({ key }) => failed.push(key),
    ask: (name) =>
      new Promise((resolve, reject) =>
        questions.push({ name, answer: resolve, fail: () => reject(new Error("gone")) }),
      ),
    now: () => clock.now,
    ...more,
  });
  const give = (id: string, renewAtMs = 10 * HOUR_MS, notAfterMs = 15 * HOUR_MS): NameAnswer => ({
    certificate: one(id, ["x"], notAfterMs),
    renewAtMs,
  });
  return { contexts, clock, made, failed, questions, give };
}

test("contexts are made when first asked for, and kept as long as their certificates stay", () => {
  const { contexts, made } = setup();
  expect(contexts.fallback).toBeNull();
  contexts.update({ ids: ["a", "b"], added: [one("a", ["a.test", "a2.test"]), one("b", ["b.test"])] });
  expect(made).toEqual([]);
  expect([contexts.select("a.test"), contexts.select("a2.test"), contexts.fallback]).toEqual(["a", "a", "a"]);
  expect([contexts.select("b.test"), contexts.all.ids]).toEqual(["b", ["a", "b"]]);
  contexts.update({ ids: ["c", "b"], added: [one("c", ["a.test"])] });
  expect([contexts.select("a.test"), contexts.select("b.test")]).toEqual(["c", "b"]);
  expect(made).toEqual(["a", "b", "c"]);
});

test("one that cannot be made is told once, and is the default until it is another", () => {
  const { contexts, failed } = setup();
  contexts.update({ ids: ["bad"], added: [one("bad", ["a.test"])] });
  expect([contexts.select("a.test"), contexts.select("a.test"), failed]).toEqual([null, null, ["bad"]]);
  contexts.update({ ids: ["a"], added: [one("a", ["a.test"])] });
  expect(contexts.select("a.test")).toBe("a");
});

test("all handshakes for a name wait for one answer", async () => {
  const { contexts, questions, give } = setup();
  const [first, second] = [contexts.select("x.test"), contexts.select("X.Test.")];
  expect(second).toBe(first);
  expect(questions.map(({ name }) => name)).toEqual(["x.test"]);
  questions[0]!.answer(give("x"));
  expect(await first).toBe("x");
  expect(contexts.select("x.test")).toBe("x");
  expect(contexts.select("127.0.0.1")).toBeNull();
  expect(contexts.select("a b")).toBeNull();
  expect(questions).toHaveLength(1);
});

test("a refusal is remembered for its time, a failure for a moment", async () => {
  const { contexts, clock, questions, give } = setup();
  const first = contexts.select("x.test");
  questions[0]!.answer({ certificate: null, refusedMs: 5000 });
  expect(await first).toBeNull();
  clock.now = 4999;
  expect(contexts.select("x.test")).toBeNull();
  expect(questions).toHaveLength(1);
  clock.now = 5000;
  const second = contexts.select("x.test");
  questions[1]!.fail();
  expect(await second).toBeNull();
  clock.now = 14_999;
  expect(contexts.select("x.test")).toBeNull();
  clock.now = 15_000;
  const third = contexts.select("x.test");
  questions[2]!.answer(give("bad"));
  expect(await third).toBeNull();
  expect(questions).toHaveLength(3);
});

test("what is due is renewed beside serving it; what has expired is waited for", async () => {
  const { contexts, clock, questions, give } = setup();
  const first = contexts.select("x.test");
  questions[0]!.answer(give("x1"));
  await first;
  clock.now = 10 * HOUR_MS;
  expect([contexts.select("x.test"), contexts.select("x.test"), questions.length]).toEqual(["x1", "x1", 2]);
  questions[1]!.answer({ certificate: null, refusedMs: 1000 });
  await Promise.resolve();
  expect([contexts.select("x.test"), questions.length]).toEqual(["x1", 2]);
  clock.now += 1000;
  expect([contexts.select("x.test"), questions.length]).toEqual(["x1", 3]);
  questions[2]!.answer(give("x2", 20 * HOUR_MS, 30 * HOUR_MS));
  await Promise.resolve();
  expect(contexts.select("x.test")).toBe("x2");
  clock.now = 30 * HOUR_MS;
  const waited = contexts.select("x.test");
  expect(waited).toBeInstanceOf(Promise);
  questions[3]!.answer(give("x3", 40 * HOUR_MS, 50 * HOUR_MS));
  expect(await waited).toBe("x3");
});

test("only so many names are asked for at a time, and remembered", async () => {
  const { contexts, questions, give } = setup({ askingMax: 2, namesMax: 2 });
  const waiting = [contexts.select("a.test"), contexts.select("b.test")];
  expect(contexts.select("c.test")).toBeNull();
  questions[0]!.answer(give("a"));
  questions[1]!.answer(give("b"));
  await Promise.all(waiting);
  expect(contexts.select("a.test")).toBe("a");
  const third = contexts.select("c.test");
  questions[2]!.answer(give("c"));
  await third;
  expect(contexts.select("a.test")).toBe("a");
  expect(contexts.select("b.test")).toBeInstanceOf(Promise); // forgotten: it was not used the longest
});

test("without a supervisor to ask, and once an update has the name", async () => {
  const { contexts, questions, give } = setup();
  const first = contexts.select("x.test");
  questions[0]!.answer(give("asked"));
  await first;
  contexts.update({ ids: ["own"], added: [one("own", ["x.test"])] });
  expect(contexts.select("x.test")).toBe("own");
  const alone = new Contexts<string>({ make: () => "made", failed: () => undefined, now: () => 0 });
  expect(alone.select("x.test")).toBeNull();
});
