// The interfaces of providers that are understood, told by the end of the path: OpenAI's and what is made like it, and
// Anthropic's.

/** Who made the format up; most providers speak OpenAI's. */
export type Format = "openai" | "anthropic";

/** What is asked for. `count` counts tokens, and `models` lists what there is. */
export type Api = "chat" | "responses" | "completions" | "embeddings" | "messages" | "count" | "models";

/** A JSON object of somebody else's. */
export type Fields = Record<string, unknown>;

interface ApiSpec {
  readonly api: Api;
  readonly format: Format;
  readonly method: "GET" | "POST";
  /** Its path below where the provider's interface begins. */
  readonly path: string;
}

const APIS: readonly ApiSpec[] = [
  { api: "chat", format: "openai", method: "POST", path: "/chat/completions" },
  { api: "responses", format: "openai", method: "POST", path: "/responses" },
  { api: "completions", format: "openai", method: "POST", path: "/completions" },
  { api: "embeddings", format: "openai", method: "POST", path: "/embeddings" },
  { api: "messages", format: "anthropic", method: "POST", path: "/messages" },
  { api: "count", format: "anthropic", method: "POST", path: "/messages/count_tokens" },
  { api: "models", format: "openai", method: "GET", path: "/models" },
];

/** What a request is for; null where nothing of that is known. */
export const apiOf = (path: string): ApiSpec | null => APIS.find((spec) => path.endsWith(spec.path)) ?? null;

/** The path of what is asked for, below where a provider's interface begins. */
export const pathOf = (api: Api): string => APIS.find((spec) => spec.api === api)!.path;

/** Whether its answers can come as a stream. */
export const isStreamable = (api: Api): boolean => api !== "embeddings" && api !== "count" && api !== "models";

export const isFields = (value: unknown): value is Fields =>
  typeof value === "object" && value !== null && !Array.isArray(value);

export const fieldsAt = (value: unknown, name: string): Fields | null => {
  const field = isFields(value) ? value[name] : null;
  return isFields(field) ? field : null;
};

export const listAt = (value: unknown, name: string): readonly unknown[] => {
  const field = isFields(value) ? value[name] : null;
  return Array.isArray(field) ? field : [];
};

export const textAt = (value: unknown, name: string): string => {
  const field = isFields(value) ? value[name] : null;
  return typeof field === "string" ? field : "";
};

/** The value of a JSON text; null for what is none. */
export function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

/** Which fields bound the length of an answer: the first one is set where none is there. */
export const LENGTH_FIELDS: Readonly<Record<Api, readonly string[]>> = {
  chat: ["max_completion_tokens", "max_tokens"],
  responses: ["max_output_tokens"],
  completions: ["max_tokens"],
  messages: ["max_tokens"],
  embeddings: [],
  count: [],
  models: [],
};

/** The kinds of errors that both formats have names for. */
export type ErrorKind = "invalid" | "model" | "too_large" | "limited" | "unavailable" | "refused" | "unknown_path";

const OPENAI_ERRORS: Readonly<Record<ErrorKind, readonly [type: string, code: string]>> = {
  invalid: ["invalid_request_error", "invalid_request"],
  model: ["invalid_request_error", "model_not_found"],
  too_large: ["invalid_request_error", "context_length_exceeded"],
  limited: ["tokens", "rate_limit_exceeded"],
  unavailable: ["server_error", "provider_unavailable"],
  refused: ["invalid_request_error", "content_policy_violation"],
  unknown_path: ["invalid_request_error", "unknown_url"],
};

const ANTHROPIC_ERRORS: Readonly<Record<ErrorKind, string>> = {
  invalid: "invalid_request_error",
  model: "not_found_error",
  too_large: "request_too_large",
  limited: "rate_limit_error",
  unavailable: "api_error",
  refused: "invalid_request_error",
  unknown_path: "not_found_error",
};

/** The content of an error answer in the form that clients of this format read. */
export function errorText(format: Format, kind: ErrorKind, message: string, requestId: string): string {
  if (format === "anthropic")
    return JSON.stringify({
      type: "error",
      error: { type: ANTHROPIC_ERRORS[kind], message },
      request_id: requestId,
    });
  const [type, code] = OPENAI_ERRORS[kind];
  return JSON.stringify({ error: { message, type, param: kind === "model" ? "model" : null, code } });
}
