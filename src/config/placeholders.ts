// The placeholders that templates may hold: `{host}`, `{header.NAME}`, and the path parameters of a route.
import { suggest } from "./suggest.ts";

const PLACEHOLDER_NAMES = [
  "host",
  "path",
  "query",
  "uri",
  "method",
  "scheme",
  "ip",
  "requestId",
  "route",
  "upstream",
  "server",
  "user",
] as const;
/** Before a dot and a name: `{cookie.session}`. */
const PLACEHOLDER_GROUPS = ["claim", "header", "cookie", "query"] as const;

/** Braces around anything but a name are plain text, so that JSON and CSS can stand in a body. */
const PLACEHOLDER = /\{([A-Za-z_][\w-]*)(?:\.([^{}\s"]+))?\}/g;

/** The path parameters that a route's templates may use. */
export interface RouteParams {
  /** There whichever of the route's paths matched. */
  readonly always: readonly string[];
  /** In some of the route's paths only. */
  readonly sometimes: readonly string[];
}

export const NO_PARAMS: RouteParams = { always: [], sometimes: [] };

/** What is wrong with the placeholders of a template: a message and a hint for each unknown one. */
export function unknownPlaceholders(template: string, params: RouteParams): { message: string; hint: string }[] {
  const found: { message: string; hint: string }[] = [];
  for (const [all, name = "", member] of template.matchAll(PLACEHOLDER)) {
    const known: readonly string[] =
      member === undefined ? [...PLACEHOLDER_NAMES, ...params.always] : PLACEHOLDER_GROUPS;
    if (!known.includes(name))
      found.push({ message: `unknown placeholder ${all}`, hint: explain(name, member, params, known) });
  }
  return found;
}

function explain(name: string, member: string | undefined, params: RouteParams, known: readonly string[]): string {
  if (member === undefined && params.sometimes.includes(name)) return `:${name} is not in every path of this route`;
  const near = suggest(name, known);
  if (near !== null) return `did you mean {${near}${member === undefined ? "" : `.${member}`}}?`;
  if (member !== undefined) return `before a dot stands one of ${PLACEHOLDER_GROUPS.join(", ")}`;
  if ((PLACEHOLDER_GROUPS as readonly string[]).includes(name)) return `write {${name}.NAME}`;
  const own = params.always.length === 0 ? "" : `, and the path parameters ${params.always.join(", ")}`;
  return `known are ${PLACEHOLDER_NAMES.join(", ")}${own}`;
}
