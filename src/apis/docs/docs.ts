// The page of an API and its document, as answers. Both are made when they are first asked for, and kept.
import { createHash } from "node:crypto";
import { stringify } from "yaml";
import type { ApiSource } from "../../config/schema-openapi.ts";
import { wallClock } from "../../core/clock.ts";
import { isNotModified } from "../../http/conditional.ts";
import { HeaderBlock } from "../../http/header-block.ts";
import { NO_DATE } from "../../http/http-date.ts";
import type { Exchange, Outcome } from "../../pipeline/exchange.ts";
import { knownApi } from "../api-document.ts";
import { renderPage } from "./page.ts";
import { published } from "./publish.ts";

type File = "page" | "json" | "yaml";

interface Made {
  readonly body: Buffer;
  readonly etag: string;
  readonly fields: readonly (readonly [name: string, value: string])[];
}

/** Answers of a route for documentation. Throws SpecError or CompileError where its document has changed since. */
export function docsAction(source: ApiSource): (x: Exchange) => Outcome {
  const docs = source.docs!;
  const api = knownApi(source.document, source.base);
  const wanted = new Set(source.operations);
  const shown = api.operations.filter(({ method, template }) => wanted.has(`${method} ${template}`));
  const made = new Map<File, Made>();
  // What is wrong with it was told when its routes were made; here the document may only have changed since.
  const document = published(api, shown);
  const make = (file: File): Made => {
    if (file === "json") return madeOf(JSON.stringify(document, null, 2), "application/json", []);
    if (file === "yaml") return madeOf(stringify(document, { aliasDuplicateObjects: false }), "application/yaml", []);
    const { path, title = null, tryIt } = docs;
    const links = docs.document
      ? ([
          [`${path}/openapi.json`, "JSON"],
          [`${path}/openapi.yaml`, "YAML"],
        ] as const)
      : [];
    const { html, csp } = renderPage({ document, title, tryIt, links });
    return madeOf(html, "text/html; charset=utf-8", [["content-security-policy", csp]]);
  };
  return (x) => {
    const path = x.request.path ?? "";
    const file: File = path.endsWith("/openapi.json") ? "json" : path.endsWith("/openapi.yaml") ? "yaml" : "page";
    let answer = made.get(file);
    if (answer === undefined) made.set(file, (answer = make(file)));
    return replyOf(x, answer);
  };
}

function madeOf(text: string, type: string, more: readonly (readonly [string, string])[]): Made {
  const body = Buffer.from(text);
  const etag = `"${createHash("sha256").update(body).digest("base64url").slice(0, 22)}"`;
  return { body, etag, fields: [["content-type", type], ...more] };
}

function replyOf(x: Exchange, { body, etag, fields }: Made): Outcome {
  const headers = new HeaderBlock();
  headers.add("etag", etag);
  headers.add("cache-control", "no-cache");
  headers.add("x-content-type-options", "nosniff");
  headers.add("referrer-policy", "no-referrer");
  const validators = { etag, lastModified: NO_DATE, date: NO_DATE };
  if (isNotModified(x.request.headers, validators, wallClock())) return { status: 304, headers, body: NOTHING };
  for (const [name, value] of fields) headers.add(name, value);
  return { status: 200, headers, body };
}

const NOTHING = Buffer.alloc(0);
