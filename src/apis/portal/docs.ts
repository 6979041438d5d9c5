// The documentation of a portal's APIs, as parts of its page, which are made when they are first asked for, and kept.
import { CompileError } from "../../config/compile-error.ts";
import type { ApiSource } from "../../config/schema-openapi.ts";
import { type Fields, fieldOf, SpecError } from "../../engines/openapi/index.ts";
import type { Reply } from "../../pipeline/reply.ts";
import { knownApi } from "../api-document.ts";
import { renderContent } from "../docs/page.ts";
import { published } from "../docs/publish.ts";
import { json, problem } from "./replies.ts";

interface Shown {
  readonly name: string;
  readonly title: string;
  readonly document: Fields;
  readonly tryIt: boolean;
  html: string;
}

export class PortalDocs {
  readonly #apis: readonly Shown[];

  /** Throws CompileError for a document that has changed since its routes were made of it, and cannot be used. */
  constructor(apis: readonly ApiSource[]) {
    this.#apis = apis.map(shownOf);
  }

  get names(): readonly { readonly name: string; readonly title: string }[] {
    return this.#apis.map(({ name, title }) => ({ name, title }));
  }

  /** `name` as it stands in a path. */
  answer(name: string): Reply {
    const shown = this.#apis.find((one) => encodeURIComponent(one.name) === name || one.name === name);
    if (shown === undefined) return problem(404, "There is no such API.");
    const { document, title, tryIt } = shown;
    if (shown.html === "") shown.html = renderContent({ document, title, tryIt, links: [] }).content;
    return json({ html: shown.html });
  }
}

function shownOf({ api: name, document: file, base, operations, docs }: ApiSource): Shown {
  try {
    const api = knownApi(file, base);
    const wanted = new Set(operations);
    const shown = api.operations.filter(({ method, template }) => wanted.has(`${method} ${template}`));
    const own = docs?.title ?? fieldOf(fieldOf(api.root, "info"), "title");
    const title = typeof own === "string" ? own : name;
    return { name, title, document: published(api, shown), tryIt: docs?.tryIt ?? true, html: "" };
  } catch (error) {
    if (error instanceof SpecError) throw new CompileError(`${error.place.file}: ${error.message}`, ["portal", "apis"]);
    throw error;
  }
}
