import { describe, expect, test } from "bun:test";
import type { Fields } from "./formats.ts";
import { ToChunks, ToEvents } from "./stream-translators.ts";
import { toChat } from "./to-chat.ts";
import { toMessages, Untranslatable } from "./to-messages.ts";
import { chatAnswer, messageAnswer, translatedError } from "./translated.ts";

const PARAMETERS = { type: "object", properties: { city: { type: "string" } } };
const PICTURE = "data:image/png;base64,iVBO";

/** The same conversation in both formats. */
const CHAT: Fields = {
  model: "m",
  messages: [
    { role: "system", content: "be brief" },
    {
      role: "user",
      content: [
        { type: "text", text: "what is it?" },
        { type: "image_url", image_url: { url: PICTURE } },
        { type: "image_url", image_url: { url: "https://example.com/a.png" } },
      ],
    },
    {
      role: "assistant",
      content: "I look",
      tool_calls: [{ id: "c1", type: "function", function: { name: "weather", arguments: '{"city":"Bonn"}' } }],
    },
    { role: "tool", tool_call_id: "c1", content: "rain" },
  ],
  max_completion_tokens: 50,
  temperature: 0.5,
  stop: ["."],
  user: "u1",
  tools: [{ type: "function", function: { name: "weather", description: "d", parameters: PARAMETERS } }],
  tool_choice: "required",
  parallel_tool_calls: false,
};
const MESSAGES: Fields = {
  model: "m",
  system: "be brief",
  messages: [
    {
      role: "user",
      content: [
        { type: "text", text: "what is it?" },
        { type: "image", source: { type: "base64", media_type: "image/png", data: "iVBO" } },
        { type: "image", source: { type: "url", url: "https://example.com/a.png" } },
      ],
    },
    {
      role: "assistant",
      content: [
        { type: "text", text: "I look" },
        { type: "tool_use", id: "c1", name: "weather", input: { city: "Bonn" } },
      ],
    },
    { role: "user", content: [{ type: "tool_result", tool_use_id: "c1", content: "rain" }] },
  ],
  max_tokens: 50,
  temperature: 0.5,
  stop_sequences: ["."],
  metadata: { user_id: "u1" },
  tools: [{ name: "weather", description: "d", input_schema: PARAMETERS }],
  tool_choice: { type: "any", disable_parallel_tool_use: true },
};

describe("requests", () => {
  test("from one to the other, and back", () => {
    expect(toMessages(CHAT)).toEqual(MESSAGES);
    expect(toChat(MESSAGES)).toEqual(CHAT);
  });

  test("results of tools that follow each other are one message", () => {
    const messages = ["a", "b"].map((id) => ({ role: "tool", tool_call_id: id, content: id }));
    const made = toMessages({ messages }) as Fields;
    expect((made.messages as Fields[]).length).toBe(1);
    expect(made.max_tokens).toBe(4096);
  });

  const NOT: readonly (readonly [name: string, body: Fields])[] = [
    ["several answers", { messages: [], n: 2 }],
    ["formats of answers", { messages: [], response_format: { type: "json_schema" } }],
    ["probabilities", { messages: [], logprobs: true }],
    ["audio", { messages: [{ role: "user", content: [{ type: "input_audio" }] }] }],
    ["other tools", { messages: [], tools: [{ type: "custom" }] }],
    ["other roles", { messages: [{ role: "function", content: "" }] }],
    ["no messages", { input: "" }],
  ];
  for (const [name, body] of NOT) test(`not: ${name}`, () => expect(toMessages(body)).toBeInstanceOf(Untranslatable));

  const NOT_BACK: readonly (readonly [name: string, body: Fields])[] = [
    ["documents", { messages: [{ role: "user", content: [{ type: "document" }] }] }],
    ["tools of the provider", { messages: [], tools: [{ type: "web_search_20250305", name: "web_search" }] }],
    ["many stop texts", { messages: [], stop_sequences: ["a", "b", "c", "d", "e"] }],
    ["what is no message", { messages: [1] }],
  ];
  for (const [name, body] of NOT_BACK) test(`not: ${name}`, () => expect(toChat(body)).toBeInstanceOf(Untranslatable));
});

test("answers with calls of tools", () => {
  const call = { id: "c1", type: "function", function: { name: "f", arguments: '{"a":1}' } };
  const message: Fields = {
    id: "1",
    model: "x",
    content: [
      { type: "thinking", thinking: "…" },
      { type: "tool_use", id: "c1", name: "f", input: { a: 1 } },
    ],
    stop_reason: "tool_use",
    usage: { input_tokens: 1, output_tokens: 2 },
  };
  expect(chatAnswer(message, 7)).toMatchObject({
    created: 7,
    choices: [{ message: { role: "assistant", content: null, tool_calls: [call] }, finish_reason: "tool_calls" }],
    usage: { prompt_tokens: 1, completion_tokens: 2, total_tokens: 3 },
  });
  const chat = {
    id: "1",
    model: "x",
    choices: [{ message: { content: null, tool_calls: [call] }, finish_reason: "length" }],
  };
  expect(messageAnswer(chat)).toMatchObject({
    content: [{ type: "tool_use", id: "c1", name: "f", input: { a: 1 } }],
    stop_reason: "max_tokens",
  });
  expect(translatedError("anthropic", { error: { message: "m", type: "t" } })).toEqual({
    type: "error",
    error: { type: "t", message: "m" },
  });
});

test("streams with calls of tools, there and back", () => {
  const events: (Fields | null)[] = [];
  const chunks: (Fields | null)[] = [];
  const back = new ToEvents((event) => events.push(event), 3);
  const there = new ToChunks(
    (chunk) => {
      chunks.push(chunk);
      back.event(chunk);
    },
    true,
    1,
  );
  const usage = { input_tokens: 4, output_tokens: 1 };
  const sent: Fields[] = [
    { type: "message_start", message: { id: "m", model: "x", usage } },
    { type: "content_block_start", index: 0, content_block: { type: "text", text: "" } },
    { type: "content_block_delta", index: 0, delta: { type: "text_delta", text: "I look" } },
    { type: "content_block_stop", index: 0 },
    { type: "content_block_start", index: 1, content_block: { type: "tool_use", id: "c1", name: "f", input: {} } },
    { type: "content_block_delta", index: 1, delta: { type: "input_json_delta", partial_json: '{"a"' } },
    { type: "content_block_delta", index: 1, delta: { type: "input_json_delta", partial_json: ":1}" } },
    { type: "content_block_stop", index: 1 },
    { type: "message_delta", delta: { stop_reason: "tool_use", stop_sequence: null }, usage: { output_tokens: 9 } },
    { type: "message_stop" },
  ];
  for (const event of sent) there.event(event);
  expect(chunks.at(-1)).toBeNull();
  expect(chunks.at(-2)).toMatchObject({ choices: [], usage: { prompt_tokens: 4, completion_tokens: 9 } });
  expect(events.slice(1, -2)).toEqual(sent.slice(1, -2));
  expect(events.at(-2)).toMatchObject({
    delta: { stop_reason: "tool_use" },
    usage: { input_tokens: 4, output_tokens: 9 },
  });
});
