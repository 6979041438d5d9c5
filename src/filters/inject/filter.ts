// `inject`: scripts in the heads of pages, put there while the pages pass.
import type { InjectConfig } from "../../config/schema-inject.ts";
import { codingOf, isPlain, markEncoded, matchTag, mayTransform } from "../../engines/compression/eligible.ts";
import { HeadInjector } from "../../engines/tagging/html-inject.ts";
import type { HeaderBlock } from "../../http/header-block.ts";
import { ID } from "../../http/header-names.ts";
import type { BodyOutput, BodyTransform } from "../../pipeline/body-transform.ts";
import type { Exchange, Filter } from "../../pipeline/exchange.ts";
import type { Held } from "../../pipeline/shared.ts";
import { expectTransform, transformResponse } from "../../pipeline/transforms.ts";
import type { FilterContext, FilterDefinition } from "../definition.ts";

type NameNow = (nowMs: number) => string;

export const inject: FilterDefinition = {
  key: "inject",
  compile({ inject: config }, context) {
    if (config === undefined) return [];
    const names = namesOf(config, context);
    const filter: Filter = {
      name: "inject",
      request(x) {
        if (!asksForPage(x)) return;
        // It has to come as it is; `compress` encodes it again for those who take it so.
        x.request.headers.set("accept-encoding", "identity");
        x.held = new Asked(x.held);
        expectTransform(x);
      },
      response(x) {
        if (isAsked(x)) page(x, names, context.shared.wallNow());
      },
    };
    return [Object.freeze(filter)];
  },
};

/** A request that has got as far as the route's own action: what filters before answer is no page of the site. */
class Asked implements Held {
  readonly next: Held | null;
  constructor(next: Held | null) {
    this.next = next;
  }
  leave(): void {
    // Nothing is held but that it was asked.
  }
}

function isAsked({ held }: Exchange): boolean {
  for (let each = held; each !== null; each = each.next) if (each instanceof Asked) return true;
  return false;
}

function namesOf({ script, guard }: InjectConfig, { scriptPath }: FilterContext): readonly NameNow[] {
  const name = (path: string): NameNow => scriptPath(path) ?? (() => path);
  if (guard === false) return [name(script)];
  const path = guard === true ? `${script.slice(0, script.lastIndexOf("/"))}/guard.js` : guard;
  return [name(path), name(script)];
}

const PAGES = ["document", "iframe", "frame"];

/** Browsers say what they ask for; others that take pages get them as browsers do. */
function asksForPage({ request }: Exchange): boolean {
  if (request.method !== "GET" && request.method !== "HEAD") return false;
  const asked = request.headers.get("sec-fetch-dest");
  if (asked !== null) return PAGES.includes(asked);
  const accept = request.headers.get("accept");
  return accept === null || accept.includes("text/html") || accept.trim() === "*/*";
}

function page(x: Exchange, names: readonly NameNow[], nowMs: number): void {
  const { request, response, fault } = x;
  const { headers } = response;
  if (fault !== null) return;
  if (response.status === 304) return matchTag(request.headers, headers);
  if (!isHtml(headers.getById(ID["content-type"]))) return;
  if (!isPlain(response) || codingOf(headers) !== "" || !mayTransform(request.headers, headers)) return;
  if (x.ownBody === null && response.body === "none" && request.method !== "HEAD") return;
  markEncoded(headers, "");
  const snippet = snippetOf(names, nonceOf(headers), nowMs);
  if (x.ownBody !== null) {
    const injector = new HeadInjector(snippet);
    x.ownBody = Buffer.concat([injector.push(x.ownBody), injector.end()]);
  } else if (request.method === "HEAD")
    response.body = "none"; // its length would be that of the page as it was
  else transformResponse(x, new InjectedPage(new HeadInjector(snippet)));
}

/** Markup of ASCII alone can be put into all encodings but those of two bytes and more. */
function isHtml(contentType: string | null): boolean {
  if (contentType === null) return false;
  const lower = contentType.toLowerCase();
  return /^text\/html[ \t]*(?:;|$)/.test(lower) && !/charset="?utf-(?:16|32)/.test(lower);
}

/** The guard comes first, and before all other scripts; the other one has time. */
function snippetOf(names: readonly NameNow[], nonce: string, nowMs: number): Buffer {
  const mark = nonce === "" ? "" : ` nonce="${nonce}"`;
  const last = names.length - 1;
  const tags = names.map((name, at) => `<script${at === last ? " async" : ""} src="${name(nowMs)}"${mark}></script>`);
  return Buffer.from(tags.join(""));
}

/** What the page's own policy wants scripts to bear; "" where it wants nothing. */
function nonceOf(headers: HeaderBlock): string {
  const policy = headers.get("content-security-policy") ?? headers.get("content-security-policy-report-only") ?? "";
  const directives = policy.split(/[;,]/).map((each) => each.trim());
  for (const name of ["script-src-elem", "script-src", "default-src"]) {
    const found = directives.find((each) => each.toLowerCase().startsWith(`${name} `));
    if (found !== undefined) return /'nonce-([A-Za-z0-9+/_=-]{1,200})'/.exec(found)?.[1] ?? "";
  }
  return "";
}

class InjectedPage implements BodyTransform {
  readonly #injector: HeadInjector;

  constructor(injector: HeadInjector) {
    this.#injector = injector;
  }

  push(bytes: Buffer, from: number, to: number, out: BodyOutput): void {
    if (this.#injector.done) return out.data(bytes, from, to);
    const made = this.#injector.push(Buffer.from(bytes.subarray(from, to)));
    if (made.length > 0) out.data(made, 0, made.length);
  }

  end(trailers: HeaderBlock | null, out: BodyOutput): void {
    const rest = this.#injector.end();
    if (rest.length > 0) out.data(rest, 0, rest.length);
    out.end(trailers);
  }
}
