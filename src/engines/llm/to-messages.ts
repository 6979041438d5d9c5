// A chat request of OpenAI's format as one of Anthropic's: text, pictures, tools and their results. What would change
// the meaning where it is left out cannot be translated, and is said.
import { type Fields, fieldsAt, isFields, jsonOf, textAt } from "./formats.ts";

/** Why a request cannot be said in another format. */
export class Untranslatable {
  readonly why: string;
  constructor(why: string) {
    this.why = why;
  }
}

/** Anthropic wants one; it is what its small models can write at most. */
const LENGTH_DEFAULT = 4096;
/** Fields that stay as they are where they are there. */
const SAME = ["model", "stream", "top_p"] as const;
/** Without these the answer would be another one than was asked for. */
const NOT_SAID = ["logprobs", "audio", "functions", "function_call", "web_search_options"] as const;

/** The same request in Anthropic's format. */
export function toMessages(body: Fields): Fields | Untranslatable {
  const problem = problemOf(body);
  if (problem !== "") return new Untranslatable(problem);
  const made: Fields = {};
  for (const name of SAME) if (body[name] !== undefined) made[name] = body[name];
  const system: string[] = [];
  const messages = new Messages();
  for (const message of body.messages as unknown[]) {
    const role = textAt(message, "role");
    const content = isFields(message) ? message.content : null;
    if (role === "system" || role === "developer") system.push(plainText(content));
    else if (role === "tool") messages.add("user", [toolResult(message as Fields)]);
    else if (role === "user" || role === "assistant") {
      const blocks = blocksOf(content);
      if (blocks instanceof Untranslatable) return blocks;
      if (role === "assistant") blocks.push(...toolUses(message as Fields));
      messages.add(role, blocks);
    } else return new Untranslatable(`messages of the role "${role}"`);
  }
  if (system.length > 0) made.system = system.join("\n\n");
  made.messages = messages.list;
  made.max_tokens = body.max_completion_tokens ?? body.max_tokens ?? LENGTH_DEFAULT;
  if (typeof body.temperature === "number") made.temperature = Math.min(1, body.temperature);
  if (body.stop !== undefined && body.stop !== null) made.stop_sequences = [body.stop].flat();
  if (typeof body.user === "string") made.metadata = { user_id: body.user };
  return addTools(body, made);
}

function problemOf(body: Fields): string {
  if (!Array.isArray(body.messages)) return "a request without messages";
  const named = NOT_SAID.find((name) => body[name] !== undefined && body[name] !== null && body[name] !== false);
  if (named !== undefined) return `\`${named}\``;
  if (typeof body.n === "number" && body.n > 1) return "more than one answer (`n`)";
  const format = textAt(body.response_format, "type");
  if (format !== "" && format !== "text") return "a `response_format`";
  return Array.isArray(body.modalities) && body.modalities.some((each) => each !== "text") ? "other `modalities`" : "";
}

/** Messages of which those of one role that follow each other are one, as the results of tools have to be. */
class Messages {
  readonly list: { role: string; content: Fields[] }[] = [];

  add(role: string, blocks: readonly Fields[]): void {
    if (blocks.length === 0) return;
    const last = this.list.at(-1);
    if (last?.role === role) last.content.push(...blocks);
    else this.list.push({ role, content: [...blocks] });
  }
}

function plainText(content: unknown): string {
  if (typeof content === "string") return content;
  return Array.isArray(content) ? content.map((part: unknown) => textAt(part, "text")).join("") : "";
}

function blocksOf(content: unknown): Fields[] | Untranslatable {
  if (content === null || content === undefined || content === "") return [];
  if (typeof content === "string") return [{ type: "text", text: content }];
  const blocks: Fields[] = [];
  for (const part of Array.isArray(content) ? content : []) {
    const type = textAt(part, "type");
    if (type === "text" || type === "refusal") {
      const text = textAt(part, type);
      if (text !== "") blocks.push({ type: "text", text });
    } else if (type === "image_url") blocks.push(imageOf(textAt(fieldsAt(part, "image_url"), "url")));
    else return new Untranslatable(`content of the type "${type}"`);
  }
  return blocks;
}

function imageOf(url: string): Fields {
  const parts = /^data:([^;,]{1,64});base64,/.exec(url.slice(0, 128));
  if (parts === null) return { type: "image", source: { type: "url", url } };
  return { type: "image", source: { type: "base64", media_type: parts[1], data: url.slice(parts[0].length) } };
}

function toolUses(message: Fields): Fields[] {
  const calls = Array.isArray(message.tool_calls) ? message.tool_calls : [];
  return calls.map((call: unknown) => {
    const named = fieldsAt(call, "function");
    const input = jsonOf(textAt(named, "arguments"));
    return {
      type: "tool_use",
      id: textAt(call, "id"),
      name: textAt(named, "name"),
      input: isFields(input) ? input : {},
    };
  });
}

const toolResult = (message: Fields): Fields => ({
  type: "tool_result",
  tool_use_id: textAt(message, "tool_call_id"),
  content: plainText(message.content),
});

function addTools(body: Fields, made: Fields): Fields | Untranslatable {
  const tools = Array.isArray(body.tools) ? body.tools : [];
  const unknown = tools.find((tool: unknown) => textAt(tool, "type") !== "function");
  if (unknown !== undefined) return new Untranslatable(`tools of the type "${textAt(unknown, "type")}"`);
  if (tools.length === 0) return made;
  made.tools = tools.map((tool: unknown) => {
    const named = fieldsAt(tool, "function");
    const description = textAt(named, "description");
    return {
      name: textAt(named, "name"),
      ...(description === "" ? {} : { description }),
      input_schema: fieldsAt(named, "parameters") ?? { type: "object" },
    };
  });
  const choice = choiceOf(body.tool_choice);
  if (body.parallel_tool_calls === false) made.tool_choice = { ...choice, disable_parallel_tool_use: true };
  else if (body.tool_choice !== undefined) made.tool_choice = choice;
  return made;
}

function choiceOf(choice: unknown): Fields {
  if (choice === "none") return { type: "none" };
  if (choice === "required") return { type: "any" };
  const name = textAt(fieldsAt(choice, "function"), "name");
  return name === "" ? { type: "auto" } : { type: "tool", name };
}
