// The messages of a call from an HTTP request: its path, its query and its body, in proto3's JSON.
import { isUtf8 } from "node:buffer";
import { type DescMessage, fromJson, type JsonValue, toBinary } from "@bufbuild/protobuf";
import { FRAME_HEAD_BYTES } from "../../http/grpc-frames.ts";
import { decodePercent } from "../../http/path.ts";
import { decodeQuery } from "../../http/query.ts";
import { type FieldPath, fieldPathOf, type JsonObject, putJson, putText } from "./fields.ts";
import { type Binding, isHttpBody, type Transcoder } from "./transcoder.ts";

/** What is wrong with a request, and where. */
export interface RequestProblem {
  readonly in: "path" | "query" | "body";
  /** The variable or parameter; "" for the body. */
  readonly path: string;
  readonly message: string;
}

export interface RequestContent {
  readonly bytes: Buffer;
  /** The media type, lower-case, without parameters; "" for none. */
  readonly type: string;
}

/** More parameters than any client has for honest reasons; each costs a search of the message's fields. */
const PARAMETERS_MAX = 1000;
const MESSAGE_CHARS_MAX = 300;

/** Thrown in here alone. */
class Refusal extends Error {
  readonly problem: RequestProblem;
  constructor(problem: RequestProblem) {
    super(problem.message);
    this.problem = problem;
  }
}

const refuse = (where: RequestProblem["in"], path: string, message: string): never => {
  throw new Refusal({ in: where, path, message: message.slice(0, MESSAGE_CHARS_MAX) });
};

/**
 * The body of the call: frames with its messages, one unless the client sends a stream. `segments` are those of the
 * path, `content` is null for a request without a body.
 */
export function requestFrames(
  transcoder: Transcoder,
  binding: Binding,
  segments: readonly string[],
  query: string,
  content: RequestContent | null,
): Buffer | RequestProblem {
  try {
    const values = bodyValues(binding, content);
    const first = values[0];
    if (first === undefined) return Buffer.alloc(0); // a stream without messages
    addQuery(transcoder, binding, first, query);
    addVariables(binding, first, segments);
    return Buffer.concat(values.map((value) => frameOf(transcoder, binding.method.input, value)));
  } catch (error) {
    if (error instanceof Refusal) return error.problem;
    throw error;
  }
}

/** What the body says, as messages in JSON. */
function bodyValues(binding: Binding, content: RequestContent | null): JsonObject[] {
  const { body, method, collects } = binding;
  if (body === null) return [{}];
  const message = body === "*" ? method.input : body.message;
  if (isHttpBody(message)) {
    const raw: JsonObject = { contentType: content?.type ?? "", data: content?.bytes.toString("base64") ?? "" };
    return [body === "*" ? raw : { [body.jsonName]: raw }];
  }
  if (collects) return streamValues(content).map(objectOf);
  if (content === null || content.bytes.length === 0) return [{}];
  const value = parse(textOf(content));
  if (body === "*") return [objectOf(value)];
  const root: JsonObject = {};
  putJson(root, body, value);
  return [root];
}

/** A stream of messages: a list, or a line of JSON for each of them. */
function streamValues(content: RequestContent | null): JsonValue[] {
  if (content === null || content.bytes.length === 0) return [];
  const text = textOf(content);
  if (content.type === "application/json") {
    const list = parse(text);
    return Array.isArray(list) ? list : refuse("body", "", "must be a list of messages");
  }
  return text
    .split("\n")
    .filter((line) => line.trim() !== "")
    .map(parse);
}

const textOf = ({ bytes }: RequestContent): string =>
  isUtf8(bytes) ? bytes.toString() : refuse("body", "", "must be text in UTF-8");

const objectOf = (value: JsonValue): JsonObject =>
  typeof value === "object" && value !== null && !Array.isArray(value)
    ? value
    : refuse("body", "", "must be a JSON object");

/** Numbers that a double does not hold stay exact: they are taken as texts, which proto3's JSON allows. */
function parse(text: string): JsonValue {
  try {
    return /\d{16}/.test(text) ? (JSON.parse(text, exactly) as JsonValue) : (JSON.parse(text) as JsonValue);
  } catch {
    return refuse("body", "", "must be JSON");
  }
}

function exactly(_name: string, value: unknown, context?: { readonly source?: string }): unknown {
  if (typeof value !== "number" || Number.isSafeInteger(value)) return value;
  const source = context?.source ?? "";
  return /^-?\d+$/.test(source) ? source : value;
}

function addVariables({ variables }: Binding, root: JsonObject, segments: readonly string[]): void {
  for (const { field, path, from, to } of variables) {
    const isOne = to - from === 1;
    const text = segments
      .slice(from, to)
      .map((segment) => decode(segment, isOne, field))
      .join("/");
    const wrong = putText(root, path, text, false);
    if (wrong !== "") refuse("path", field, wrong);
  }
}

/** In a value of several segments an encoded slash stays what it is: it separates nothing. */
function decode(segment: string, isOne: boolean, field: string): string {
  if (!segment.includes("%")) return segment;
  const bytes = isOne ? decodePercent(segment) : segment.split(/%2F/i).map(decodePercent).join("%2F");
  const text = Buffer.from(bytes, "latin1").toString();
  return text.includes("\uFFFD") ? refuse("path", field, "must be text in UTF-8") : text;
}

function addQuery(transcoder: Transcoder, binding: Binding, root: JsonObject, query: string): void {
  if (query === "") return;
  const { ignoreQuery } = transcoder.options;
  const parts = query.split("&");
  if (parts.length > PARAMETERS_MAX) refuse("query", "", `must not have more than ${PARAMETERS_MAX} parameters`);
  // A parameter that is there more than once fills a list from its beginning, whatever the body has there.
  const begun = new Set<string>();
  for (const part of parts) {
    if (part === "") continue;
    const equals = part.indexOf("=");
    const name = decodeQuery(equals < 0 ? part : part.slice(0, equals));
    const path = binding.body === "*" ? null : fieldPathOf(binding.method.input, name);
    if (path === null || isTaken(binding, path)) {
      if (ignoreQuery.includes("*") || ignoreQuery.includes(name)) continue;
      refuse("query", name, path === null ? "is not known" : "comes from the path or the body");
    }
    const key = path!.map(({ name: part }) => part).join(".");
    const wrong = putText(root, path!, equals < 0 ? "" : decodeQuery(part.slice(equals + 1)), begun.has(key));
    begun.add(key);
    if (wrong !== "") refuse("query", name, wrong);
  }
}

/** What the path or the body says is not said again by the query (google/api/http.proto). */
function isTaken({ variables, body }: Binding, path: FieldPath): boolean {
  if (body !== null && body !== "*" && path[0] === body) return true;
  return variables.some((variable) => variable.path.every((field, at) => field === path[at]));
}

function frameOf({ registry, options }: Transcoder, message: DescMessage, value: JsonValue): Buffer {
  let bytes: Uint8Array;
  try {
    bytes = toBinary(message, fromJson(message, value, { registry, ignoreUnknownFields: options.ignoreUnknown }));
  } catch (error) {
    const text = error instanceof Error ? error.message : String(error);
    const [, field = "", why = text] =
      /^cannot decode (?:field \S+\.(\w+)|message \S+) from JSON: (.*)$/s.exec(text) ?? [];
    return refuse("body", field, why);
  }
  const frame = Buffer.allocUnsafe(FRAME_HEAD_BYTES + bytes.length);
  frame[0] = 0;
  frame.writeUInt32BE(bytes.length, 1);
  frame.set(bytes, FRAME_HEAD_BYTES);
  return frame;
}
