// One operation of a specification, and what it says of requests and answers.
import { type Checker, PROBLEMS_MAX, type Problem, problemOf } from "./checker.ts";
import { parseJson } from "./json-text.ts";
import { isPlainType, type MediaRange, matching, readingOf } from "./media.ts";
import { Pairs } from "./pairs.ts";
import { formValue, PARTS, type Parameter, type Part, pairedValue, simpleValue, Unreadable } from "./parameters.ts";
import type { Shape } from "./shapes.ts";

export interface Content {
  /** Null where nothing is said of its values. */
  readonly checker: Checker | null;
  readonly shape: Shape;
}

export interface Body {
  readonly required: boolean;
  /** The most specific first. */
  readonly media: readonly MediaRange<Content>[];
}

export interface Answer {
  readonly headers: readonly Parameter[];
  readonly headerChecker: Checker | null;
  /** Null where nothing is said of it. */
  readonly media: readonly MediaRange<Content>[] | null;
}

/** What is looked at in a message. */
export interface Fields {
  header(name: string): string | null;
}

export interface RequestParts extends Fields {
  /** Without its `?`. */
  readonly query: string;
}

/** What is to be done with a body: nothing, to check it, or not to take it. */
export type BodyPlan =
  | { readonly kind: "pass" }
  | { readonly kind: "check"; readonly content: Content; readonly reading: "json" | "form" }
  | { readonly kind: "type" }
  | { readonly kind: "coding" }
  | { readonly kind: "missing" };

const PASS: BodyPlan = { kind: "pass" };
const NO_PROBLEMS: readonly Problem[] = [];

export class Operation {
  readonly #parameters: readonly Parameter[];
  readonly #pathNames: readonly string[];
  readonly #checker: Checker | null;
  readonly #hasQuery: boolean;
  readonly #hasCookies: boolean;
  readonly #body: Body | null;
  /** By status (`200`), class (`2XX`) or `default`. */
  readonly #answers: ReadonlyMap<string, Answer>;

  constructor(
    parameters: readonly Parameter[],
    pathNames: readonly string[],
    checker: Checker | null,
    body: Body | null,
    answers: ReadonlyMap<string, Answer>,
  ) {
    this.#parameters = parameters;
    this.#pathNames = pathNames;
    this.#checker = checker;
    this.#hasQuery = parameters.some((each) => each.in === "query");
    this.#hasCookies = parameters.some((each) => each.in === "cookie");
    this.#body = body;
    this.#answers = answers;
  }

