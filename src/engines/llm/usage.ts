// How many tokens a model has read and written: as the provider says it, or reckoned from the text.
import { type Api, fieldsAt, isFields } from "./formats.ts";

export interface Usage {
  /** All of the prompt, what was cached included. */
  input: number;
  cached: number;
  cacheWritten: number;
  /** All of the answer, reasoning included. */
  output: number;
  reasoning: number;
}

export const noUsage = (): Usage => ({ input: 0, cached: 0, cacheWritten: 0, output: 0, reasoning: 0 });

/** No answer has more; a provider that says so is not believed. */
const COUNT_MAX = 100_000_000;

function count(value: unknown, name: string): number {
  const field = isFields(value) ? value[name] : null;
  return typeof field === "number" && field > 0 ? Math.min(Math.floor(field), COUNT_MAX) : 0;
}

const says = (value: unknown, name: string): boolean => isFields(value) && typeof value[name] === "number";

/** Takes over what a `usage` object says. False when it says nothing. Numbers of streams grow, so the last one holds. */
export function readUsage(api: Api, value: unknown, usage: Usage): boolean {
  if (!isFields(value)) return false;
  if (api === "messages") return readAnthropic(value, usage);
  const isNew = api === "responses";
  const [input, output] = isNew ? (["input_tokens", "output_tokens"] as const) : CHAT_NAMES;
  if (!says(value, input) && !says(value, output)) return false;
  usage.input = count(value, input);
  usage.output = count(value, output);
  usage.cached = count(fieldsAt(value, isNew ? "input_tokens_details" : "prompt_tokens_details"), "cached_tokens");
  const details = fieldsAt(value, isNew ? "output_tokens_details" : "completion_tokens_details");
  usage.reasoning = count(details, "reasoning_tokens");
  return true;
}

const CHAT_NAMES = ["prompt_tokens", "completion_tokens"] as const;

/** What is cached is not part of `input_tokens` there; a stream says in its end what it has not said before. */
function readAnthropic(value: Readonly<Record<string, unknown>>, usage: Usage): boolean {
  if (!says(value, "output_tokens") && !says(value, "input_tokens")) return false;
  if (says(value, "input_tokens")) {
    if (says(value, "cache_read_input_tokens")) usage.cached = count(value, "cache_read_input_tokens");
    if (says(value, "cache_creation_input_tokens")) usage.cacheWritten = count(value, "cache_creation_input_tokens");
    usage.input = count(value, "input_tokens") + usage.cached + usage.cacheWritten;
  }
  if (says(value, "output_tokens")) usage.output = count(value, "output_tokens");
  return true;
}

/** As OpenAI has it. */
export const chatUsage = ({ input, cached, output, reasoning }: Usage): Readonly<Record<string, unknown>> => ({
  prompt_tokens: input,
  completion_tokens: output,
  total_tokens: input + output,
  prompt_tokens_details: { cached_tokens: cached },
  completion_tokens_details: { reasoning_tokens: reasoning },
});

/** As Anthropic has it. */
export const messageUsage = ({ input, cached, cacheWritten, output }: Usage): Readonly<Record<string, number>> => ({
  input_tokens: Math.max(0, input - cached - cacheWritten),
  cache_creation_input_tokens: cacheWritten,
  cache_read_input_tokens: cached,
  output_tokens: output,
});

/** Four letters of English are about a token, and so are two of most other alphabets, or one or two of Chinese. */
export const BYTES_PER_TOKEN = 4;

/** About how many tokens a text has, as a number with a fraction: within a third for most. */
export const estimateTokens = (text: string): number => Buffer.byteLength(text) / BYTES_PER_TOKEN;
