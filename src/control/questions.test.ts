import { afterEach, expect, jest, test } from "bun:test";
import type { NameAnswer } from "../certificates/contexts.ts";
import { Questions } from "./questions.ts";

afterEach(() => {
  jest.useRealTimers();
});

const REFUSED: NameAnswer = { certificate: null, refusedMs: 5 };

function asked() {
  const sent: [question: number, listener: string, name: string][] = [];
  const none: NameAnswer = { certificate: null, refusedMs: 1000 };
  const send = (...question: (typeof sent)[number]): number => sent.push(question);
  return { sent, questions: new Questions<[listener: string, name: string], NameAnswer>(none, send) };
}

test("each answer goes to who asked, in any order", async () => {
  const { sent, questions } = asked();
  const first = questions.ask(":443", "a.test");
  const second = questions.ask(":8443", "b.test");
  expect(sent.map(([, listener, name]) => [listener, name])).toEqual([
    [":443", "a.test"],
    [":8443", "b.test"],
  ]);
  const other: NameAnswer = { certificate: null, refusedMs: 7 };
  questions.answered(sent[1]![0], other);
  questions.answered(sent[0]![0], REFUSED);
  expect([await first, await second]).toEqual([REFUSED, other]);
});

test("answers that nobody waits for are nothing", async () => {
  const { sent, questions } = asked();
  questions.answered(99, REFUSED);
  const answer = questions.ask(":443", "a.test");
  const [[question]] = sent as [[number, string, string]];
  questions.answered(question, REFUSED);
  questions.answered(question, { certificate: null, refusedMs: 1 });
  expect(await answer).toBe(REFUSED);
});

test("no answer in time is the one for that", async () => {
  jest.useFakeTimers();
  const { sent, questions } = asked();
  const answer = questions.ask(":443", "a.test");
  jest.advanceTimersByTime(30_000);
  expect(await answer).toEqual({ certificate: null, refusedMs: 1000 });
  questions.answered(sent[0]![0], REFUSED);
});
