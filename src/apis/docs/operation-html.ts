// One operation on the page: what it takes, what it answers, an example of each, how to ask with curl, and a form to
// try it.
import {
  at,
  Documents,
  type Fields,
  fieldOf,
  isFields,
  type Place,
  sampleOf,
  writtenExample,
} from "../../engines/openapi/index.ts";
import { escaped, inlineHtml, textHtml } from "./html.ts";
import { schemaHtml } from "./schema-html.ts";

export interface ShownOperation {
  /** Id of its element. */
  readonly id: string;
  readonly method: string;
  /** With the path that it begins below. */
  readonly path: string;
  readonly fields: Fields;
  /** Parameters of its path. */
  readonly shared: unknown;
  /** Where it stands, as keys. */
  readonly keys: readonly [path: string, method: string];
}

const EXAMPLE_MAX = 8000;
/** Characters of examples on a page: making them takes most of the time that a page does. */
const EXAMPLES_MAX = 2_097_152;
const TOP: Place = { file: "/document", path: [] };

interface Parameter {
  readonly name: string;
  readonly in: string;
  readonly fields: Fields;
  readonly place: Place;
}

export class OperationView {
  readonly #document: Fields;
  readonly #documents: Documents;
  readonly #tryIt: boolean;
  #examplesLeft = EXAMPLES_MAX;

  constructor(document: Fields, tryIt: boolean) {
    this.#document = document;
    this.#documents = new Documents(() => document);
    this.#tryIt = tryIt;
  }

  article(operation: ShownOperation): string {
    const { id, method, path, fields, keys } = operation;
    const place = at(TOP, "paths", ...keys);
    const parameters = this.#parameters(operation);
    const body = this.#body(fields, place);
    const summary = fieldOf(fields, "summary");
    const title = `<h3><span class="method ${method.toLowerCase()}">${escaped(method)}</span> <code>${escaped(path)}</code></h3>`;
    const example = body === null ? "" : this.#example(body.media, body.place, "request", body.type);
    return `<article id="${escaped(id)}"${fields.deprecated === true ? ' class="deprecated"' : ""}>${title}
${typeof summary === "string" ? `<p><strong>${inlineHtml(summary)}</strong></p>` : ""}
${fields.deprecated === true ? "<p>Deprecated.</p>" : ""}${textHtml(fields.description)}${this.#security(fields)}
${parametersHtml(parameters)}${body === null ? "" : bodyHtml(body, example)}
${this.#answers(fields, place)}
<details><summary>curl</summary><pre tabindex="0"><code>${this.#curl(
      operation,
      parameters,
      body?.type ?? "",
      example,
    )}</code></pre><button type="button" class="copy" data-script hidden>Copy</button></details>
${this.#tryIt ? this.#form(operation, parameters, body?.type ?? "", example) : ""}</article>`;
  }

