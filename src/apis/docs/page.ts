// The page of an API, as one piece of HTML made of a published document. It needs no other request: style and script
// are in it, and its content security policy names them by their digests.
import { createHash } from "node:crypto";
import { type Fields, fieldOf, isFields } from "../../engines/openapi/index.ts";
import { escaped, idOf, textHtml } from "./html.ts";
import { OperationView, type ShownOperation } from "./operation-html.ts";
import { SCRIPT } from "./page-script.ts";
import { STYLE } from "./page-style.ts";
import { schemaHtml } from "./schema-html.ts";

export interface PageInput {
  /** A document as `published` makes it: all references lead into its components. */
  readonly document: Fields;
  /** In place of the document's own; null for that. */
  readonly title: string | null;
  /** Readers can send requests to where the page comes from. */
  readonly tryIt: boolean;
  /** Where else the document is, as a path and what it is called. */
  readonly links: readonly (readonly [href: string, text: string])[];
}

export interface Page {
  readonly html: string;
  /** The Content-Security-Policy that it is to be sent with. */
  readonly csp: string;
}

/** Longer pages are cut: browsers take seconds for them, and nobody reads them. */
const PAGE_MAX = 33_554_432;
const UNTAGGED = "Operations";

export function renderPage(input: PageInput): Page {
  const { name, content } = renderContent(input);
  const html = `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">
<title>${escaped(name)}</title><style>${STYLE}</style></head>
<body>${content}
<script>${SCRIPT}</script></body></html>
`;
  return { html, csp: policyOf(input.tryIt) };
}

/** What stands in the page, without style and script, and what it is called. */
export function renderContent({ document, title, tryIt, links }: PageInput): { name: string; content: string } {
  const info = fieldOf(document, "info");
  const name = title ?? String(fieldOf(info, "title") ?? "API");
  const view = new OperationView(document, tryIt);
  const groups = groupsOf(document);
  const nav: string[] = [];
  const main: string[] = [];
  let length = 0;
  for (const [tag, operations] of groups) {
    const entries: string[] = [];
    const articles: string[] = [];
    for (const operation of operations) {
      const { id, method, path, fields } = operation;
      const article = length > PAGE_MAX ? "" : view.article(operation);
      length += article.length;
      if (article === "") continue;
      const summary = String(fieldOf(fields, "summary") ?? "");
      const text = `${method} ${path} ${summary} ${String(fieldOf(fields, "operationId") ?? "")} ${tag}`.toLowerCase();
      entries.push(
        `<li data-text="${escaped(text.slice(0, 500))}" data-of="${escaped(id)}"><a href="#${escaped(id)}"><span class="method ${method.toLowerCase()}">${escaped(method)}</span> ${escaped(path)}</a></li>`,
      );
      articles.push(article);
    }
    const section = `tag-${escaped(idOf(tag))}`;
    nav.push(`<div data-group><h2><a href="#${section}">${escaped(tag)}</a></h2><ul>${entries.join("")}</ul></div>`);
    main.push(
      `<section data-group aria-labelledby="${section}"><h2 id="${section}">${escaped(tag)}</h2>${textHtml(describedTag(document, tag))}${articles.join("\n")}</section>`,
    );
  }
  const schemas = schemasHtml(document);
  const content = `<a class="skip" href="#main">To the operations</a>
<header><h1>${escaped(name)}</h1><p class="version">${escaped(String(fieldOf(info, "version") ?? ""))}${links.map(([href, text]) => ` · <a href="${escaped(href)}">${escaped(text)}</a>`).join("")}</p>
${textHtml(fieldOf(info, "description"))}${view.credentials()}</header>
<div class="layout"><nav aria-label="Operations"><div data-script hidden><label for="search">Search</label>
<input id="search" type="search" autocomplete="off"><p id="found" class="dim" role="status"></p></div>
${nav.join("\n")}${schemas === "" ? "" : `<h2><a href="#schemas">Schemas</a></h2>`}</nav>
<main id="main" tabindex="-1">
${main.join("\n")}
${schemas}
</main></div>`;
  return { name, content };
}

/** Of a script or style, as CSP names it. */
const digestOf = (text: string): string => `'sha256-${createHash("sha256").update(text).digest("base64")}'`;

const policyOf = (tryIt: boolean): string =>
  [
    "default-src 'none'",
    `script-src ${digestOf(SCRIPT)}`,
    `style-src ${digestOf(STYLE)}`,
    ...(tryIt ? ["connect-src 'self'"] : []),
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
  ].join("; ");

const METHODS = ["get", "put", "post", "delete", "options", "head", "patch", "trace"];

/** Operations by tag, in the order in which the document names the tags. */
function groupsOf(document: Fields): Map<string, ShownOperation[]> {
  const groups = new Map<string, ShownOperation[]>();
  const tags = fieldOf(document, "tags");
  for (const tag of Array.isArray(tags) ? tags : []) groups.set(String(fieldOf(tag, "name")), []);
  const server = String(fieldOf(fieldOf(fieldOf(document, "servers"), 0), "url") ?? "");
  const base = server === "/" ? "" : server;
  const paths = fieldOf(document, "paths");
  for (const [template, item] of Object.entries(isFields(paths) ? paths : {})) {
    for (const key of METHODS) {
      const fields = fieldOf(item, key);
      if (!isFields(fields)) continue;
      const method = key.toUpperCase();
      const own = fieldOf(fields, "operationId");
      const operation: ShownOperation = {
        id: `op-${idOf(typeof own === "string" ? own : `${method} ${template}`)}`,
        method,
        path: `${base}${template}`,
        fields,
        shared: fieldOf(item, "parameters"),
        keys: [template, key],
      };
      const first = fieldOf(fieldOf(fields, "tags"), 0);
      const tag = typeof first === "string" ? first : UNTAGGED;
      const group = groups.get(tag) ?? [];
      group.push(operation);
      groups.set(tag, group);
    }
  }
  return new Map([...groups].filter(([, operations]) => operations.length > 0));
}

function describedTag(document: Fields, name: string): unknown {
  const tags = fieldOf(document, "tags");
  return Array.isArray(tags)
    ? fieldOf(
        tags.find((tag) => fieldOf(tag, "name") === name),
        "description",
      )
    : undefined;
}

function schemasHtml(document: Fields): string {
  const schemas = fieldOf(fieldOf(document, "components"), "schemas");
  if (!isFields(schemas) || Object.keys(schemas).length === 0) return "";
  const all = Object.entries(schemas)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(
      ([name, schema]) =>
        `<details id="schema-${escaped(idOf(name))}"><summary><code>${escaped(name)}</code></summary>${textHtml(fieldOf(schema, "description"))}${schemaHtml(schema)}</details>`,
    );
  return `<section aria-labelledby="schemas"><h2 id="schemas">Schemas</h2>${all.join("\n")}</section>`;
}
