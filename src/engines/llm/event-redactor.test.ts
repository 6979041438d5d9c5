import { describe, expect, test } from "bun:test";
import { EventRedactor, redactAnswer } from "./event-redactor.ts";
import type { Api, Fields } from "./formats.ts";
import { Redactor } from "./redact.ts";
import { KINDS } from "./sensitive.ts";

const REDACTOR = new Redactor(KINDS, []);
const MAIL = "ann@example.com";

/** Whatever an event says an address in does not say it any more. */
const EVENTS: readonly (readonly [name: string, api: Api, event: Fields])[] = [
  ["a text", "chat", { choices: [{ index: 0, delta: { content: MAIL }, finish_reason: "stop" }] }],
  ["reasoning", "chat", { choices: [{ index: 0, delta: { reasoning: MAIL }, finish_reason: "stop" }] }],
  ["parts", "chat", { choices: [{ index: 0, delta: { content: [{ type: "text", text: MAIL }] } }] }],
  ["its tokens", "chat", { choices: [{ index: 0, delta: {}, logprobs: { content: [{ token: MAIL }] } }] }],
  ["a completion's tokens", "completions", { choices: [{ index: 0, text: "", logprobs: { tokens: [MAIL] } }] }],
  ["a response's tokens", "responses", { type: "response.output_text.delta", delta: "a", logprobs: [{ token: MAIL }] }],
  ["thinking", "messages", { type: "content_block_delta", index: 0, delta: { thinking: MAIL } }],
];

describe("events", () => {
  for (const [name, api, event] of EVENTS)
    test(name, () => {
      const out: Fields[] = [];
      const redactor = new EventRedactor(
        api,
        REDACTOR,
        () => {},
        (each) => out.push(each),
      );
      redactor.event(structuredClone(event));
      redactor.end();
      expect(out.length).toBeGreaterThan(0);
      expect(JSON.stringify(out)).not.toContain(MAIL);
    });
});

test("whole answers have no tokens beside their text", () => {
  const answer = { choices: [{ message: { content: MAIL }, logprobs: { content: [{ token: MAIL }] } }] };
  redactAnswer(answer, REDACTOR, () => {});
  expect(answer as Fields).toEqual({ choices: [{ message: { content: "[email]" }, logprobs: null }] });
});
