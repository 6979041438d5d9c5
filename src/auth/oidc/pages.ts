// The pages of single sign-on: small, without scripts, and nothing loaded but a logo.
import { createHash } from "node:crypto";
import type { PagesConfig } from "../../config/schema-auth-oidc.ts";
import { type Reply, reply } from "../../pipeline/reply.ts";

export interface PageLink {
  readonly href: string;
  readonly text: string;
}

export interface PageText {
  readonly status: number;
  readonly heading: string;
  readonly text: string;
  readonly links: readonly PageLink[];
}

const escaped = (text: string): string => text.replace(/[&<>"']/g, (char) => `&#${char.charCodeAt(0)};`);

export class Pages {
  readonly #config: PagesConfig;
  readonly #style: string;
  readonly #policy: string;

  constructor(config: PagesConfig) {
    this.#config = config;
    this.#style = `:root{color-scheme:light dark}
body{font:16px/1.5 system-ui,sans-serif;max-width:26em;margin:12vh auto;padding:0 1em}
img{max-width:100%;max-height:4em}
a.b{display:block;margin:.6em 0;padding:.7em 1em;border-radius:.4em;text-align:center}
a.b{text-decoration:none;color:#fff;background:${config.color}}
a.b:focus-visible{outline:3px solid;outline-offset:2px}
small{opacity:.75}`;
    const hash = createHash("sha256").update(this.#style).digest("base64");
    const images = config.logo === undefined ? "" : `img-src ${sourceOf(config.logo)}; `;
    this.#policy = `default-src 'none'; style-src 'sha256-${hash}'; ${images}base-uri 'none'; form-action 'none'; frame-ancestors 'none'`;
  }

  get title(): string {
    return this.#config.title;
  }

  page({ status, heading, text, links }: PageText): Reply {
    const { logo, note, title } = this.#config;
    const image = logo === undefined ? "" : `<img src="${escaped(logo)}" alt="">\n`;
    const list = links.map(({ href, text }) => `<a class="b" href="${escaped(href)}">${escaped(text)}</a>\n`).join("");
    const small = note === "" ? "" : `<p><small>${escaped(note)}</small></p>\n`;
    const body = `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>${escaped(heading === title ? title : `${heading} · ${title}`)}</title><style>${this.#style}</style></head>
<body><main>${image}<h1>${escaped(heading)}</h1>
<p>${escaped(text)}</p>
${list}${small}</main></body></html>
`;
    return reply(status, body, {
      "content-type": "text/html; charset=utf-8",
      "cache-control": "no-store",
      "content-security-policy": this.#policy,
      "referrer-policy": "no-referrer",
      "x-content-type-options": "nosniff",
      "x-frame-options": "DENY",
    });
  }
}

const sourceOf = (logo: string): string => (logo.startsWith("data:") ? "data:" : new URL(logo).origin);

/** A redirect that nobody keeps, and that does not tell where it came from. */
export function redirectTo(url: string, cookies: readonly string[] = []): Reply {
  const answer = reply(303, "", { location: url, "cache-control": "no-store", "referrer-policy": "no-referrer" });
  for (const cookie of cookies) answer.headers.add("set-cookie", cookie);
  return answer;
}

/** For programs: what is wrong, with where people sign in. */
export function problemReply(status: number, title: string, login: string): Reply {
  return reply(status, `${JSON.stringify({ type: "about:blank", title, status, login })}\n`, {
    "content-type": "application/problem+json",
    "cache-control": "no-store",
  });
}
