// What templates of an `aggregate` see beside the request's own: what calls have answered (`{call.NAME.PATH}`), and the
// JSON that the client has sent (`{body.PATH}`). As the only value of a text in JSON, such a placeholder stands for the
// value itself, whatever it is; within a text or a path for a text, a number, true or false, or a list of those.
import { templatePieces } from "../core/placeholders.ts";
import { valueAt, valuesAt } from "../engines/transform/edits.ts";
import { JsonNode } from "../engines/transform/json-node.ts";
import { isSingle, type JsonPath, parsePath } from "../engines/transform/json-path.ts";
import type { Exchange } from "../pipeline/exchange.ts";
import { compileTemplate, type Template, type TemplatePlace } from "../pipeline/template.ts";

/** What one exchange has so far. */
export interface Values {
  /** By call; null while there is nothing. */
  readonly results: readonly (JsonNode | null)[];
  /** What the client has sent; null where nobody asked for it. */
  readonly body: JsonNode | null;
}

/** A placeholder for a value. */
interface Reference {
  readonly written: string;
  /** The call's place; -1 for the client's body. */
  readonly call: number;
  readonly path: JsonPath;
}

/** What is being looked at, from `lookAt` until templates are through: they are rendered in one go. */
let values: Values = { results: [], body: null };
let missing = "";

/** Templates that are rendered from here on see these values. */
export function lookAt(seen: Values): void {
  values = seen;
  missing = "";
}

/** The placeholder without a value that was met last since `lookAt`; "" for none. */
export const lacking = (): string => missing;

function find({ call, path, written }: Reference): JsonNode | null {
  const base = call < 0 ? values.body : values.results[call]!;
  let node: JsonNode | null = null;
  if (base !== null && isSingle(path)) node = path.length === 0 ? base : valueAt(base, path);
  else if (base !== null) node = JsonNode.list(valuesAt(base, path));
  if (node === null) missing = written;
  return node;
}

/** The text of a value, items of a list separated by commas. A value without any is missing. */
function textOf(reference: Reference): string {
  const node = find(reference);
  if (node === null) return "";
  const text = node.scalarText() ?? (node.openList() ? joined(node.items) : null);
  if (text === null || (text === "" && !node.isText)) missing = reference.written;
  return text ?? "";
}

function joined(items: readonly JsonNode[]): string | null {
  let all = "";
  for (const [at, item] of items.entries()) {
    const text = item.scalarText();
    if (text === null) return null;
    all += at === 0 ? text : `,${text}`;
  }
  return all;
}

/** Makes a JSON value for an exchange. */
export type JsonMaker = (x: Exchange) => JsonNode;

/** Compiles the templates of one call, or of the answer, and says what they use. */
export class Templates {
  readonly #calls: readonly string[];
  readonly #params: readonly string[];
  /** Places of the calls whose values are used. */
  readonly used: Set<number> = new Set();
  usesBody = false;

  /** `calls` are the names of all calls, `params` those of the route's path parameters. */
  constructor(calls: readonly string[], params: readonly string[]) {
    this.#calls = calls;
    this.#params = params;
  }

  /** Throws RangeError for a placeholder that there is not. */
  text(template: string, place: TemplatePlace): Template {
    return compileTemplate(template, this.#params, place, (name, argument) => {
      const reference = this.#reference(name, argument);
      return reference === null ? null : () => textOf(reference);
    });
  }

  /** JSON whose texts are templates. Throws RangeError as above. */
  json(value: unknown): JsonMaker {
    if (typeof value === "string") return this.#jsonText(value);
    if (Array.isArray(value)) {
      const makers = value.map((item) => this.json(item));
      return (x) => JsonNode.list(makers.map((make) => make(x)));
    }
    if (typeof value === "object" && value !== null) {
      const makers = Object.entries(value).map(([name, item]) => [name, this.json(item)] as const);
      return (x) => {
        const object = JsonNode.object();
        for (const [name, make] of makers) object.add(name, make(x));
        return object;
      };
    }
    const constant = constantNode(value);
    return () => constant;
  }

  #jsonText(text: string): JsonMaker {
    const [first, ...others] = templatePieces(text);
    const whole = others.length === 0 && first?.kind === "placeholder" ? first : null;
    const reference = whole === null ? null : this.#reference(whole.name, whole.argument);
    if (reference !== null) return () => find(reference) ?? NULL;
    const template = this.text(text, "text");
    if (template.constant !== null) {
      const constant = textNode(template.constant);
      return () => constant;
    }
    return (x) => textNode(template.render(x));
  }

  #reference(name: string, argument: string): Reference | null {
    if (name === "body") {
      this.usesBody = true;
      const path = argument === "" ? [] : parsePath(argument);
      return { written: argument === "" ? "{body}" : `{body.${argument}}`, call: -1, path };
    }
    if (name !== "call") return null;
    const written = `{call.${argument}}`;
    const end = argument.search(/[.[]/);
    const called = end < 0 ? argument : argument.slice(0, end);
    const call = this.#calls.indexOf(called);
    if (call < 0) throw new RangeError(`${written}: there is no call named "${called}"`);
    this.used.add(call);
    const rest = end < 0 ? "" : argument.slice(argument[end] === "." ? end + 1 : end);
    return { written, call, path: rest === "" ? [] : parsePath(rest) };
  }
}

/** A value of the configuration. Throws RangeError for what is no JSON. */
export function constantNode(value: unknown): JsonNode {
  const text = JSON.stringify(value) as string | undefined;
  if (text === undefined) throw new RangeError("this is no JSON");
  return JsonNode.of(text);
}

/** A text, given as templates render it: one character for each byte of UTF-8. */
const textNode = (bytes: string): JsonNode => JsonNode.of(JSON.stringify(Buffer.from(bytes, "latin1").toString()));

export const NULL: JsonNode = JsonNode.of("null");
