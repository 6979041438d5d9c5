// A request of Anthropic's format as a chat request of OpenAI's: text, pictures, tools and their results.
import { type Fields, fieldsAt, isFields, listAt, textAt } from "./formats.ts";
import { Untranslatable } from "./to-messages.ts";

const SAME = ["model", "stream", "temperature", "top_p"] as const;
/** Blocks that say how the model came to what it said: nobody else can use them. */
const DROPPED: ReadonlySet<string> = new Set(["thinking", "redacted_thinking"]);
/** OpenAI takes no more. */
const STOPS_MAX = 4;

/** The same request in OpenAI's format. */
export function toChat(body: Fields): Fields | Untranslatable {
  if (!Array.isArray(body.messages)) return new Untranslatable("a request without messages");
  const made: Fields = {};
  for (const name of SAME) if (body[name] !== undefined) made[name] = body[name];
  const messages: Fields[] = [];
  const system = typeof body.system === "string" ? body.system : textsOf(listAt(body, "system"));
  if (system !== "") messages.push({ role: "system", content: system });
  for (const message of body.messages as unknown[]) {
    const said = isFields(message) ? wordsOf(message) : new Untranslatable("a message that is no object");
    if (said instanceof Untranslatable) return said;
    messages.push(...said);
  }
  made.messages = messages;
  if (body.max_tokens !== undefined) made.max_completion_tokens = body.max_tokens;
  const stops = listAt(body, "stop_sequences");
  if (stops.length > STOPS_MAX) return new Untranslatable(`more than ${STOPS_MAX} \`stop_sequences\``);
  if (stops.length > 0) made.stop = stops;
  const user = textAt(fieldsAt(body, "metadata"), "user_id");
  if (user !== "") made.user = user;
  return addTools(body, made);
}

const textsOf = (blocks: readonly unknown[]): string => blocks.map((block) => textAt(block, "text")).join("\n\n");

function wordsOf(message: Fields): Fields[] | Untranslatable {
  const role = textAt(message, "role");
  if (role !== "user" && role !== "assistant") return new Untranslatable(`messages of the role "${role}"`);
  if (typeof message.content === "string") return [{ role, content: message.content }];
  const parts: Fields[] = [];
  const calls: Fields[] = [];
  const results: Fields[] = [];
  for (const block of listAt(message, "content")) {
    const type = textAt(block, "type");
    if (type === "text") parts.push({ type: "text", text: textAt(block, "text") });
    else if (type === "image") parts.push(imageOf(fieldsAt(block, "source")));
    else if (type === "tool_use") calls.push(callOf(block));
    else if (type === "tool_result") results.push(resultOf(block));
    else if (!DROPPED.has(type)) return new Untranslatable(`content of the type "${type}"`);
  }
  if (role === "assistant") {
    const content = parts.length === 0 ? null : textsOfParts(parts);
    return [{ role, content, ...(calls.length === 0 ? {} : { tool_calls: calls }) }];
  }
  return parts.length === 0 ? results : [...results, { role, content: parts }];
}

const textsOfParts = (parts: readonly Fields[]): string => parts.map((part) => textAt(part, "text")).join("");

const imageOf = (source: Fields | null): Fields => {
  const url = textAt(source, "url");
  const data = `data:${textAt(source, "media_type")};base64,${textAt(source, "data")}`;
  return { type: "image_url", image_url: { url: url === "" ? data : url } };
};

const callOf = (block: unknown): Fields => ({
  id: textAt(block, "id"),
  type: "function",
  function: { name: textAt(block, "name"), arguments: JSON.stringify(fieldsAt(block, "input") ?? {}) },
});

function resultOf(block: unknown): Fields {
  const content = textAt(block, "content");
  const text = content === "" ? textsOf(listAt(block, "content")) : content;
  return { role: "tool", tool_call_id: textAt(block, "tool_use_id"), content: text };
}

function addTools(body: Fields, made: Fields): Fields | Untranslatable {
  const tools = listAt(body, "tools");
  const unknown = tools.find((tool) => !["", "custom"].includes(textAt(tool, "type")));
  if (unknown !== undefined) return new Untranslatable(`tools of the type "${textAt(unknown, "type")}"`);
  if (tools.length === 0) return made;
  made.tools = tools.map((tool) => {
    const description = textAt(tool, "description");
    const parameters = fieldsAt(tool, "input_schema") ?? { type: "object" };
    const named = { name: textAt(tool, "name"), ...(description === "" ? {} : { description }), parameters };
    return { type: "function", function: named };
  });
  const choice = fieldsAt(body, "tool_choice");
  const type = textAt(choice, "type");
  if (type === "tool") made.tool_choice = { type: "function", function: { name: textAt(choice, "name") } };
  else if (type !== "") made.tool_choice = type === "any" ? "required" : type;
  if (choice?.disable_parallel_tool_use === true) made.parallel_tool_calls = false;
  return made;
}
