// Heads of responses as they go to an HTTP/2 client: hop-by-hop fields, Via, Date and lengths.
import { httpDate } from "../core/clock.ts";
import { removeNamedFields } from "../http/h1/framing.ts";
import { hpackMax } from "../http/h2/hpack-encoder.ts";
import { HOP_BY_HOP, skipSet } from "../http/header-block.ts";
import { ID } from "../http/header-names.ts";
import type { ResponseHead } from "../http/message.ts";
import type { Reply } from "../pipeline/reply.ts";
import { viaValue } from "../pipeline/via.ts";
import type { ExchangeStream } from "./exchange-stream.ts";
import type { AltSvc } from "./listener.ts";

const SKIP = skipSet(...HOP_BY_HOP);
const SKIP_LENGTH_TOO = skipSet(...HOP_BY_HOP, ID["content-length"]);

/** What a head needs beside its fields: status, Via, Date, a length, and a change of the table's size. */
const HEAD_EXTRA_BYTES = 256;

/** Whether content follows the head: none where there can be none, whatever was asked of the server and it said. */
export function hasContent(toHead: boolean, head: ResponseHead): boolean {
  return !toHead && head.status !== 204 && head.status !== 304 && head.body !== "none";
}

/**
 * Sends the head of a forwarded response. `isLast`: nothing follows. A Content-Length stays where it tells the truth:
 * with that many bytes, or about what a HEAD or 304 leaves out.
 */
export function sendHead(
  stream: ExchangeStream,
  head: ResponseHead,
  toHead: boolean,
  isLast: boolean,
  altSvc: AltSvc | null = null,
): void {
  const { headers, status } = head;
  if (head.connectionNamesFields) removeNamedFields(headers);
  const advertises = altSvc !== null && !headers.hasAdded("alt-svc");
  if (advertises) headers.removeReceived("alt-svc"); // the server's own is not where clients find us
  const isAbout = toHead || status === 304;
  const lengthStands =
    status !== 204 && (isAbout || head.body === "length" || (head.body === "none" && head.length === 0));
  const encoder = stream.beginHead(hpackMax(headers) + HEAD_EXTRA_BYTES);
  encoder.status(status);
  encoder.fields(headers, lengthStands ? SKIP : SKIP_LENGTH_TOO);
  if (!head.own) encoder.field("via", viaValue(head.version));
  if (!headers.received(ID.date) && !headers.hasAdded("date")) encoder.field("date", httpDate());
  if (advertises) encoder.field("alt-svc", altSvc.value);
  if (!isLast && head.body === "length" && headers.removedCount > 0 && headers.indexOf(ID["content-length"]) < 0)
    encoder.field("content-length", String(head.length)); // an edit took it away
  stream.finishHead(isLast);
}

/** Sends an interim response (1xx). */
export function sendInformational(stream: ExchangeStream, head: ResponseHead): void {
  const { headers } = head;
  if (head.connectionNamesFields) removeNamedFields(headers);
  const encoder = stream.beginHead(hpackMax(headers) + HEAD_EXTRA_BYTES);
  encoder.status(head.status);
  encoder.fields(headers, SKIP_LENGTH_TOO);
  if (!head.own) encoder.field("via", viaValue(head.version));
  stream.finishHead(false);
}

/** Sends an answer of Sluice's own. Returns how many bytes of content went along. */
export function sendReply(
  stream: ExchangeStream,
  answer: Reply,
  toHead: boolean,
  altSvc: AltSvc | null = null,
): number {
  const { status, headers, body } = answer;
  const isEmpty = status === 204 || status === 304;
  const isLast = isEmpty || toHead || body.length === 0;
  const encoder = stream.beginHead(hpackMax(headers) + HEAD_EXTRA_BYTES);
  encoder.status(status);
  encoder.fields(headers, SKIP_LENGTH_TOO);
  if (!headers.has("date")) encoder.field("date", httpDate());
  if (altSvc !== null && !headers.has("alt-svc")) encoder.field("alt-svc", altSvc.value);
  if (!isEmpty) encoder.field("content-length", String(body.length));
  stream.finishHead(isLast);
  if (isLast) return 0;
  stream.sendData(body, 0, body.length, true);
  return body.length;
}
