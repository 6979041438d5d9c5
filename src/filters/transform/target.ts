// The path and the query of a request, made of what its body says.
import { within } from "../../config/compile-error.ts";
import type { RequestTransform } from "../../config/schema-transform.ts";
import { type Fault, fault } from "../../core/faults.ts";
import type { JsonNode } from "../../engines/transform/json-node.ts";
import { encodeComponent, hasDotSegment, withOneSlash } from "../../http/path.ts";
import { decodeQuery } from "../../http/query.ts";
import type { Exchange } from "../../pipeline/exchange.ts";
import { compileBodyTemplate } from "./values.ts";

/** Bodies are longer than targets may be; one that no server takes can cost a connection that others share. */
const TARGET_MAX = 32_768;

type BodyTemplate = ReturnType<typeof compileBodyTemplate>;

export class TargetChange {
  readonly #path: BodyTemplate | null;
  readonly #names: ReadonlySet<string>;
  readonly #query: readonly { readonly start: string; readonly value: BodyTemplate }[];

  private constructor({ path, query }: RequestTransform, params: readonly string[]) {
    if (path !== undefined && !path.startsWith("/")) within("path", () => refusePath(path));
    this.#path = path === undefined ? null : within("path", () => compileBodyTemplate(path, params, "uri"));
    this.#names = new Set(Object.keys(query));
    this.#query = Object.entries(query).map(([name, text]) => ({
      start: `${encodeComponent(Buffer.from(name).latin1Slice())}=`,
      value: within("query", () => within(name, () => compileBodyTemplate(text, params, "query"))),
    }));
  }

  /** Null where nothing of the target changes. */
  static of(config: RequestTransform, params: readonly string[]): TargetChange | null {
    if (config.path === undefined && Object.keys(config.query).length === 0) return null;
    return new TargetChange(config, params);
  }

  /** Changes what is forwarded, after what rewrote it before. */
  apply(x: Exchange, body: JsonNode | null): Fault | null {
    const { request } = x;
    if (request.form !== "origin" && request.form !== "absolute") return null;
    const target = x.rewrittenTarget === "" ? request.target : x.rewrittenTarget;
    const mark = target.indexOf("?");
    let path = mark < 0 ? target : target.slice(0, mark);
    let query = mark < 0 ? "" : target.slice(mark + 1);
    if (this.#path !== null) {
      const made = this.#path(x, body);
      const newMark = made.indexOf("?");
      path = withOneSlash(newMark < 0 ? made : made.slice(0, newMark));
      if (newMark >= 0) query = made.slice(newMark + 1);
      if (hasDotSegment(path)) return fault("request.path", "the transform led to a dot segment");
    }
    query = this.#editQuery(query, x, body);
    const made = query === "" ? path : `${path}?${query}`;
    if (made.length > TARGET_MAX) return fault("transform.request", "the path and query come out too long");
    x.rewrittenTarget = made;
    return null;
  }

  /** What is set replaces all of its name, and stands at the end; the rest stays byte for byte. */
  #editQuery(query: string, x: Exchange, body: JsonNode | null): string {
    if (this.#query.length === 0) return query;
    const parts = query === "" ? [] : query.split("&").filter((part) => !this.#names.has(decodeQuery(nameIn(part))));
    for (const { start, value } of this.#query) parts.push(start + value(x, body));
    return parts.join("&");
  }
}

const nameIn = (part: string): string => {
  const equals = part.indexOf("=");
  return equals < 0 ? part : part.slice(0, equals);
};

function refusePath(path: string): never {
  throw new RangeError(`"${path}": a path begins with "/"`);
}
