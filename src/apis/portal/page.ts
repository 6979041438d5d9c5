// The page of a portal and its files, the same for everybody. What is shown of somebody is fetched by the script, once
// it is known who he is.
import { createHash } from "node:crypto";
import type { PortalConfig, SignIn } from "../../config/schema-portal.ts";
import { wallClock } from "../../core/clock.ts";
import { isNotModified } from "../../http/conditional.ts";
import { HeaderBlock } from "../../http/header-block.ts";
import { NO_DATE } from "../../http/http-date.ts";
import type { Exchange, Outcome } from "../../pipeline/exchange.ts";
import { escaped } from "../docs/html.ts";
import { SCRIPT as DOCS_SCRIPT } from "../docs/page-script.ts";
import { STYLE as DOCS_STYLE } from "../docs/page-style.ts";
import { problem } from "./replies.ts";
import { SCRIPT } from "./script.ts";
import { STYLE } from "./style.ts";

/** Nothing inline, nothing from elsewhere, and in no frame. */
const POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join("; ");

interface File {
  readonly type: string;
  readonly body: Buffer;
  readonly etag: string;
}

function fileOf(type: string, text: string): File {
  const body = Buffer.from(text);
  const etag = `"${createHash("sha256").update(body).digest("base64url").slice(0, 22)}"`;
  return { type, body, etag };
}

const TEXT = "text/javascript; charset=utf-8";

/** Answers of the route that everybody may ask. */
export function pageAnswers(config: PortalConfig, ways: readonly SignIn[]): (x: Exchange) => Outcome {
  const files = new Map([
    ["", fileOf("text/html; charset=utf-8", pageHtml(config, ways))],
    ["/portal.js", fileOf(TEXT, SCRIPT)],
    ["/docs.js", fileOf(TEXT, DOCS_SCRIPT)],
    ["/portal.css", fileOf("text/css; charset=utf-8", `${DOCS_STYLE}${STYLE}`)],
  ]);
  return (x) => {
    const file = files.get((x.request.path ?? "").slice(config.path.length));
    return file === undefined ? problem(404, "There is nothing here.") : replyOf(x, file);
  };
}

function replyOf(x: Exchange, { type, body, etag }: File): Outcome {
  const headers = HeaderBlock.of([
    ["etag", etag],
    ["cache-control", "no-cache"],
    ["x-content-type-options", "nosniff"],
    ["referrer-policy", "no-referrer"],
    ["cross-origin-resource-policy", "same-origin"],
    ["cross-origin-opener-policy", "same-origin"],
  ]);
  const validators = { etag, lastModified: NO_DATE, date: NO_DATE };
  if (isNotModified(x.request.headers, validators, wallClock())) return { status: 304, headers, body: NOTHING };
  headers.add("content-type", type);
  headers.add("content-security-policy", POLICY);
  return { status: 200, headers, body };
}

const NOTHING = Buffer.alloc(0);

const FORMS: Readonly<Record<SignIn["kind"], (path: string) => string>> = {
  session: (path) => `<p><a class="button" href="${escaped(path)}/login">Sign in</a></p>`,
  apiKey: () => `<form data-way="apiKey" aria-label="With a key"><label>Your API key
<input name="key" type="password" autocomplete="off" required></label><button>Sign in with the key</button></form>`,
  basic: () => `<form data-way="basic" aria-label="With a password"><label>Name
<input name="user" autocomplete="username" required></label><label>Password
<input name="password" type="password" autocomplete="current-password" required></label>
<button>Sign in with the password</button></form>`,
};

function pageHtml({ path, title }: PortalConfig, ways: readonly SignIn[]): string {
  const settings = escaped(JSON.stringify({ path, ways }));
  const forms = ways.map(({ kind }) => FORMS[kind](path));
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">
<title>${escaped(title)}</title><link rel="stylesheet" href="${escaped(path)}/portal.css">
<script src="${escaped(path)}/portal.js" defer></script></head>
<body data-portal="${settings}">
<a class="skip" href="#content">To the content</a>
<header class="portal"><h1>${escaped(title)}</h1>
<p id="who" hidden><span id="name"></span> <button type="button" id="leave">Sign out</button></p></header>
<noscript><p class="portal">This page needs its script.</p></noscript>
<div id="content" tabindex="-1">
<p id="message" class="portal" role="status"></p>
<section id="signin" class="portal" aria-labelledby="signin-title"><h2 id="signin-title">Sign in</h2>
${forms.join("\n")}</section>
<div id="inside" hidden>
<div id="tabs" class="portal" role="tablist" aria-label="Parts of the portal">
<button type="button" role="tab" id="tab-apis" aria-controls="panel-apis">APIs</button>
<button type="button" role="tab" id="tab-keys" aria-controls="panel-keys">Keys</button>
<button type="button" role="tab" id="tab-usage" aria-controls="panel-usage">Usage</button></div>
<div id="panel-apis" role="tabpanel" aria-labelledby="tab-apis" hidden><div id="api-list" class="portal"></div>
<div id="docs"></div></div>
<div id="panel-keys" class="portal" role="tabpanel" aria-labelledby="tab-keys" hidden>
<h2>Your keys</h2><div id="new-key" role="alert"></div><div class="wide"><table><thead><tr><th scope="col">Name</th>
<th scope="col">Ends in</th><th scope="col">Scopes</th><th scope="col">Made</th><th scope="col">Good until</th>
<th scope="col">State</th><th scope="col">Change</th></tr></thead><tbody id="keys"></tbody></table></div>
<form id="make"><h3>A new key</h3><label>What it is for
<input name="name" maxlength="100" autocomplete="off" required></label><label>How long it is good
<select name="ttl"></select></label><fieldset id="scopes" hidden><legend>Scopes</legend></fieldset>
<button>Make a key</button></form></div>
<div id="panel-usage" class="portal" role="tabpanel" aria-labelledby="tab-usage" hidden>
<h2>Your plan: <span id="plan"></span></h2><ul id="limits"></ul><h2>The last 31 days</h2>
<div class="wide"><table><thead><tr><th scope="col">Day</th><th scope="col">Route</th><th scope="col">Requests</th>
<th scope="col">Failed</th><th scope="col">Units</th></tr></thead><tbody id="usage"></tbody></table></div></div>
</div></div>
<dialog id="ask" aria-labelledby="ask-title"><h2 id="ask-title"></h2><p id="ask-text"></p>
<label id="ask-overlap">The old key goes on for <select name="overlap"></select></label>
<p><button type="button" id="ask-yes">Yes</button> <button type="button" id="ask-no">Cancel</button></p></dialog>
</body></html>
`;
}
