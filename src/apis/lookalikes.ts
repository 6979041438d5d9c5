// `unknown: forward`: what is no operation goes to the servers as it is. Many of these take a path in another case,
// with a slash at its end, or with parameters behind a semicolon, for the same one, and so for an operation that was
// neither checked nor asked for its scopes.
import type { ApiSource } from "../config/schema-openapi.ts";
import { normalised, PathTree } from "../engines/openapi/index.ts";
import type { Filter } from "../pipeline/exchange.ts";
import { refused } from "./refused.ts";

/** Refuses paths that only look like one of the document's. */
export function refuseLookalikes({ base, operations }: ApiSource): Filter {
  const exact = new PathTree<true>();
  const folded = new PathTree<true>();
  const templates = new Set(operations.map((each) => normalised(each.slice(each.indexOf(" ") + 1))));
  for (const template of templates) {
    exact.add(template, true);
    let names = 0;
    addOnce(folded, fold(template.replaceAll(/\{[^{}]*\}/g, () => `{p${(names += 1)}}`)));
  }
  const values: string[] = [];
  return Object.freeze<Filter>({
    name: "openapi-lookalikes",
    request(x) {
      const path = (x.request.path ?? "").slice(base.length);
      if (path === "" || exact.find(path, values) !== null) return undefined;
      return folded.find(fold(path), values) === null ? undefined : refused(x, "validate.path");
    },
  });
}

/** Two paths of a document may be one in this form. */
function addOnce(tree: PathTree<true>, template: string): void {
  try {
    tree.add(template, true);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
  }
}

function fold(path: string): string {
  const plain = path.includes(";") ? path.replaceAll(/;[^/]*/g, "") : path;
  const lower = plain.toLowerCase();
  return lower.length > 1 && lower.endsWith("/") ? lower.slice(0, -1) : lower;
}
