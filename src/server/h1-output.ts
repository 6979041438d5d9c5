// Heads of responses as they go to an HTTP/1 client: framing, hop-by-hop fields, Via and Date.
import { httpDate } from "../core/clock.ts";
import { removeNamedFields } from "../http/h1/framing.ts";
import {
  CHUNK_FRAME_BYTES_MAX,
  lastChunkMax,
  reasonOf,
  writeChunkHead,
  writeCrlf,
  writeLastChunk,
  writeStatusLine,
  writeText,
} from "../http/h1/writer.ts";
import { type HeaderBlock, HOP_BY_HOP, skipSet } from "../http/header-block.ts";
import { ID } from "../http/header-names.ts";
import type { RequestHead, ResponseHead } from "../http/message.ts";
import type { Reply } from "../pipeline/reply.ts";
import { viaLine } from "../pipeline/via.ts";
import type { Connection } from "../transport/connection.ts";
import { openOutbox, outboxAt, outboxWrote, write, writeBehindRoom } from "../transport/outbox.ts";
import type { AltSvc } from "./listener.ts";

const SKIP = skipSet(...HOP_BY_HOP);
const SKIP_LENGTH_TOO = skipSet(...HOP_BY_HOP, ID["content-length"]);

/** What a head needs beside its fields: status line, Via, Date, Alt-Svc, Connection, framing. */
export const HEAD_EXTRA_BYTES = 320;

export type Persistence = "close" | "keep-alive" | "";

/** How the client finds the end of an answer; "none" where there can be no content, "empty" where there is none. */
export type Framing = "none" | "empty" | "length" | "chunked" | "close";

/**
 * How the body of the answer is delimited for this client (RFC 9112 §6.3). What the client asked and what it is told
 * decide, not what the server was asked and said: plugins may change the method and the status.
 */
export function responseFraming(toHead: boolean, version: RequestHead["version"], head: ResponseHead): Framing {
  if (toHead || head.status === 204 || head.status === 304) return "none";
  if (head.body === "none") return "empty";
  if (head.body === "length") return "length";
  return version === 11 ? "chunked" : "close";
}

function writePersistence(out: Buffer, at: number, persistence: Persistence): number {
  if (persistence === "") return at;
  return writeText(out, at, persistence === "close" ? "Connection: close\r\n" : "Connection: keep-alive\r\n");
}

/** Whether the status line at `lineAt` (`HTTP/1.1 200 …`) has this status: a plugin may have set another. */
function saysStatus(bytes: Buffer, lineAt: number, status: number): boolean {
  const digits = bytes[lineAt + 9]! * 100 + bytes[lineAt + 10]! * 10 + bytes[lineAt + 11]!;
  return digits - 0x30 * 111 === status;
}

/** There was never a Content-Length, or an edit took it away. */
const lacksLength = (headers: HeaderBlock): boolean =>
  !headers.received(ID["content-length"]) || (headers.removedCount > 0 && headers.indexOf(ID["content-length"]) < 0);

/** Writes the head of a forwarded response; returns where it ends. Room: `headers.maxLength()` and HEAD_EXTRA_BYTES and the reason. */
export function writeResponseHead(
  out: Buffer,
  at: number,
  head: ResponseHead,
  framing: Framing,
  persistence: Persistence,
  altSvc: AltSvc | null = null,
): number {
  const { headers, status } = head;
  if (head.connectionNamesFields) removeNamedFields(headers);
  const advertises = altSvc !== null && status >= 200 && !headers.hasAdded("alt-svc");
  if (advertises) headers.removeReceived("alt-svc"); // the server's own is not where clients find us
  // The server's own status line goes along with the fields where it can: one copy for all.
  const whole = head.lineAt >= 0 && headers.count > 0 && saysStatus(headers.bytes, head.lineAt, status);
  let to = whole ? at : writeStatusLine(out, at, status, head.reason);
  // A Content-Length may stay where it tells the truth: with that many bytes, or about what a HEAD or 304 leaves out.
  const lengthStands = framing !== "empty" || (head.length === 0 && headers.indexOf(ID["content-length"]) >= 0);
  const lengthGoes = !lengthStands || framing === "chunked" || framing === "close" || status < 200 || status === 204;
  to = headers.writeTo(out, to, lengthGoes ? SKIP_LENGTH_TOO : SKIP, whole ? head.lineAt : -1);
  if (!head.own) to = writeText(out, to, viaLine(head.version));
  if (status < 200)
    return writeText(out, to, status === 101 ? `Connection: Upgrade\r\nUpgrade: ${head.upgrade}\r\n\r\n` : "\r\n");
  if (!headers.received(ID.date) && !headers.hasAdded("date")) to = writeText(out, to, `Date: ${httpDate()}\r\n`);
  if (advertises) to = writeText(out, to, altSvc.line);
  if (framing === "chunked") to = writeText(out, to, "Transfer-Encoding: chunked\r\n");
  else if (!lengthStands) to = writeText(out, to, "Content-Length: 0\r\n");
  else if (framing === "length" && lacksLength(headers)) {
    to = writeText(out, to, `Content-Length: ${head.length}\r\n`);
  }
  to = writePersistence(out, to, persistence);
  return writeText(out, to, "\r\n");
}