  /** Fields for what readers prove themselves by, in forms to try; "" where nothing is asked. */
  credentials(): string {
    const schemes = fieldOf(fieldOf(this.#document, "components"), "securitySchemes");
    if (!this.#tryIt || !isFields(schemes)) return "";
    const inputs = Object.entries(schemes).flatMap(([name, scheme]) => {
      const kind = schemeKind(scheme);
      if (kind === null) return [];
      const { label, data } = kind;
      return [
        `<label>${escaped(name)} <span class="dim">${escaped(label)}</span><input type="password" autocomplete="off" ${data}></label>`,
      ];
    });
    if (inputs.length === 0) return "";
    return `<details id="credentials" data-script hidden><summary>Credentials for requests from this page</summary><form aria-label="Credentials">${inputs.join("")}</form><p class="dim">They are kept until the page is left, and nowhere else.</p></details>`;
  }

  #parameters({ fields, shared, keys }: ShownOperation): Parameter[] {
    const found = new Map<string, Parameter>();
    const [template, method] = keys;
    for (const [list, place] of [
      [shared, at(TOP, "paths", template, "parameters")],
      [fields.parameters, at(TOP, "paths", template, method, "parameters")],
    ] as const) {
      for (const [index, each] of (Array.isArray(list) ? list : []).entries()) {
        const { value, place: there } = this.#documents.follow(each, at(place, index));
        if (!isFields(value)) continue;
        const name = String(value.name);
        const where = String(value.in);
        found.set(`${where} ${name}`, { name, in: where, fields: value, place: there });
      }
    }
    return [...found.values()];
  }

  #body(fields: Fields, place: Place): Body | null {
    if (fields.requestBody === undefined) return null;
    const { value, place: there } = this.#documents.follow(fields.requestBody, at(place, "requestBody"));
    const content = fieldOf(value, "content");
    const types = Object.keys(isFields(content) ? content : {});
    const type = types.find((each) => each.includes("json")) ?? types[0];
    if (type === undefined) return null;
    const required = fieldOf(value, "required") === true;
    return { type, media: fieldOf(content, type), place: at(there, "content", type), required };
  }

  #example(media: unknown, place: Place, way: "request" | "response", type: string): string {
    if (this.#examplesLeft <= 0) return "";
    const schema = fieldOf(media, "schema");
    const value =
      writtenExample(this.#documents, media, place) ??
      (schema === undefined ? undefined : sampleOf(this.#documents, schema, at(place, "schema"), way));
    if (value === undefined) return "";
    const text = typeof value === "string" && !type.includes("json") ? value : JSON.stringify(value, null, 2);
    if (text.length > EXAMPLE_MAX) return "";
    this.#examplesLeft -= text.length;
    return text;
  }

  #security(fields: Fields): string {
    const list = Object.hasOwn(fields, "security") ? fields.security : this.#document.security;
    if (!Array.isArray(list) || list.length === 0) return "";
    const ways = list.map((each) => {
      const parts = Object.entries(isFields(each) ? each : {}).map(([name, scopes]) => {
        const told =
          Array.isArray(scopes) && scopes.length > 0
            ? ` (${scopes.map((scope) => escaped(String(scope))).join(", ")})`
            : "";
        return `<code>${escaped(name)}</code>${told}`;
      });
      return parts.length === 0 ? "nothing" : parts.join(" with ");
    });
    return `<p>Needs ${ways.join(" or ")}.</p>`;
  }

  #answers(fields: Fields, place: Place): string {
    const answers = fields.responses;
    if (!isFields(answers)) return "";
    const all = Object.entries(answers).map(([status, each]) => {
      const { value, place: there } = this.#documents.follow(each, at(place, "responses", status));
      const description = fieldOf(value, "description");
      const headers = fieldOf(value, "headers");
      const content = fieldOf(value, "content");
      const bodies = Object.entries(isFields(content) ? content : {}).map(
        ([type, media]) =>
          `<p class="dim">${escaped(type)}</p>${schemaHtml(fieldOf(media, "schema"))}${exampleHtml(this.#example(media, at(there, "content", type), "response", type))}`,
      );
      const names = Object.keys(isFields(headers) ? headers : {});
      const told =
        names.length === 0 ? "" : `<p>Fields: ${names.map((name) => `<code>${escaped(name)}</code>`).join(", ")}</p>`;
      return `<details><summary><code>${escaped(status)}</code> ${typeof description === "string" ? inlineHtml(description.split("\n", 1)[0]!) : ""}</summary>${told}${bodies.join("")}</details>`;
    });
    return `<h4>Answers</h4>${all.join("\n")}`;
  }

  #valueOf({ fields, place }: Parameter): string {
    const schema = fields.schema;
    const value =
      writtenExample(this.#documents, fields, place) ??
      (schema === undefined ? "" : sampleOf(this.#documents, schema, at(place, "schema"), "request"));
    if (Array.isArray(value)) return value.join(",");
    return typeof value === "object" ? "" : String(value ?? "");
  }

  #curl({ method, path }: ShownOperation, parameters: readonly Parameter[], type: string, example: string): string {
    const filled = path.replaceAll(/\{([^{}]+)\}/g, (all, name: string) => {
      const parameter = parameters.find((each) => each.in === "path" && each.name === name);
      return parameter === undefined ? all : encodeURIComponent(this.#valueOf(parameter));
    });
    const needed = parameters.filter(({ fields }) => fields.required === true);
    const query = needed
      .filter((each) => each.in === "query")
      .map((each) => `${encodeURIComponent(each.name)}=${encodeURIComponent(this.#valueOf(each))}`);
    const target = `${filled}${query.length === 0 ? "" : `?${query.join("&")}`}`;
    const lines = [`curl ${method === "GET" ? "" : `-X ${method} `}'`];
    const more = needed
      .filter((each) => each.in === "header")
      .map((each) => `-H ${quoted(`${each.name}: ${this.#valueOf(each)}`)}`);
    if (type !== "" && example !== "") more.push(`-H ${quoted(`content-type: ${type}`)}`, `-d ${quoted(example)}`);
    const rest = more.map((each) => ` \\\n  ${escaped(each)}`).join("");
    return `${lines.join("")}<span class="origin">https://HOST</span>${escaped(target.replaceAll("'", "%27"))}'${rest}`;
  }

  #form({ id, method, path }: ShownOperation, parameters: readonly Parameter[], type: string, example: string): string {
    const inputs = parameters
      .filter((each) => each.in !== "cookie") // pages cannot set those
      .map((each) => {
        const value = each.fields.required === true ? this.#valueOf(each) : "";
        const required = each.fields.required === true ? " required" : "";
        return `<label>${escaped(each.name)} <span class="dim">${escaped(each.in)}</span><input data-in="${escaped(each.in)}" data-name="${escaped(each.name)}" value="${escaped(value)}" autocomplete="off"${required}></label>`;
      });
    const body =
      type === ""
        ? ""
        : `<label>Body <span class="dim">${escaped(type)}</span><textarea data-type="${escaped(type)}" spellcheck="false">${escaped(example)}</textarea></label>`;
    return `<details data-script hidden><summary>Try it</summary><form class="try" data-method="${escaped(method)}" data-path="${escaped(path)}" aria-label="Try ${escaped(id.slice(3))}">${inputs.join("")}${body}<button type="submit">Send</button><pre tabindex="0"><output></output></pre></form></details>`;
  }
}

/** What a request carries. */
interface Body {
  readonly type: string;
  readonly media: unknown;
  readonly place: Place;
  readonly required: boolean;
}

function bodyHtml({ type, media, required }: Body, example: string): string {
  const mark = required ? ` <span class="required">required</span>` : "";
  const schema = schemaHtml(fieldOf(media, "schema"));
  return `<h4>Body${mark}</h4><p class="dim">${escaped(type)}</p>${schema}${exampleHtml(example)}`;
}

const quoted = (text: string): string => `'${text.replaceAll("'", `'\\''`)}'`;

const exampleHtml = (text: string): string =>
  text === ""
    ? ""
    : `<details><summary>Example</summary><pre tabindex="0"><code>${escaped(text)}</code></pre></details>`;

function parametersHtml(parameters: readonly Parameter[]): string {
  if (parameters.length === 0) return "";
  const rows = parameters.map(({ name, in: where, fields }) => {
    const description = fieldOf(fields, "description");
    const text = typeof description === "string" ? `<div>${inlineHtml(description.slice(0, 2000))}</div>` : "";
    const required = fields.required === true ? ` <span class="required">required</span>` : "";
    return `<tr><th scope="row"><code>${escaped(name)}</code>${required}</th><td>${escaped(where)}</td><td>${schemaHtml(fields.schema ?? true)}${text}</td></tr>`;
  });
  return `<h4>Parameters</h4><table><thead><tr><th scope="col">name</th><th scope="col">in</th><th scope="col">what</th></tr></thead><tbody>${rows.join("")}</tbody></table>`;
}

/** How what a scheme asks for can be put into a request; null where a page cannot do that. */
function schemeKind(scheme: unknown): { label: string; data: string } | null {
  const type = fieldOf(scheme, "type");
  const kind = String(fieldOf(scheme, "scheme") ?? "").toLowerCase();
  if (type === "http" && kind === "basic") return { label: "name:password", data: 'data-kind="basic"' };
  if ((type === "http" && kind === "bearer") || type === "oauth2" || type === "openIdConnect")
    return { label: "token", data: 'data-kind="bearer"' };
  const where = String(fieldOf(scheme, "in"));
  const name = String(fieldOf(scheme, "name"));
  if (type !== "apiKey" || where === "cookie") return null;
  return {
    label: `${where} ${name}`,
    data: `data-kind="key" data-where="${escaped(where)}" data-name="${escaped(name)}"`,
  };
}
