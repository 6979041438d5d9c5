// `rewrite`: another path or query for the upstream than the client asked for.
import { within } from "../../config/compile-error.ts";
import type { PolicyConfig } from "../../config/schema.ts";
import { fault } from "../../core/faults.ts";
import { encodeUri, hasDotSegment, normalizePath, withOneSlash } from "../../http/path.ts";
import type { Exchange, Filter } from "../../pipeline/exchange.ts";
import { compileTemplate } from "../../pipeline/template.ts";
import type { FilterDefinition } from "../definition.ts";
import { compileQueryEdit } from "./query.ts";

export type RewriteConfig = Exclude<PolicyConfig["rewrite"], false | undefined>;

/** From the path so far to the next; may hold a `?`, behind which the new query begins. */
type PathStep = (path: string, x: Exchange) => string;

export const rewrite: FilterDefinition = {
  key: "rewrite",
  compile(policies, { params }) {
    const config = policies.rewrite;
    if (config === undefined) return [];
    const steps = compileSteps(config, params);
    const { query } = config;
    const editQuery = query === undefined ? null : within("query", () => compileQueryEdit(query, params));
    if (steps.length === 0 && editQuery === null) return [];
    const filter: Filter = {
      name: "rewrite",
      request(x) {
        const { form } = x.request;
        if (form !== "origin" && form !== "absolute") return undefined;
        // The path that the route matched is what gets rewritten; where only the query changes, the original stays.
        let path = steps.length === 0 ? x.request.rawPath : x.request.path;
        if (path === null) return fault("request.path");
        for (const step of steps) path = step(path, x);
        let query = queryOf(x);
        const mark = path.indexOf("?");
        if (mark >= 0) {
          query = path.slice(mark + 1);
          path = path.slice(0, mark);
        }
        if (steps.length > 0) {
          path = withOneSlash(path);
          if (hasDotSegment(path)) return fault("request.path", "rewriting led to a dot segment");
        }
        if (editQuery !== null) query = editQuery(query, x);
        x.rewrittenTarget = query === "" ? path : `${path}?${query}`;
        return undefined;
      },
    };
    return [Object.freeze(filter)];
  },
};

/** The query so far: filters before this one may have changed it. */
function queryOf({ rewrittenTarget, request }: Exchange): string {
  if (rewrittenTarget === "") return request.query;
  const mark = rewrittenTarget.indexOf("?");
  return mark < 0 ? "" : rewrittenTarget.slice(mark + 1);
}

function compileSteps(config: RewriteConfig, params: readonly string[]): PathStep[] {
  const { stripPrefix, addPrefix, path, regex } = config;
  if (path !== undefined && (stripPrefix !== undefined || regex !== undefined)) {
    throw new RangeError("`path` replaces the whole path: it cannot stand beside `stripPrefix` or `regex`");
  }
  const steps: PathStep[] = [];
  if (stripPrefix !== undefined) steps.push(within("stripPrefix", () => stripStep(readPrefix(stripPrefix))));
  if (regex !== undefined) steps.push(within("regex", () => regexStep(regex[0], regex[1])));
  if (path !== undefined) steps.push(within("path", () => pathStep(path, params)));
  if (addPrefix !== undefined) {
    const prefix = within("addPrefix", () => readPrefix(addPrefix));
    steps.push((rest) => prefix + (rest === "" || rest.startsWith("/") || rest.startsWith("?") ? rest : `/${rest}`));
  }
  return steps;
}

/** A prefix without its final slash; "" for the root. */
function readPrefix(text: string): string {
  const path = normalizePath(text);
  if (path === null) throw new RangeError(`"${text}": a prefix is a path that begins with "/"`);
  return path.endsWith("/") ? path.slice(0, -1) : path;
}

function stripStep(prefix: string): PathStep {
  return (path) => {
    if (!path.startsWith(prefix)) return path;
    const rest = path.slice(prefix.length);
    return rest === "" || rest.startsWith("/") ? rest : path;
  };
}

function regexStep(pattern: string, replacement: string): PathStep {
  let regex: RegExp;
  try {
    regex = new RegExp(pattern);
  } catch (error) {
    throw new RangeError(`"${pattern}": ${error instanceof Error ? error.message : "not a regular expression"}`);
  }
  return (path) => encodeUri(path.replace(regex, replacement));
}

function pathStep(text: string, params: readonly string[]): PathStep {
  if (!text.startsWith("/") && !text.startsWith("{")) throw new RangeError(`"${text}": a path begins with "/"`);
  if (text.includes("#")) throw new RangeError(`"${text}": a path cannot hold "#"`);
  const template = compileTemplate(text, params, "uri");
  return (_path, x) => template.render(x);
}
