// Reads from a copy of an answer how many tokens it took. What it is given stays as it is, and goes on without it.
import { type Api, fieldsAt, isFields, jsonOf, listAt, textAt } from "./formats.ts";
import { SseReader } from "./sse.ts";
import { BYTES_PER_TOKEN, estimateTokens, noUsage, readUsage, type Usage } from "./usage.ts";

/** Longest event that is read. The last one of a response repeats all of it. */
const EVENT_MAX = 1_048_576;
/** Of a longer answer only the end is looked at: embeddings have many megabytes, and say what they took behind them. */
const WHOLE_MAX = 262_144;
const TAIL_MAX = 32_768;

export interface Metered {
  readonly usage: Usage;
  /** It was not said, or not all of it. */
  readonly estimated: boolean;
}

/** What an event of a stream says. For the reader of a stream that is changed as well as for the one that is not. */
export class EventMeter {
  readonly usage: Usage = noUsage();
  /** The provider has said how many it were. */
  isSaid = false;
  readonly #api: Api;
  #written = 0;

  constructor(api: Api) {
    this.#api = api;
  }

  /** The data of an event, as JSON; null for what was none. */
  take(event: unknown): void {
    if (!isFields(event)) return;
    if (this.#api === "messages") this.#message(event);
    else if (this.#api === "responses") this.#response(event);
    else this.#chunk(event);
  }

  /** What of a text that could not be read is taken for the answer. */
  passed(bytes: number): void {
    this.#written += bytes / BYTES_PER_TOKEN;
  }

  #chunk(event: Readonly<Record<string, unknown>>): void {
    if (readUsage(this.#api, event.usage, this.usage)) this.isSaid = true;
    for (const choice of listAt(event, "choices")) {
      const delta = fieldsAt(choice, "delta");
      this.#text(textAt(choice, "text"));
      if (delta === null) continue;
      this.#text(textAt(delta, "content"));
      this.#text(textAt(delta, "reasoning_content") || textAt(delta, "reasoning"));
      for (const call of listAt(delta, "tool_calls")) this.#text(textAt(fieldsAt(call, "function"), "arguments"));
    }
  }

  #response(event: Readonly<Record<string, unknown>>): void {
    const { delta } = event;
    if (typeof delta === "string") this.#text(delta);
    if (readUsage(this.#api, fieldsAt(event, "response")?.usage, this.usage)) this.isSaid = true;
  }

  #message(event: Readonly<Record<string, unknown>>): void {
    // What the first event says of the answer is not final.
    if (event.type === "message_start") readUsage(this.#api, fieldsAt(event, "message")?.usage, this.usage);
    else if (event.type === "message_delta") this.isSaid = readUsage(this.#api, event.usage, this.usage) || this.isSaid;
    const delta = fieldsAt(event, "delta");
    if (delta === null) return;
    this.#text(textAt(delta, "text"));
    this.#text(textAt(delta, "thinking"));
    this.#text(textAt(delta, "partial_json"));
  }

  #text(text: string): void {
    if (text !== "") this.#written += estimateTokens(text);
  }

  /** `prompt` stands in for what the provider has not said of it. */
  result(prompt: number): Metered {
    if (this.isSaid) return { usage: this.usage, estimated: false };
    const usage = { ...this.usage };
    if (usage.input === 0) usage.input = prompt;
    usage.output = Math.max(usage.output, Math.ceil(this.#written));
    return { usage, estimated: true };
  }
}

export interface Meter {
  /** A piece of the answer; the bytes must stay as they are. */
  push(bytes: Buffer, from: number, to: number): void;
  end(): void;
  result(prompt: number): Metered;
}

/** For a stream that nobody changes. */
export class StreamMeter implements Meter {
  readonly #events: EventMeter;
  readonly #reader: SseReader;

  constructor(api: Api) {
    const events = new EventMeter(api);
    this.#events = events;
    this.#reader = new SseReader(EVENT_MAX, {
      event: (_name, data) => events.take(jsonOf(data)),
      passed: (raw) => events.passed(raw.length),
    });
  }
  push(bytes: Buffer, from: number, to: number): void {
    this.#reader.push(bytes, from, to);
  }
  end(): void {
    this.#reader.end();
  }
  result(prompt: number): Metered {
    return this.#events.result(prompt);
  }
}

/** For an answer that is one JSON text. */
export class JsonMeter implements Meter {
  readonly #api: Api;
  readonly #usage: Usage = noUsage();
  #pieces: Buffer[] = [];
  #kept = 0;
  #length = 0;
  #isSaid = false;

  constructor(api: Api) {
    this.#api = api;
  }

  push(bytes: Buffer, from: number, to: number): void {
    this.#length += to - from;
    this.#kept += to - from;
    this.#pieces.push(bytes.subarray(from, to));
    const max = this.#length > WHOLE_MAX ? TAIL_MAX : WHOLE_MAX;
    // Together they are too much, and without the first still enough.
    while (this.#kept - this.#pieces[0]!.length > max) this.#kept -= this.#pieces.shift()!.length;
  }

  end(): void {
    const all = Buffer.concat(this.#pieces);
    this.#pieces = [];
    const value = all.length === this.#length ? fieldsAt(jsonOf(all.toString()), "usage") : usageInTail(all);
    this.#isSaid = readUsage(this.#api, value, this.#usage);
  }

  result(prompt: number): Metered {
    if (this.#isSaid) return { usage: this.#usage, estimated: false };
    const output = this.#api === "embeddings" ? 0 : Math.ceil(this.#length / BYTES_PER_TOKEN);
    return { usage: { ...noUsage(), input: prompt, output }, estimated: true };
  }
}

const USAGE = Buffer.from('"usage"');
const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const OPEN = 0x7b;
const CLOSE = 0x7d;

/**
 * The `usage` of an object of which only the end is there: the last one from which on one brace more is closed than is
 * opened, so that it is of the object itself, and not of what a model has put into it.
 */
function usageInTail(tail: Buffer): unknown {
  for (let at = tail.lastIndexOf(USAGE); at >= 0; at = at === 0 ? -1 : tail.lastIndexOf(USAGE, at - 1)) {
    // A name in an object is followed by a colon; in a text its quotes would be escaped.
    const text = /^"usage"\s*:\s*(?=\{)/.exec(tail.toString("latin1", at, Math.min(tail.length, at + 32)));
    if (text === null) continue;
    const from = at + text[0].length;
    const end = closing(tail, from);
    if (end > 0 && depthFrom(tail, end) === -1) return jsonOf(tail.toString("utf8", from, end));
  }
  return null;
}

/** Where the object that begins at `from` ends; 0 when it does not. */
function closing(bytes: Buffer, from: number): number {
  let depth = 0;
  for (let at = from; at < bytes.length; at += 1) {
    const byte = bytes[at]!;
    if (byte === QUOTE) at = stringEnd(bytes, at);
    else if (byte === OPEN) depth += 1;
    else if (byte === CLOSE && (depth -= 1) === 0) return at + 1;
  }
  return 0;
}

function depthFrom(bytes: Buffer, from: number): number {
  let depth = 0;
  for (let at = from; at < bytes.length; at += 1) {
    const byte = bytes[at]!;
    if (byte === QUOTE) at = stringEnd(bytes, at);
    else if (byte === OPEN) depth += 1;
    else if (byte === CLOSE) depth -= 1;
  }
  return depth;
}

function stringEnd(bytes: Buffer, quote: number): number {
  let at = quote + 1;
  while (at < bytes.length && bytes[at] !== QUOTE) at += bytes[at] === BACKSLASH ? 2 : 1;
  return at;
}
