// The head of a request as it goes to an HTTP/2 server: what the client sent, less what belongs to its connection, and
// with what the proxy has to say of it (h1-request.ts is the same for HTTP/1.1).

import { GRPC, NO_GRPC, receivedKind } from "../http/grpc.ts";
import { removeNamedFields } from "../http/h1/framing.ts";
import { type HpackEncoder, hpackMax } from "../http/h2/hpack-encoder.ts";
import type { H2Stream } from "../http/h2/stream.ts";
import { FORWARDING, type HeaderBlock, HOP_BY_HOP, skipSet } from "../http/header-block.ts";
import { ID } from "../http/header-names.ts";
import type { RequestHead } from "../http/message.ts";
import type { Exchange } from "../pipeline/exchange.ts";
import { viaValue } from "../pipeline/via.ts";
import { takesTrailers } from "./h1-request.ts";

// The authority goes out as a pseudo-header field, and in no other way.
const SKIP_UNTRUSTED = skipSet(...HOP_BY_HOP, ...FORWARDING, ID.host);
const SKIP_TRUSTED = skipSet(...HOP_BY_HOP, ID["x-forwarded-for"], ID.host);
const SKIP_OF_SAVED = skipSet(...HOP_BY_HOP, ID.host);

/** Room for the pseudo-header fields and for what the proxy adds, apart from texts of the client. */
const ADDED_BYTES = 768;
/** The only protocol that has a tunnel over HTTP/2 (RFC 8441). */
const WEBSOCKET = "websocket";
/** Says that a client speaks HTTP/1.1, where it has a meaning; over HTTP/2 it has none (RFC 8441 §5.1). */
export const WEBSOCKET_KEY = "sec-websocket-key";

/** Whether the request is for a tunnel that HTTP/2 can carry. Others, and one with content, a server may pass over. */
export const isForTunnel = ({ upgrade, body }: RequestHead): boolean => upgrade === WEBSOCKET && body === "none";

/**
 * Sends the head. `host` replaces the client's authority; null preserves it. `scheme` is that of the connection: what
 * the client used stands in X-Forwarded-Proto. A request without a body ends with its head.
 */
export function sendRequestHead(stream: H2Stream, x: Exchange, host: string | null, scheme: "http" | "https"): void {
  const { request } = x;
  const encoder = beginHead(stream, x, host);
  const method = x.rewrittenMethod === "" ? request.method : x.rewrittenMethod;
  stream.method = method;
  encoder.request(method, scheme, authorityOf(request, host), targetOf(x));
  finishHead(encoder, x);
  stream.finishHead(request.body === "none");
}

/** Sends the head of an extended CONNECT (RFC 8441 §4) for an exchange that `isForTunnel`. */
export function sendConnectHead(stream: H2Stream, x: Exchange, host: string | null, scheme: "http" | "https"): void {
  const { request } = x;
  const { headers } = request;
  const key = headers.get(WEBSOCKET_KEY);
  if (key !== null) headers.remove(WEBSOCKET_KEY);
  const encoder = beginHead(stream, x, host);
  stream.method = "CONNECT";
  encoder.request("CONNECT", scheme, authorityOf(request, host), targetOf(x));
  encoder.protocol(WEBSOCKET);
  finishHead(encoder, x);
  stream.finishHead(false);
  if (key !== null) headers.add(WEBSOCKET_KEY, key); // a server of HTTP/1.1 may be asked next
}

/** Sends a head that was written for HTTP/1.1, with all that the proxy has to say in it. */
export function sendSavedHead(stream: H2Stream, request: RequestHead, scheme: "http" | "https"): void {
  const { headers, method, target, authority } = request;
  const room = hpackMax(headers) + method.length + target.length + authority.length + ADDED_BYTES;
  const encoder = stream.beginHead(room);
  stream.method = method;
  encoder.request(method, scheme, authority, target);
  encoder.fields(headers, SKIP_OF_SAVED);
  if (wantsTrailers(headers) || receivedKind(headers) === GRPC) encoder.field("te", "trailers");
  stream.finishHead(request.body === "none");
}

