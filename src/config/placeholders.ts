// The placeholders that templates may hold: `{host}`, `{header.NAME}`, and the path parameters of a route.
import { CLIENT_CERT_PARTS } from "../core/client-certificate.ts";
import { PLACEHOLDER_FAMILIES, PLACEHOLDERS, templatePieces } from "../core/placeholders.ts";
import { suggest } from "./suggest.ts";

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
  for (const piece of templatePieces(template)) {
    if (piece.kind === "text") continue;
    const { name } = piece;
    const member = piece.argument === "" ? undefined : piece.argument;
    const all = member === undefined ? `{${name}}` : `{${name}.${member}}`;
    const known = member === undefined ? [...PLACEHOLDERS, ...params.always] : PLACEHOLDER_FAMILIES;
    if (name === "clientCert" && !CLIENT_CERT_PARTS.includes(piece.argument)) {
      const hint = `of a client's certificate there are ${CLIENT_CERT_PARTS.join(", ")}`;
      found.push({ message: `unknown placeholder ${all}`, hint });
    } else if (!known.includes(name))
      found.push({ message: `unknown placeholder ${all}`, hint: explain(name, member, params, known) });
  }
  return found;
}

function explain(name: string, member: string | undefined, params: RouteParams, known: readonly string[]): string {
  if (member === undefined && params.sometimes.includes(name)) return `:${name} is not in every path of this route`;
  const near = suggest(name, known);
  if (near !== null) return `did you mean {${near}${member === undefined ? "" : `.${member}`}}?`;
  if (member !== undefined) return `before a dot stands one of ${PLACEHOLDER_FAMILIES.join(", ")}`;
  if (PLACEHOLDER_FAMILIES.includes(name)) return `write {${name}.NAME}`;
  const own = params.always.length === 0 ? "" : `, and the path parameters ${params.always.join(", ")}`;
  return `known are ${PLACEHOLDERS.join(", ")}${own}`;
}