  /** What is wrong with the parameters of a request. `values` are those of the path's names, as they came. */
  parameterProblems(request: RequestParts, values: readonly string[]): readonly Problem[] {
    if (this.#checker === null) return NO_PROBLEMS;
    const query = this.#hasQuery ? Pairs.query(request.query) : null;
    const cookies = this.#hasCookies ? Pairs.cookies(request.header("cookie") ?? "") : null;
    if (query !== null && query.problem !== "") return [{ in: "query", path: "", message: query.problem }];
    if (cookies !== null && cookies.problem !== "") return [{ in: "cookie", path: "", message: cookies.problem }];
    const problems: Problem[] = [];
    const all: Record<Part, Record<string, unknown>> = { path: {}, query: {}, header: {}, cookie: {} };
    for (const parameter of this.#parameters) {
      const { name, in: part } = parameter;
      let value: unknown;
      if (part === "query") value = pairedValue(query!, parameter, true);
      else if (part === "cookie") value = pairedValue(cookies!, parameter, false);
      else if (part === "path") value = simpleValue(values[this.#pathNames.indexOf(name)]!, parameter, true);
      else value = headerValue(request, parameter);
      if (value instanceof Unreadable) problems.push({ in: part, path: `/${name}`, message: value.message });
      else if (value !== undefined) put(all[part], name, value);
    }
    if (problems.length > 0) return problems.slice(0, PROBLEMS_MAX);
    const errors = this.#checker.errors(all, request.query.length);
    if (errors === null) return NO_PROBLEMS;
    return errors.slice(0, PROBLEMS_MAX).map((error) => {
      const part = PARTS.find((each) => error.instancePath.startsWith(`/${each}`)) ?? "query";
      return problemOf(part, error.instancePath.slice(part.length + 1), error);
    });
  }

  /** What is to be done with the body of a request. */
  bodyPlan(request: Fields, hasBody: boolean): BodyPlan {
    const body = this.#body;
    if (body === null) return PASS;
    if (!hasBody) return body.required ? { kind: "missing" } : PASS;
    const type = request.header("content-type") ?? "";
    const content = matching(body.media, type);
    return content === null ? { kind: "type" } : requestPlan(request, content, type);
  }

  /** The content types that a request may have, as a field says it (RFC 9110 §12.5.1). */
  get accepts(): string {
    return (this.#body?.media ?? []).map(({ type, subtype }) => `${type}/${subtype}`).join(", ");
  }

  answer(status: number): Answer | null {
    const answers = this.#answers;
    return answers.get(`${status}`) ?? answers.get(`${Math.trunc(status / 100)}XX`) ?? answers.get("default") ?? null;
  }
}

/** `__proto__` may be the name of a parameter. */
function put(fields: Record<string, unknown>, name: string, value: unknown): void {
  if (name === "__proto__") Object.defineProperty(fields, name, { value, enumerable: true });
  else fields[name] = value;
}

function headerValue(message: Fields, parameter: Parameter): unknown {
  const text = message.header(parameter.name);
  return text === null ? undefined : simpleValue(text, parameter, false);
}

/** What is to be done with the body of a request where one schema holds for those of all methods that have one. */
export function schemaPlan(
  request: Fields & { readonly method: string },
  content: Content,
  hasBody: boolean,
): BodyPlan {
  if (!hasBody) return BODIED.includes(request.method) ? { kind: "missing" } : PASS;
  const type = request.header("content-type") ?? "";
  return readingOf(type) === "json" ? requestPlan(request, content, type) : { kind: "type" };
}

/** What is checked must be what a server reads. */
function requestPlan(request: Fields, content: Content, type: string): BodyPlan {
  const isChecked = content.checker !== null;
  return isChecked && !isPlainType(type) ? { kind: "type" } : planFor(request, content, type);
}

/** RFC 9110 §9.3 and RFC 5789: what these do is in their bodies. */
const BODIED = ["POST", "PUT", "PATCH"];

function planFor(message: Fields, content: Content, type: string): BodyPlan {
  const reading = readingOf(type);
  if (content.checker === null || reading === "none") return PASS;
  const coding = message.header("content-encoding");
  if (coding !== null && coding.toLowerCase() !== "identity") return { kind: "coding" };
  return { kind: "check", content, reading };
}

/** What is wrong with a whole body. */
export function bodyProblems(bytes: Buffer, content: Content, reading: "json" | "form"): readonly Problem[] {
  let value: unknown;
  if (reading === "form") {
    value = formValue(bytes.latin1Slice(0, bytes.length), content.shape);
    if (value instanceof Unreadable) return [{ in: "body", path: "", message: value.message }];
  } else {
    const parsed = parseJson(bytes);
    if (parsed.problem !== null) return [{ in: "body", path: "", message: parsed.problem }];
    value = parsed.value;
  }
  const errors = content.checker!.errors(value, bytes.length);
  if (errors === null) return NO_PROBLEMS;
  return errors.slice(0, PROBLEMS_MAX).map((error) => problemOf("body", error.instancePath, error));
}

/** What is wrong with the head of an answer. */
export function headerProblems(response: Fields, answer: Answer): readonly Problem[] {
  if (answer.headerChecker === null) return NO_PROBLEMS;
  const made: Record<string, unknown> = {};
  for (const parameter of answer.headers) {
    const value = headerValue(response, parameter);
    if (value instanceof Unreadable) return [{ in: "header", path: `/${parameter.name}`, message: value.message }];
    if (value !== undefined) put(made, parameter.name, value);
  }
  const errors = answer.headerChecker.errors(made, 0);
  if (errors === null) return NO_PROBLEMS;
  return errors.slice(0, PROBLEMS_MAX).map((error) => problemOf("header", error.instancePath, error));
}

/** What is to be done with the body of an answer. */
export function answerPlan(response: Fields, answer: Answer): BodyPlan {
  if (answer.media === null) return PASS;
  const type = response.header("content-type") ?? "";
  const content = matching(answer.media, type);
  return content === null ? { kind: "type" } : planFor(response, content, type);
}
