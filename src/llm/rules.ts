// What a route asks of requests before any provider does: which models there are, how long prompts and answers may be,
// what they may say. A request that passes has been changed into what providers get.
import { within } from "../config/compile-error.ts";
import type { LlmConfig } from "../config/schema-llm.ts";
import {
  type Api,
  type ErrorKind,
  type Fields,
  type Format,
  isFields,
  isStreamable,
  LENGTH_FIELDS,
} from "../engines/llm/formats.ts";
import { answersWanted, type Prompt, promptOf, setText, textOf, wantedLength } from "../engines/llm/prompt.ts";
import { Redactor } from "../engines/llm/redact.ts";
import { parseJson } from "../engines/openapi/json-text.ts";
import { bytesOf, compilePattern, matchesOf } from "../engines/waf/regex/patterns.ts";
import type { Regex } from "../engines/waf/regex/regex.ts";

/** Why a request is not passed on. */
export interface Refusal {
  readonly status: number;
  readonly kind: ErrorKind;
  readonly message: string;
}

/** A request as it is to be answered. */
export interface Asked {
  readonly api: Api;
  /** What the client speaks. */
  readonly format: Format;
  readonly body: Fields;
  /** As the client calls it. */
  readonly model: string;
  readonly isStream: boolean;
  /** The client wants to be told at the end of a stream what it took. */
  readonly wantsUsage: boolean;
  /** About how many tokens the prompt has, and how many the answer may have. */
  readonly promptTokens: number;
  readonly answerTokens: number;
}

const NAME_MAX = 256;
/** No request gets more: what is reserved stays a number that can be counted. */
const ANSWER_MAX = 100_000_000;
/** It may become part of a path, where dots alone would lead elsewhere. */
const isName = (text: string): boolean => text.length <= NAME_MAX && /^[!-~]+$/.test(text) && !/^\.+$/.test(text);
const USER = "user";

export const isRefusal = (value: object): value is Refusal => "kind" in value && "status" in value;

const refusal = (message: string, kind: ErrorKind = "invalid", status = 400): Refusal => ({ status, kind, message });

export class Rules {
  readonly bodyMax: number;
  /** For answers; null where they go on as they are. */
  readonly answerRedactor: Redactor | null;
  readonly #config: LlmConfig;
  readonly #redactor: Redactor | null;
  readonly #deny: readonly Regex[];
  readonly #allow: readonly Regex[] | null;

  /** Throws CompileError for an expression that cannot be used. */
  constructor(config: LlmConfig) {
    const { prompt, redact } = config;
    this.#config = config;
    this.bodyMax = prompt.maxBody;
    this.#deny = within("prompt", () => within("deny", () => compileAll(prompt.deny)));
    const { allow } = prompt;
    this.#allow = allow === undefined ? null : within("prompt", () => within("allow", () => compileAll(allow)));
    const redactor = redact === undefined ? null : within("redact", () => compileRedactor(redact));
    this.#redactor = redact?.prompts === "off" ? null : redactor;
    this.answerRedactor = redact?.answers === true ? redactor : null;
  }

  /** Reads what was sent. */
  read(api: Api, format: Format, bytes: Buffer): Asked | Refusal {
    const parsed = parseJson(bytes);
    if (parsed.problem !== null) return refusal(`the request ${parsed.problem}`);
    const body = parsed.value;
    if (!isFields(body)) return refusal("the request must be a JSON object");
    const { model, stream } = body;
    if (typeof model !== "string" || !isName(model)) return refusal("`model` must be a name");
    if (stream !== undefined && stream !== null && typeof stream !== "boolean")
      return refusal("`stream` must be true or false");
    // What is made there after the answer would be counted nowhere, and nobody could fetch it.
    if (api === "responses" && body.background === true) return refusal("`background` is not allowed here");
    const problem = this.#stream(api, body);
    if (problem !== null) return problem;
    for (const [name, value] of Object.entries(this.#config.defaults))
      if (!Object.hasOwn(body, name)) body[name] = structuredClone(value);
    const length = this.#length(api, body);
    if (typeof length === "object") return length;
    const isStream = body.stream === true;
    const wantsUsage = isFields(body.stream_options) && body.stream_options.include_usage === true;
    const answerTokens = Math.min(ANSWER_MAX, length * answersWanted(body));
    return { api, format, body, model, isStream, wantsUsage, promptTokens: 0, answerTokens };
  }

  #stream(api: Api, body: Fields): Refusal | null {
    const { streaming } = this.#config;
    if (!isStreamable(api)) return body.stream === true ? refusal("there are no streams of these") : null;
    if (streaming === "always") body.stream = true;
    return streaming === "deny" && body.stream === true ? refusal("streams are not allowed here") : null;
  }

  /** Lowers what the client asks for to what is allowed. Tokens that the answer may have. */
  #length(api: Api, body: Fields): number | Refusal {
    const { maxTokens, reserve } = this.#config;
    const names = LENGTH_FIELDS[api];
    const [first] = names;
    if (first === undefined) return 0;
    for (const name of names) {
      const value = body[name];
      if (value === undefined || value === null) continue;
      if (typeof value !== "number" || !Number.isInteger(value) || value < 1)
        return refusal(`\`${name}\` must be a number of tokens`);
      if (maxTokens !== undefined && value > maxTokens) body[name] = maxTokens;
    }
    const wanted = wantedLength(api, body);
    if (wanted > 0) return wanted;
    if (maxTokens === undefined) return reserve;
    body[first] = maxTokens;
    return maxTokens;
  }

  /** Looks at what the prompt says, and puts marks in. `found` is told of what was. */
  check({ api, body }: Asked, found: (label: string) => void): Prompt | Refusal {
    const prompt = promptOf(api, body);
    const { maxTokens } = this.#config.prompt;
    if (maxTokens !== undefined && prompt.tokens > maxTokens) {
      const message = `the prompt has about ${prompt.tokens} tokens, and ${maxTokens} are allowed`;
      return refusal(message, "too_large");
    }
    if (this.#isDenied(prompt)) return refusal("the prompt is not allowed here", "refused");
    return this.#redacted(prompt, found) ?? prompt;
  }

  #isDenied({ texts }: Prompt): boolean {
    if (this.#deny.length > 0)
      for (const place of texts) {
        const bytes = bytesOf(textOf(place));
        if (this.#deny.some((regex) => regex.test(bytes))) return true;
      }
    if (this.#allow === null) return false;
    const last = texts.findLast(({ role }) => role === USER);
    const bytes = last === undefined ? "" : bytesOf(textOf(last));
    return !this.#allow.some((regex) => regex.test(bytes));
  }

  #redacted({ texts }: Prompt, found: (label: string) => void): Refusal | null {
    const redactor = this.#redactor;
    if (redactor === null) return null;
    const mustRefuse = this.#config.redact?.prompts === "refuse";
    for (const place of texts) {
      const text = textOf(place);
      const marked = redactor.text(text, found);
      if (marked === text) continue;
      if (mustRefuse) return refusal("the prompt has personal data or secrets", "refused");
      setText(place, marked);
    }
    return null;
  }
}

const compileAll = (patterns: readonly string[]): Regex[] =>
  patterns.map((pattern, at) => within(at, () => compilePattern(pattern)));

function compileRedactor({ kinds, patterns }: NonNullable<LlmConfig["redact"]>): Redactor {
  const rules = Object.entries(patterns).map(([name, pattern]) =>
    within("patterns", () =>
      within(name, () => {
        const regex = compilePattern(pattern);
        return { name, find: (text: string) => matchesOf(regex, text) };
      }),
    ),
  );
  return new Redactor(kinds, rules);
}