function beginHead(stream: H2Stream, x: Exchange, host: string | null): HpackEncoder {
  const { request } = x;
  const { headers } = request;
  const target = x.rewrittenTarget === "" ? request.targetLength : x.rewrittenTarget.length;
  const authority = 2 * request.authority.length + (host?.length ?? 0);
  // RFC 9110 §10.1.1: without content nobody waits for 100, and what HTTP/1.0 expects is ignored.
  if (request.expectContinue && (request.body === "none" || request.version === 10)) headers.removeReceived("expect");
  // What an edit set as Host is among the fields, and so is what a trusted peer said of the hops before it.
  const fields = hpackMax(headers) * (x.trusted || headers.added !== null ? 2 : 1);
  return stream.beginHead(fields + target + authority + request.method.length + ADDED_BYTES);
}

/** A client's absolute target counts as its Host (RFC 9112 §3.2.2), and an edit's Host more than all else. */
function authorityOf({ headers, authority }: RequestHead, host: string | null): string {
  if (headers.added !== null && headers.hasAdded("host")) return headers.getAll("host").at(-1)!;
  return host ?? authority;
}

const targetOf = (x: Exchange): string => (x.rewrittenTarget === "" ? x.request.target : x.rewrittenTarget);

const wantsTrailers = (headers: HeaderBlock): boolean =>
  headers.received(ID.te) && takesTrailers(headers.get("te") ?? "");

/** Everything behind the pseudo-header fields. */
function finishHead(encoder: HpackEncoder, x: Exchange): void {
  const { request } = x;
  const { headers } = request;
  // Asked before the fields that Connection names go: TE must be one of them (RFC 9110 §10.1.4).
  // gRPC servers insist on it, and callers from browsers cannot set it.
  const trailers = x.grpc !== NO_GRPC || x.rpc !== "" || wantsTrailers(headers);
  if (request.connectionNamesFields) removeNamedFields(headers);
  encoder.fields(headers, x.trusted ? SKIP_TRUSTED : SKIP_UNTRUSTED);
  if (x.trusted) addTrusted(encoder, x);
  else if (headers.added !== null) addUnlessEdited(encoder, x);
  else addForwarded(encoder, x);
  if (trailers) encoder.field("te", "trailers");
  if (request.body === "length" && headers.removedCount > 0 && headers.indexOf(ID["content-length"]) < 0)
    encoder.field("content-length", String(request.length)); // an edit took it away
}

/** The usual case. */
function addForwarded(encoder: HpackEncoder, x: Exchange): void {
  const { address } = x.client;
  encoder.field("via", viaValue(x.request.version));
  if (address !== "") encoder.field("x-forwarded-for", address);
  encoder.field("x-forwarded-proto", x.scheme);
  encoder.field("x-forwarded-host", x.request.authority);
  encoder.field("x-request-id", x.requestId);
}

/** What a route's edits set stays as they set it. */
function addUnlessEdited(encoder: HpackEncoder, x: Exchange): void {
  const { headers } = x.request;
  const { address } = x.client;
  encoder.field("via", viaValue(x.request.version));
  if (address !== "" && !headers.hasAdded("x-forwarded-for")) encoder.field("x-forwarded-for", address);
  if (!headers.hasAdded("x-forwarded-proto")) encoder.field("x-forwarded-proto", x.scheme);
  if (!headers.hasAdded("x-forwarded-host")) encoder.field("x-forwarded-host", x.request.authority);
  if (!headers.hasAdded("x-request-id")) encoder.field("x-request-id", x.requestId);
}

/** A trusted peer's fields stay, and what is missing is added. */
function addTrusted(encoder: HpackEncoder, x: Exchange): void {
  const { headers } = x.request;
  encoder.field("via", viaValue(x.request.version));
  if (!headers.hasAdded("x-forwarded-for")) {
    const before = headers.get("x-forwarded-for");
    const chain = [before, x.client.address].filter((part) => part !== null && part !== "").join(", ");
    if (chain !== "") encoder.field("x-forwarded-for", chain);
  }
  if (!headers.has("x-forwarded-proto")) encoder.field("x-forwarded-proto", x.scheme);
  if (!headers.has("x-forwarded-host")) encoder.field("x-forwarded-host", x.request.authority);
  if (!headers.has("x-request-id")) encoder.field("x-request-id", x.requestId);
}
