import { describe, expect, test } from "bun:test";
import type { Api } from "./formats.ts";
import { JsonMeter } from "./meter.ts";
import { estimateTokens } from "./usage.ts";

function metered(api: Api, text: string, size = 1000) {
  const meter = new JsonMeter(api);
  const bytes = Buffer.from(text);
  for (let at = 0; at < bytes.length; at += size) meter.push(bytes, at, Math.min(bytes.length, at + size));
  meter.end();
  const { usage, estimated } = meter.result(9);
  return [usage.input, usage.cached, usage.cacheWritten, usage.output, usage.reasoning, estimated];
}

const CHAT =
  '{"prompt_tokens":20,"completion_tokens":7,"prompt_tokens_details":{"cached_tokens":5},"completion_tokens_details":{"reasoning_tokens":2}}';
const RESPONSE = '{"input_tokens":3,"input_tokens_details":{"cached_tokens":1},"output_tokens":4}';
const MESSAGE = '{"input_tokens":10,"cache_creation_input_tokens":3,"cache_read_input_tokens":2,"output_tokens":9}';
const LONG = `[${"0.25,".repeat(100_000)}0]`;

const CASES: readonly (readonly [name: string, api: Api, text: string, want: readonly (number | boolean)[]])[] = [
  ["a chat", "chat", `{"choices":[],"usage":${CHAT}}`, [20, 5, 0, 7, 2, false]],
  ["a response", "responses", `{"usage":${RESPONSE}}`, [3, 1, 0, 4, 0, false]],
  ["a message, whose cache counts beside", "messages", `{"usage":${MESSAGE}}`, [15, 2, 3, 9, 0, false]],
  [
    "long embeddings",
    "embeddings",
    `{"data":${LONG},"usage":{"prompt_tokens":8,"total_tokens":8}}`,
    [8, 0, 0, 0, 0, false],
  ],
  [
    "a long one with more behind",
    "chat",
    `{"a":${LONG},"usage": ${CHAT},"x":"}\\"","y":{"z":{}}}`,
    [20, 5, 0, 7, 2, false],
  ],
  [
    "what a model says of usage",
    "messages",
    `{"a":${LONG},"c":[{"usage":{"input_tokens":1}}]}`,
    [9, 0, 0, 125_011, 0, true],
  ],
  ["no usage", "chat", '{"choices":[]}  ', [9, 0, 0, 4, 0, true]],
  ["no JSON", "chat", "oh no...", [9, 0, 0, 2, 0, true]],
  [
    "numbers that are none",
    "chat",
    '{"usage":{"prompt_tokens":-1,"completion_tokens":1e99}}',
    [0, 0, 0, 100_000_000, 0, false],
  ],
];

describe("what an answer says that it took", () => {
  for (const [name, api, text, want] of CASES)
    test(name, () => {
      for (const size of [1000, 65_536, 10_000_000]) expect(metered(api, text, size)).toEqual([...want]);
    });
});

test("estimates are near", () => {
  const near = (text: string, tokens: number): void =>
    expect(estimateTokens(text)).toBeWithin(tokens * 0.65, tokens * 1.5);
  near("The quick brown fox jumps over the lazy dog.", 10);
  near("今日はとても良い天気ですね。", 11);
  near("Съешь же ещё этих мягких французских булок", 16);
});
