// The head of a request as it goes to an HTTP/1.1 server: what the client sent, less what belongs to its connection,
// and with what the proxy has to say of it.

import { removeNamedFields } from "../http/h1/framing.ts";
import { writeCrlf, writeRequestLine, writeText } from "../http/h1/writer.ts";
import { FORWARDING, HOP_BY_HOP, skipSet } from "../http/header-block.ts";
import { ID } from "../http/header-names.ts";
import type { Exchange } from "../pipeline/exchange.ts";
import { viaLine } from "../pipeline/via.ts";

const SKIP_UNTRUSTED = skipSet(...HOP_BY_HOP, ...FORWARDING);
const SKIP_UNTRUSTED_HOST = skipSet(...HOP_BY_HOP, ...FORWARDING, ID.host);
const SKIP_TRUSTED = skipSet(...HOP_BY_HOP, ID["x-forwarded-for"]);
const SKIP_TRUSTED_HOST = skipSet(...HOP_BY_HOP, ID["x-forwarded-for"], ID.host);

/** Room for the lines that the proxy adds, apart from texts of the client. */
const ADDED_BYTES = 512;

/** Whether the request line at `lineAt` has this method: a plugin may have set another. */
function saysMethod(bytes: Buffer, lineAt: number, method: string): boolean {
  for (let i = 0; i < method.length; i += 1) if (bytes[lineAt + i] !== method.charCodeAt(i)) return false;
  return bytes[lineAt + method.length] === 0x20;
}

/** Most bytes that `writeRequestHead` writes. */
export function requestHeadMax(x: Exchange, host: string | null): number {
  const { request } = x;
  const forwardedFor = x.trusted ? request.headers.maxLength() : 0;
  const target = x.rewrittenTarget === "" ? request.targetLength : x.rewrittenTarget.length;
  return (
    request.headers.maxLength() +
    forwardedFor +
    target +
    request.method.length +
    x.rewrittenMethod.length +
    2 * request.authority.length +
    request.upgrade.length +
    (host?.length ?? 0) +
    ADDED_BYTES
  );
}

/**
 * Writes the head; returns where it ends. `host` replaces the client's Host; null preserves it (a client's absolute
 * target counts as its Host, RFC 9112 §3.2.2).
 */
export function writeRequestHead(out: Buffer, at: number, x: Exchange, host: string | null): number {
  const { request } = x;
  const { headers } = request;
  // Asked before the fields that Connection names go: TE must be one of them (RFC 9110 §10.1.4).
  const trailers = headers.received(ID.te) && takesTrailers(headers.get("te") ?? "");
  if (request.connectionNamesFields) removeNamedFields(headers);
  // RFC 9110 §10.1.1: without content nobody waits for 100, and what HTTP/1.0 expects is ignored.
  if (request.expectContinue && (request.body === "none" || request.version === 10)) headers.removeReceived("expect");
  const method = x.rewrittenMethod === "" ? request.method : x.rewrittenMethod;
  const newHost = host ?? (request.form === "absolute" ? request.authority : null);
  const edited = headers.added !== null;
  // The client's own request line goes along with the fields where it can: one copy for all.
  const whole =
    request.lineAt >= 0 &&
    x.rewrittenTarget === "" &&
    newHost === null &&
    headers.count > 0 &&
    saysMethod(headers.bytes, request.lineAt, method);
  const lineAt = whole ? request.lineAt : -1;
  let to = at;
  if (!whole) to = writeRequestLine(out, to, method, x.rewrittenTarget === "" ? request.target : x.rewrittenTarget);
  if (newHost !== null && !(edited && headers.hasAdded("host"))) to = writeText(out, to, `Host: ${newHost}\r\n`);
  if (x.trusted) {
    to = headers.writeTo(out, to, newHost === null ? SKIP_TRUSTED : SKIP_TRUSTED_HOST, lineAt);
    to = writeTrusted(out, to, x);
  } else {
    to = headers.writeTo(out, to, newHost === null ? SKIP_UNTRUSTED : SKIP_UNTRUSTED_HOST, lineAt);
    to = edited ? writeUnlessEdited(out, to, x) : writeForwarded(out, to, x);
  }
  if (request.upgrade !== "") to = writeText(out, to, `Connection: Upgrade\r\nUpgrade: ${request.upgrade}\r\n`);
  else if (trailers) to = writeText(out, to, "TE: trailers\r\nConnection: TE\r\n");
  if (request.body === "chunked") to = writeText(out, to, "Transfer-Encoding: chunked\r\n");
  else if (request.body === "length" && headers.removedCount > 0 && headers.indexOf(ID["content-length"]) < 0) {
    // An edit took it away: without it the body would be read as the next request.
    to = writeText(out, to, `Content-Length: ${request.length}\r\n`);
  }
  return writeCrlf(out, to);
}

export const takesTrailers = (te: string): boolean => /(?:^|,)[ \t]*trailers[ \t]*(?:$|,)/i.test(te);

/** The usual case: all but the request id is the same for every request of a connection, and lies ready as bytes. */
function writeForwarded(out: Buffer, at: number, x: Exchange): number {
  const lines = x.client.forwardedLines(x.request.authority, x.scheme, viaLine(x.request.version));
  lines.copy(out, at);
  const to = at + lines.length;
  return writeCrlf(out, to + out.latin1Write(x.requestId, to));
}

/** What a route's edits set stays as they set it. */
function writeUnlessEdited(out: Buffer, at: number, x: Exchange): number {
  const { headers } = x.request;
  const { address } = x.client;
  let to = writeText(out, at, viaLine(x.request.version));
  if (address !== "" && !headers.hasAdded("x-forwarded-for"))
    to = writeText(out, to, `X-Forwarded-For: ${address}\r\n`);
  if (!headers.hasAdded("x-forwarded-proto")) to = writeText(out, to, `X-Forwarded-Proto: ${x.scheme}\r\n`);
  if (!headers.hasAdded("x-forwarded-host")) to = writeText(out, to, `X-Forwarded-Host: ${x.request.authority}\r\n`);
  if (!headers.hasAdded("x-request-id")) to = writeText(out, to, `X-Request-Id: ${x.requestId}\r\n`);
  return to;
}

/** A trusted peer's fields stay, and what is missing is added. */
function writeTrusted(out: Buffer, at: number, x: Exchange): number {
  const { headers } = x.request;
  let to = writeText(out, at, viaLine(x.request.version));
  if (!headers.hasAdded("x-forwarded-for")) {
    const before = headers.get("x-forwarded-for");
    const chain = [before, x.client.address].filter((part) => part !== null && part !== "").join(", ");
    if (chain !== "") to = writeText(out, to, `X-Forwarded-For: ${chain}\r\n`);
  }
  if (!headers.has("x-forwarded-proto")) to = writeText(out, to, `X-Forwarded-Proto: ${x.scheme}\r\n`);
  if (!headers.has("x-forwarded-host")) to = writeText(out, to, `X-Forwarded-Host: ${x.request.authority}\r\n`);
  if (!headers.has("x-request-id")) to = writeText(out, to, `X-Request-Id: ${x.requestId}\r\n`);
  return to;
}
