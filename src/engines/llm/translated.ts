// Whole answers of one format in the other, errors too.
import { type Fields, type Format, fieldsAt, jsonOf, listAt, textAt } from "./formats.ts";
import { chatUsage, messageUsage, noUsage, readUsage } from "./usage.ts";

const FINISH_REASONS: Readonly<Record<string, string>> = {
  end_turn: "stop",
  stop_sequence: "stop",
  max_tokens: "length",
  model_context_window_exceeded: "length",
  tool_use: "tool_calls",
  refusal: "content_filter",
};
const STOP_REASONS: Readonly<Record<string, string>> = {
  stop: "end_turn",
  length: "max_tokens",
  tool_calls: "tool_use",
  content_filter: "refusal",
};

/** Why it ended, in the words of the other format. */
export const finishReason = (stop: string): string => FINISH_REASONS[stop] ?? "stop";
export const stopReason = (finish: string): string => STOP_REASONS[finish] ?? "end_turn";

/** An answer of Anthropic's as one to a chat request; `seconds` since 1970. */
export function chatAnswer(answer: Fields, seconds: number): Fields {
  const blocks = listAt(answer, "content");
  const text = blocks
    .filter((block) => textAt(block, "type") === "text")
    .map((block) => textAt(block, "text"))
    .join("");
  const calls = blocks
    .filter((block) => textAt(block, "type") === "tool_use")
    .map((block) => ({
      id: textAt(block, "id"),
      type: "function",
      function: { name: textAt(block, "name"), arguments: JSON.stringify(fieldsAt(block, "input") ?? {}) },
    }));
  const content = text === "" && calls.length > 0 ? null : text;
  const usage = noUsage();
  readUsage("messages", answer.usage, usage);
  return {
    id: `chatcmpl-${textAt(answer, "id")}`,
    object: "chat.completion",
    created: seconds,
    model: textAt(answer, "model"),
    choices: [
      {
        index: 0,
        message: { role: "assistant", content, ...(calls.length === 0 ? {} : { tool_calls: calls }) },
        logprobs: null,
        finish_reason: finishReason(textAt(answer, "stop_reason")),
      },
    ],
    usage: chatUsage(usage),
  };
}

/** An answer to a chat request as one of Anthropic's. */
export function messageAnswer(answer: Fields): Fields {
  const [choice] = listAt(answer, "choices");
  const message = fieldsAt(choice, "message");
  const content: Fields[] = [];
  const text = textAt(message, "content") || textAt(message, "refusal");
  if (text !== "") content.push({ type: "text", text });
  for (const call of listAt(message, "tool_calls")) {
    const named = fieldsAt(call, "function");
    const input = jsonOf(textAt(named, "arguments")) ?? {};
    content.push({ type: "tool_use", id: textAt(call, "id"), name: textAt(named, "name"), input });
  }
  const usage = noUsage();
  readUsage("chat", answer.usage, usage);
  return {
    id: `msg_${textAt(answer, "id")}`,
    type: "message",
    role: "assistant",
    model: textAt(answer, "model"),
    content,
    stop_reason: stopReason(textAt(choice, "finish_reason")),
    stop_sequence: null,
    usage: messageUsage(usage),
  };
}

/** An error of a provider in the form that clients of `to` read. */
export function translatedError(to: Format, answer: unknown): Fields {
  const error = fieldsAt(answer, "error");
  const type = textAt(error, "type") || "api_error";
  const message = textAt(error, "message") || "the provider answered with an error";
  if (to === "anthropic") return { type: "error", error: { type, message } };
  return { error: { message, type, param: null, code: null } };
}
