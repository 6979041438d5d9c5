// What the routes of a document do by themselves: examples, the page, and the answer to what is not in the document.
import { CompileError, within } from "../config/compile-error.ts";
import type { ApiSource } from "../config/schema-openapi.ts";
import { normalised, PathTree, SpecError } from "../engines/openapi/index.ts";
import type { Action, Exchange, Filter, Outcome } from "../pipeline/exchange.ts";
import { knownApi } from "./api-document.ts";
import { docsAction } from "./docs/docs.ts";
import { refuseLookalikes } from "./lookalikes.ts";
import { Mock } from "./mock.ts";
import { mockFallback } from "./mock-fallback.ts";
import { refused } from "./refused.ts";

/** What a route of a document does where it forwards nothing. Throws CompileError. */
export function compileApiAction(source: ApiSource): Action {
  return readably(() => {
    if (source.kind === "rest") return { kind: "reply", reply: unknown(source) };
    if (source.kind === "docs") return { kind: "reply", reply: docsAction(source) };
    return { kind: "reply", reply: mockOf(source) };
  });
}

/** What comes before all other filters of a route; null for most. Throws CompileError. */
export function compileFirst(source: ApiSource | undefined, forwards: boolean): Filter | null {
  if (source?.kind === "rest" && forwards) return refuseLookalikes(source);
  return source?.kind === "operation" && source.mock === "fallback"
    ? readably(() => mockFallback(mockOf(source)))
    : null;
}

/**
 * Examples are made when they are first asked for: most are not in the life of a worker. A worker that takes the place
 * of another may find that the file has changed since: what is not there any more is answered so.
 */
function mockOf({ document, base, method, template }: ApiSource): (x: Exchange) => Outcome {
  const api = knownApi(document, base);
  const operation = api.byName.get(`${method} ${template}`);
  let mock: Mock | null = null;
  return (x) => {
    if (operation === undefined) return refused(x, "validate.path");
    mock ??= new Mock(api, operation);
    return mock.answer(x);
  };
}

/** The document may have changed since its routes were made of it. */
function readably<T>(compile: () => T): T {
  try {
    return within("source", compile);
  } catch (error) {
    if (error instanceof SpecError) throw new CompileError(`${error.place.file}: ${error.message}`, ["source"]);
    throw error;
  }
}

/** 404, or 405 with the methods that the path has (RFC 9110 §15.5.6). */
function unknown({ base, operations }: ApiSource): (x: Exchange) => Outcome {
  const paths = new Map<string, string[]>();
  for (const each of operations) {
    const space = each.indexOf(" ");
    const template = each.slice(space + 1);
    const methods = paths.get(template) ?? [];
    methods.push(each.slice(0, space));
    paths.set(template, methods);
  }
  const tree = new PathTree<string>();
  for (const [template, methods] of paths) {
    if (methods.includes("GET") && !methods.includes("HEAD")) methods.push("HEAD");
    tree.add(normalised(template), methods.join(", "));
  }
  const values: string[] = [];
  return (x) => {
    const path = (x.request.path ?? "").slice(base.length);
    const allow = path === "" ? null : tree.find(path, values);
    if (allow === null) return refused(x, "validate.path");
    const answer = refused(x, "validate.method");
    answer.headers.set("allow", allow);
    return answer;
  };
}
