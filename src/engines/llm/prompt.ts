// What of a request's JSON is text for the model: where it stands, and about how many tokens all of it makes.
import { type Api, type Fields, fieldsAt, isFields, LENGTH_FIELDS, listAt } from "./formats.ts";
import { estimateTokens } from "./usage.ts";

/** A text of the prompt, in the object or list that holds it: to be read, and written. */
export interface TextPlace {
  readonly holder: Fields | unknown[];
  readonly key: string | number;
  /** Who says it: `system`, `user`, `assistant`, `tool`, or what the client wrote. */
  readonly role: string;
}

export interface Prompt {
  readonly texts: readonly TextPlace[];
  /** About how many tokens it has. */
  readonly tokens: number;
}

export const textOf = ({ holder, key }: TextPlace): string => (holder as Fields)[key] as string;
export function setText({ holder, key }: TextPlace, text: string): void {
  (holder as Fields)[key] = text;
}

/** Members whose texts are names, addresses or encoded bytes: nothing that anybody has written. */
const NO_TEXTS: ReadonlySet<string> = new Set([
  ...["type", "role", "id", "call_id", "tool_call_id", "tool_use_id", "name", "url", "file_id", "file_url"],
  ...["file_data", "data", "media_type", "image_url", "signature", "encrypted_content", "status", "format", "detail"],
  ...["cache_control", "input_audio", "model"],
]);
/** What a picture, a sound or a document counts for: about what providers take for one of middling size. */
const MEDIA_TOKENS = 1000;
const MEDIA: ReadonlySet<string> = new Set([
  ...["image_url", "input_image", "image", "input_audio", "file", "input_file", "document"],
]);
/** What a message takes beside its text. */
const MESSAGE_TOKENS = 4;
const SYSTEM = "system";
const USER = "user";
const ASSISTANT = "assistant";

/** What the model is to read. The request has been parsed, and is not nested without bound. */
export function promptOf(api: Api, body: Fields): Prompt {
  const found = new Finder();
  switch (api) {
    case "chat":
      found.messages(body, "messages");
      found.at(fieldsAt(body, "prediction") ?? {}, "content", ASSISTANT);
      break;
    case "messages":
    case "count":
      found.at(body, "system", SYSTEM);
      found.messages(body, "messages");
      break;
    case "responses":
      found.at(body, "instructions", SYSTEM);
      found.messages(body, "input");
      found.variables(fieldsAt(fieldsAt(body, "prompt"), "variables") ?? {});
      break;
    case "completions":
      found.at(body, "prompt", USER);
      found.at(body, "suffix", USER);
      break;
    case "embeddings":
      found.at(body, "input", USER);
      break;
    case "models":
      break;
  }
  // What tools there are is read by the model as well.
  for (const tools of [listAt(body, "tools"), listAt(body, "functions")])
    if (tools.length > 0) found.tokens += estimateTokens(JSON.stringify(tools));
  return { texts: found.texts, tokens: Math.ceil(found.tokens) };
}

class Finder {
  readonly texts: TextPlace[] = [];
  tokens = 0;

  messages(body: Fields, name: string): void {
    const list = body[name];
    if (!Array.isArray(list)) return this.at(body, name, USER);
    list.forEach((message: unknown, at) => {
      this.tokens += MESSAGE_TOKENS;
      const role = isFields(message) && typeof message.role === "string" ? message.role : USER;
      this.at(list, at, role);
    });
  }

  at(holder: Fields | unknown[], key: string | number, role: string): void {
    const value = (holder as Fields)[key];
    if (typeof value === "string") {
      this.texts.push({ holder, key, role });
      this.tokens += estimateTokens(value);
    } else if (typeof value === "number")
      this.tokens += 1; // of an input that is tokens already
    else if (Array.isArray(value)) for (let i = 0; i < value.length; i += 1) this.at(value, i, role);
    else if (isFields(value)) this.#members(value, role);
  }

  /** What a template that the provider has is filled in with: names are the client's own. */
  variables(values: Fields): void {
    for (const name of Object.keys(values)) this.at(values, name, USER);
  }

  /** All of it is text, whatever its members are called. */
  #all(holder: Fields | unknown[], key: string | number, role: string): void {
    const value = (holder as Fields)[key];
    if (Array.isArray(value)) for (let i = 0; i < value.length; i += 1) this.#all(value, i, role);
    else if (isFields(value)) for (const name of Object.keys(value)) this.#all(value, name, role);
    else this.at(holder, key, role);
  }

  #members(value: Fields, role: string): void {
    if (typeof value.type === "string" && MEDIA.has(value.type)) this.tokens += MEDIA_TOKENS;
    // A document of plain text has that where others have encoded bytes.
    if (value.type === "text" && typeof value.data === "string") this.at(value, "data", role);
    const isCall = typeof value.type === "string" && value.type.endsWith("tool_use"); // its arguments are its `input`
    for (const name of Object.keys(value))
      if (isCall && name === "input") this.#all(value, name, role);
      else if (!NO_TEXTS.has(name)) this.at(value, name, role);
  }
}

/** The most tokens that the client wants for an answer; 0 where it does not say. */
export function wantedLength(api: Api, body: Fields): number {
  for (const name of LENGTH_FIELDS[api]) {
    const value = body[name];
    if (typeof value === "number" && value > 0) return value;
  }
  return 0;
}

/** Answers that are made at once, also where only the best ones of them are told. */
export const answersWanted = (body: Fields): number => {
  const most = Math.max(...[body.n, body.best_of].map((count) => (typeof count === "number" ? count : 1)));
  return Math.max(1, Math.floor(most));
};
