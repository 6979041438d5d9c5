// The placeholders of templates (`{host}`, `{header.x-user}`): their names, and how a template is taken apart.
import { CLIENT_CERT_PARTS } from "./client-certificate.ts";

/** Placeholders that stand alone. */
export const PLACEHOLDERS: readonly string[] = [
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
  "consumer",
];

/** Placeholders that take a name behind a dot: `{claim.NAME}`; of clientCert there are only CLIENT_CERT_PARTS. */
export const PLACEHOLDER_FAMILIES: readonly string[] = ["claim", "header", "cookie", "query", "clientCert"];

export type TemplatePiece =
  | { readonly kind: "text"; readonly text: string }
  /** `argument` is the name behind the dot, "" without one. */
  | { readonly kind: "placeholder"; readonly name: string; readonly argument: string };

/** `{{name}}`, or `{name}` with an optional `.argument`, which may hold what names of fields and cookies hold. */
const PLACEHOLDER = /\{\{([A-Za-z_][^{}\s"]*)\}\}|\{([A-Za-z_][\w-]*)(?:\.([^{}\s"]+))?\}/g;

/**
 * Takes a template apart. A placeholder is a name in braces; braces around anything else are text, so that JSON needs
 * no escaping. `{{name}}` stands for the text `{name}`.
 */
export function templatePieces(template: string): TemplatePiece[] {
  const pieces: TemplatePiece[] = [];
  let done = 0;
  for (const found of template.matchAll(PLACEHOLDER)) {
    if (found.index > done) pieces.push({ kind: "text", text: template.slice(done, found.index) });
    done = found.index + found[0].length;
    const [, escaped, name = "", argument = ""] = found;
    if (escaped === undefined) pieces.push({ kind: "placeholder", name, argument });
    else pieces.push({ kind: "text", text: `{${escaped}}` });
  }
  if (done < template.length) pieces.push({ kind: "text", text: template.slice(done) });
  return pieces;
}

/** Whether the placeholder exists; `params` are the path parameters of the route. */
export function isPlaceholder(name: string, argument: string, params: readonly string[]): boolean {
  if (name === "clientCert") return CLIENT_CERT_PARTS.includes(argument);
  if (argument !== "") return PLACEHOLDER_FAMILIES.includes(name);
  return PLACEHOLDERS.includes(name) || params.includes(name);
}
