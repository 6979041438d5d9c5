// Redaction of answers: of whole ones, and of streams, whose texts come in pieces that belong together by their places.
import { type Api, type Fields, fieldsAt, isFields, listAt, textAt } from "./formats.ts";
import { type Redactor, StreamRedactor } from "./redact.ts";

/** Members of answers that are text for people. */
const TEXTS: ReadonlySet<string> = new Set([
  ...["text", "content", "reasoning_content", "reasoning", "refusal", "thinking", "output_text"],
]);
/** Pieces of an answer that come side by side; a provider that makes up more gets them passed on together. */
const TEXTS_MAX = 64;

/** Changes all texts of an answer, or of a part of one, where they stand. */
export function redactAnswer(value: unknown, redactor: Redactor, found: (label: string) => void): void {
  if (Array.isArray(value)) {
    for (const item of value) redactAnswer(item, redactor, found);
    return;
  }
  if (!isFields(value)) return;
  dropTokens(value);
  for (const [name, member] of Object.entries(value)) {
    if (typeof member === "string") {
      if (TEXTS.has(name)) value[name] = redactor.text(member, found);
    } else if (name !== "input" && name !== "tools") redactAnswer(member, redactor, found);
  }
}

/** The tokens of an answer with their chances are its text once more, in pieces in which nothing is found. */
function dropTokens(value: Fields): void {
  if (typeof value.logprobs === "object") value.logprobs = Array.isArray(value.logprobs) ? [] : null;
}

/** A text that comes in pieces, and how to say what was kept back of it. */
interface Running {
  readonly redactor: StreamRedactor;
  last: (rest: string) => Fields;
}

/** The events of one stream. Those that hold text are changed where they stand; what was kept back gets its own. */
export class EventRedactor {
  readonly #api: Api;
  readonly #redactor: Redactor;
  readonly #found: (label: string) => void;
  readonly #out: (event: Fields) => void;
  readonly #running = new Map<string, Running>();

  constructor(api: Api, redactor: Redactor, found: (label: string) => void, out: (event: Fields) => void) {
    this.#api = api;
    this.#redactor = redactor;
    this.#found = found;
    this.#out = out;
  }

  event(event: Fields): void {
    if (this.#api === "messages") this.#block(event);
    else if (this.#api === "responses") this.#response(event);
    else this.#chunk(event);
    this.#out(event);
  }

  /** The stream is over: what was kept back is given out. */
  end(): void {
    for (const key of [...this.#running.keys()]) this.#flush(key);
  }

  /** The text of `holder` is the next piece of the one that `key` names. */
  #piece(key: string, holder: Fields, name: string, last: Running["last"]): void {
    const piece = holder[name];
    if (typeof piece !== "string" || piece === "") return;
    const known = this.#running.get(key);
    if (known === undefined && this.#running.size >= TEXTS_MAX) this.end();
    const running = known ?? { redactor: new StreamRedactor(this.#redactor, this.#found), last };
    running.last = last;
    this.#running.set(key, running);
    holder[name] = running.redactor.push(piece);
  }

  #flush(key: string): void {
    const rest = this.#take(key);
    if (rest !== null && rest.text !== "") this.#out(rest.last(rest.text));
  }

  #take(key: string): { readonly text: string; readonly last: Running["last"] } | null {
    const running = this.#running.get(key);
    if (running === undefined) return null;
    this.#running.delete(key);
    return { text: running.redactor.end(), last: running.last };
  }

  // ——— chat and completions

  #chunk(event: Fields): void {
    for (const choice of listAt(event, "choices")) {
      if (!isFields(choice)) continue;
      dropTokens(choice);
      const delta = this.#api === "chat" ? fieldsAt(choice, "delta") : choice;
      for (const name of this.#api === "chat" ? CHAT_TEXTS : COMPLETION_TEXTS) {
        const key = `${String(choice.index)} ${name}`;
        if (delta !== null) this.#piece(key, delta, name, (rest) => chunkWith(event, choice, name, rest, this.#api));
        // What ends is whole.
        if (typeof choice.finish_reason === "string") this.#finishChoice(key, delta, name);
      }
      // Some say a text as a list of parts: each of them is looked at by itself.
      for (const member of Object.values(delta ?? {}))
        if (typeof member === "object") redactAnswer(member, this.#redactor, this.#found);
    }
  }

  /** What was kept back goes into the chunk that ends the text, or before it where that has no place for it. */
  #finishChoice(key: string, delta: Fields | null, name: string): void {
    if (delta === null) return this.#flush(key);
    const rest = this.#take(key);
    if (rest !== null && rest.text !== "") delta[name] = `${textAt(delta, name)}${rest.text}`;
  }

  // ——— messages

  #block(event: Fields): void {
    const key = String(event.index);
    if (event.type === "content_block_stop") {
      for (const name of MESSAGE_TEXTS) this.#flush(`${key} ${name}`);
    } else if (event.type === "content_block_delta") {
      const delta = fieldsAt(event, "delta");
      if (delta === null) return;
      const { index } = event;
      for (const name of MESSAGE_TEXTS)
        this.#piece(`${key} ${name}`, delta, name, (rest) => ({
          type: "content_block_delta",
          index,
          delta: { type: `${name}_delta`, [name]: rest },
        }));
    } else if (event.type === "content_block_start") redactAnswer(event.content_block, this.#redactor, this.#found);
  }

  // ——— responses

  #response(event: Fields): void {
    const type = textAt(event, "type");
    const { delta } = event;
    if (type.endsWith(".delta")) {
      if (!RESPONSE_TEXTS.has(type)) return;
      dropTokens(event);
      const key = placeOf(event, type.slice(0, -DELTA));
      if (typeof delta === "string") this.#piece(key, event, "delta", (rest) => ({ ...event, delta: rest }));
      return;
    }
    if (type.endsWith(".done")) this.#flush(placeOf(event, type.slice(0, -DONE)));
    redactAnswer(event, this.#redactor, this.#found);
  }
}

const CHAT_TEXTS = ["content", "reasoning_content", "reasoning", "refusal"] as const;
const COMPLETION_TEXTS = ["text"] as const;
const MESSAGE_TEXTS = ["text", "thinking"] as const;
const DELTA = ".delta".length;
const DONE = ".done".length;
const RESPONSE_TEXTS: ReadonlySet<string> = new Set([
  "response.output_text.delta",
  "response.refusal.delta",
  "response.reasoning_text.delta",
  "response.reasoning_summary_text.delta",
]);

const placeOf = ({ item_id, content_index, summary_index }: Fields, stem: string): string =>
  [stem, item_id, content_index, summary_index].map(String).join(" ");

/** The same chunk with nothing but this text. */
function chunkWith(event: Fields, choice: Fields, name: string, rest: string, api: Api): Fields {
  const { usage: _usage, ...head } = event;
  const own = api === "chat" ? { delta: { [name]: rest } } : { [name]: rest };
  return { ...head, choices: [{ index: choice.index, ...own, finish_reason: null }] };
}
