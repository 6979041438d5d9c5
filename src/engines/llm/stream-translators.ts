// Streams of one format as streams of the other, event by event.
import { type Fields, fieldsAt, isFields, listAt, textAt } from "./formats.ts";
import { finishReason, stopReason, translatedError } from "./translated.ts";
import { chatUsage, messageUsage, noUsage, readUsage, type Usage } from "./usage.ts";

/** Takes events in the client's format: JSON, or null for the mark that a chat stream ends with. */
export type EventSink = (event: Fields | null) => void;

export interface StreamTranslator {
  /** An event of the provider: JSON, or null for the mark of the end. */
  event(event: Fields | null): void;
}

/** From Anthropic's events to chunks of a chat. */
export class ToChunks implements StreamTranslator {
  readonly #out: EventSink;
  readonly #withUsage: boolean;
  readonly #seconds: number;
  readonly #usage: Usage = noUsage();
  /** Places of tool calls in the answer, by the place of their blocks. */
  readonly #calls = new Map<unknown, number>();
  #id = "";
  #model = "";
  #isOver = false;

  /** `withUsage`: the client has asked for it. `seconds` since 1970. */
  constructor(out: EventSink, withUsage: boolean, seconds: number) {
    this.#out = out;
    this.#withUsage = withUsage;
    this.#seconds = seconds;
  }

  event(event: Fields | null): void {
    if (event === null || this.#isOver) return;
    switch (event.type) {
      case "message_start":
        return this.#start(fieldsAt(event, "message"));
      case "content_block_start":
        return this.#block(event);
      case "content_block_delta":
        return this.#delta(event);
      case "message_delta":
        readUsage("messages", event.usage, this.#usage);
        return this.#chunk({}, finishReason(textAt(fieldsAt(event, "delta"), "stop_reason")));
      case "message_stop":
        return this.#stop();
      case "error":
        return this.#out(translatedError("openai", event));
    }
  }

  #start(message: Fields | null): void {
    this.#id = `chatcmpl-${textAt(message, "id")}`;
    this.#model = textAt(message, "model");
    readUsage("messages", message?.usage, this.#usage);
    this.#chunk({ role: "assistant", content: "" }, null);
  }

  #block(event: Fields): void {
    const block = fieldsAt(event, "content_block");
    if (textAt(block, "type") !== "tool_use") return;
    const index = this.#calls.size;
    this.#calls.set(event.index, index);
    const named = { name: textAt(block, "name"), arguments: "" };
    this.#chunk({ tool_calls: [{ index, id: textAt(block, "id"), type: "function", function: named }] }, null);
  }

  #delta(event: Fields): void {
    const delta = fieldsAt(event, "delta");
    const type = textAt(delta, "type");
    if (type === "text_delta") return this.#chunk({ content: textAt(delta, "text") }, null);
    const index = this.#calls.get(event.index);
    if (type !== "input_json_delta" || index === undefined) return;
    this.#chunk({ tool_calls: [{ index, function: { arguments: textAt(delta, "partial_json") } }] }, null);
  }

  #stop(): void {
    this.#isOver = true;
    if (this.#withUsage) this.#out({ ...this.#head(), choices: [], usage: chatUsage(this.#usage) });
    this.#out(null);
  }

  #head(): Fields {
    return { id: this.#id, object: "chat.completion.chunk", created: this.#seconds, model: this.#model };
  }

  #chunk(delta: Fields, finish: string | null): void {
    this.#out({ ...this.#head(), choices: [{ index: 0, delta, logprobs: null, finish_reason: finish }] });
  }
}

/** From chunks of a chat to Anthropic's events. */
export class ToEvents implements StreamTranslator {
  readonly #out: EventSink;
  readonly #prompt: number;
  readonly #usage: Usage = noUsage();
  #isBegun = false;
  /** The kind of the block that is open: `text`, or the place of a tool call; null for none. */
  #open: "text" | number | null = null;
  #blocks = 0;
  #finish = "";
  #isOver = false;

  /** `prompt`: about how many tokens the prompt has, which these events begin with. */
  constructor(out: EventSink, prompt: number) {
    this.#out = out;
    this.#prompt = prompt;
  }

  event(event: Fields | null): void {
    if (this.#isOver) return;
    if (event === null) return this.#stop();
    if (fieldsAt(event, "error") !== null) return this.#out(translatedError("anthropic", event));
    if (!this.#isBegun) this.#begin(event);
    readUsage("chat", event.usage, this.#usage);
    const [choice] = listAt(event, "choices");
    const delta = fieldsAt(choice, "delta");
    const text = textAt(delta, "content") || textAt(delta, "refusal");
    if (text !== "") this.#text(text);
    for (const call of listAt(delta, "tool_calls")) if (isFields(call)) this.#call(call);
    this.#finish = textAt(choice, "finish_reason") || this.#finish;
  }

  #begin(event: Fields): void {
    this.#isBegun = true;
    const usage = { input_tokens: this.#prompt, output_tokens: 0 };
    const id = `msg_${textAt(event, "id")}`;
    const empty = { content: [], stop_reason: null, stop_sequence: null, usage };
    const message = { id, type: "message", role: "assistant", model: textAt(event, "model"), ...empty };
    this.#out({ type: "message_start", message });
  }

  #text(text: string): void {
    if (this.#open !== "text") this.#openBlock("text", { type: "text", text: "" });
    this.#out({ type: "content_block_delta", index: this.#blocks - 1, delta: { type: "text_delta", text } });
  }

  #call(call: Fields): void {
    const at = typeof call.index === "number" ? call.index : 0;
    const named = fieldsAt(call, "function");
    if (this.#open !== at)
      this.#openBlock(at, { type: "tool_use", id: textAt(call, "id"), name: textAt(named, "name"), input: {} });
    const partial = textAt(named, "arguments");
    if (partial === "") return;
    const delta = { type: "input_json_delta", partial_json: partial };
    this.#out({ type: "content_block_delta", index: this.#blocks - 1, delta });
  }

  #openBlock(kind: "text" | number, block: Fields): void {
    this.#close();
    this.#open = kind;
    this.#out({ type: "content_block_start", index: this.#blocks, content_block: block });
    this.#blocks += 1;
  }

  #close(): void {
    if (this.#open !== null) this.#out({ type: "content_block_stop", index: this.#blocks - 1 });
    this.#open = null;
  }

  #stop(): void {
    this.#isOver = true;
    if (!this.#isBegun) return;
    this.#close();
    const delta = { stop_reason: stopReason(this.#finish), stop_sequence: null };
    this.#out({ type: "message_delta", delta, usage: messageUsage(this.#usage) });
    this.#out({ type: "message_stop" });
  }
}
