import { describe, expect, test } from "bun:test";
import type { Api, Fields } from "./formats.ts";
import { promptOf, textOf } from "./prompt.ts";

const source = { type: "text", media_type: "text/plain", data: "in a document" };
const image = { type: "image_url", image_url: { url: "data:image/png;base64,AAAA" } };
const call = { type: "tool_use", id: "t", name: "f", input: { name: "n", data: ["d"], type: { url: "u" } } };

const CASES: readonly (readonly [name: string, api: Api, body: Fields, want: readonly string[]])[] = [
  [
    "parts, without pictures",
    "chat",
    { messages: [{ role: "user", content: ["a", { type: "text", text: "b" }, image] }] },
    ["a", "b"],
  ],
  [
    "arguments and results of tools",
    "chat",
    {
      messages: [
        { role: "assistant", tool_calls: [{ id: "1", type: "function", function: { name: "f", arguments: "{}" } }] },
        { role: "tool", tool_call_id: "1", content: "r" },
      ],
    },
    ["{}", "r"],
  ],
  [
    "what the answer may be",
    "chat",
    { messages: [], prediction: { type: "content", content: [{ type: "text", text: "p" }] } },
    ["p"],
  ],
  ["messages that are no list", "chat", { messages: { content: "a" } }, ["a"]],
  [
    "all that a tool is called with",
    "messages",
    { messages: [{ role: "assistant", content: [call] }] },
    ["n", "d", "u"],
  ],
  [
    "documents of text",
    "messages",
    { system: "s", messages: [{ role: "user", content: [{ type: "document", source }] }] },
    ["s", "in a document"],
  ],
  [
    "instructions, items and variables",
    "responses",
    {
      instructions: "i",
      input: [{ type: "function_call_output", call_id: "c", output: "o" }],
      prompt: { id: "p", variables: { name: "v", url: { type: "input_text", text: "w" } } },
    },
    ["i", "o", "v", "w"],
  ],
];

describe("texts of prompts", () => {
  for (const [name, api, body, want] of CASES)
    test(name, () => expect(promptOf(api, body).texts.map(textOf)).toEqual([...want]));
});