/** Writes the head of an answer of Sluice's own; returns where it ends. */
function writeReplyHead(
  out: Buffer,
  at: number,
  answer: Reply,
  persistence: Persistence,
  altSvc: AltSvc | null,
): number {
  let to = writeStatusLine(out, at, answer.status, reasonOf(answer.status));
  to = answer.headers.writeTo(out, to, SKIP_LENGTH_TOO);
  if (!answer.headers.has("date")) to = writeText(out, to, `Date: ${httpDate()}\r\n`);
  if (altSvc !== null && !answer.headers.has("alt-svc")) to = writeText(out, to, altSvc.line);
  if (answer.status !== 204 && answer.status !== 304)
    to = writeText(out, to, `Content-Length: ${answer.body.length}\r\n`);
  to = writePersistence(out, to, persistence);
  return writeText(out, to, "\r\n");
}

// ——— the same, sent: everything goes through the thread's outbox, so that head and first bytes leave together

/** Sends the head of a forwarded response. */
export function sendHead(
  connection: Connection,
  head: ResponseHead,
  framing: Framing,
  persistence: Persistence,
  altSvc: AltSvc | null = null,
): void {
  const room = head.headers.maxLength() + HEAD_EXTRA_BYTES + head.reason.length + head.upgrade.length;
  const out = openOutbox(connection, room);
  outboxWrote(writeResponseHead(out, outboxAt(), head, framing, persistence, altSvc));
}

/** Sends a piece of content, framed as the head has said. `roomy`: the bytes before it are free for what goes before it. */
export function sendPiece(
  connection: Connection,
  framing: Framing,
  bytes: Buffer,
  from: number,
  to: number,
  given = false,
  roomy = false,
): void {
  if (framing === "length" && roomy) return writeBehindRoom(connection, bytes, from, to);
  if (framing !== "chunked") return write(connection, bytes, from, to, given);
  const out = openOutbox(connection, CHUNK_FRAME_BYTES_MAX);
  outboxWrote(writeChunkHead(out, outboxAt(), to - from));
  write(connection, bytes, from, to, given);
  const tail = openOutbox(connection, CHUNK_FRAME_BYTES_MAX);
  outboxWrote(writeCrlf(tail, outboxAt()));
}

/** Sends what ends the content, where its framing has such a thing. */
export function sendEnd(connection: Connection, framing: Framing, trailers: HeaderBlock | null): void {
  if (framing !== "chunked") return;
  const out = openOutbox(connection, lastChunkMax(trailers));
  outboxWrote(writeLastChunk(out, outboxAt(), trailers));
}

/** Sends an answer of Sluice's own. Returns how many bytes of content went along. */
export function sendReply(
  connection: Connection,
  answer: Reply,
  persistence: Persistence,
  toHead: boolean,
  altSvc: AltSvc | null = null,
): number {
  const out = openOutbox(connection, answer.headers.maxLength() + HEAD_EXTRA_BYTES);
  outboxWrote(writeReplyHead(out, outboxAt(), answer, persistence, altSvc));
  const { length } = answer.body;
  if (length === 0 || toHead || answer.status === 204 || answer.status === 304) return 0;
  write(connection, answer.body, 0, length);
  return length;
}
