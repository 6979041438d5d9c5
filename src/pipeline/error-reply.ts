// The answers to what goes wrong: Proxy-Status (RFC 9209), and a body in the form the client prefers (RFC 9457 or
// HTML).
import { type Fault, specOf } from "../core/faults.ts";
import { reasonOf } from "../http/h1/writer.ts";
import { HeaderBlock } from "../http/header-block.ts";
import type { Reply } from "./reply.ts";

/** Overload passes quickly or not at all; clients with back-off of their own wait longer. */
const RETRY_AFTER_SECONDS = 1;

/** Whether the client would rather see a page than JSON: a browser names text/html, programs do not. */
function prefersHtml(accept: string | null): boolean {
  if (accept === null) return false;
  const html = accept.indexOf("text/html");
  const json = accept.search(/application\/(problem\+)?json/);
  return html >= 0 && (json < 0 || html < json);
}

const escapeHtml = (text: string): string => text.replace(/[&<>"']/g, (char) => `&#${char.charCodeAt(0)};`);

/** The answer to a fault, with its status or another. It carries the request id and nothing of the inside. */
export function errorReply(
  fault: Fault,
  requestId: string,
  accept: string | null,
  status: number = specOf(fault).status,
): Reply {
  const spec = specOf(fault);
  const reason = reasonOf(status);
  const headers = new HeaderBlock();
  let body: string;
  if (prefersHtml(accept)) {
    headers.add("content-type", "text/html; charset=utf-8");
    body = `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>${status} ${reason}</title>
<style>body{font:16px/1.5 system-ui,sans-serif;max-width:36em;margin:15vh auto;padding:0 1em;color:#222}small{color:#777}</style></head>
<body><h1>${status} ${reason}</h1><p>${escapeHtml(spec.title)}</p>
<p><small>Request ${escapeHtml(requestId)}</small></p></body></html>
`;
  } else {
    headers.add("content-type", "application/problem+json");
    body = `${JSON.stringify({ type: "about:blank", title: reason, status, detail: spec.title, requestId })}\n`;
  }
  headers.add("cache-control", "no-store");
  headers.add("proxy-status", `sluice; error=${spec.proxyStatus}`);
  if (status === 503 || fault.retryAfter > 0)
    headers.add("retry-after", String(fault.retryAfter || RETRY_AFTER_SECONDS));
  if (fault.code === "request.connect") headers.add("allow", "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS");
  return { status, headers, body: Buffer.from(body) };
}
