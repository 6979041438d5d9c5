// Heads of responses as they go to an HTTP/1 client: framing, hop-by-hop fields, Via and Date.
import { httpDate } from "../core/clock.ts";
import { removeNamedFields } from "../http/h1/framing.ts";
import { reasonOf, writeStatusLine, writeText } from "../http/h1/writer.ts";
import { HOP_BY_HOP, skipSet } from "../http/header-block.ts";
import { ID } from "../http/header-names.ts";
import type { RequestHead, ResponseHead } from "../http/message.ts";
import type { Reply } from "../pipeline/reply.ts";
import { viaLine } from "../pipeline/via.ts";

const SKIP = skipSet(...HOP_BY_HOP);
const SKIP_LENGTH_TOO = skipSet(...HOP_BY_HOP, ID["content-length"]);

/** What a head needs beside its fields: status line, Via, Date, Connection, framing. */
export const HEAD_EXTRA_BYTES = 256;

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

/** Writes the head of a forwarded response; returns where it ends. Room: `headers.maxLength()` and HEAD_EXTRA_BYTES and the reason. */
export function writeResponseHead(
  out: Buffer,
  at: number,
  head: ResponseHead,
  framing: Framing,
  persistence: Persistence,
): number {
  const { headers, status } = head;
  if (head.connectionNamesFields) removeNamedFields(headers);
  // The server's own status line goes along with the fields where it can: one copy for all.
  const whole = head.lineAt >= 0 && headers.count > 0 && saysStatus(headers.bytes, head.lineAt, status);
  let to = whole ? at : writeStatusLine(out, at, status, head.reason);
  // A Content-Length may stay where it tells the truth: with that many bytes, or about what a HEAD or 304 leaves out.
  const lengthStands = framing !== "empty" || (head.length === 0 && headers.indexOf(ID["content-length"]) >= 0);
  const lengthGoes = !lengthStands || framing === "chunked" || framing === "close" || status < 200 || status === 204;
  to = headers.writeTo(out, to, lengthGoes ? SKIP_LENGTH_TOO : SKIP, whole ? head.lineAt : -1);
  to = writeText(out, to, viaLine(head.version));
  if (status < 200)
    return writeText(out, to, status === 101 ? `Connection: Upgrade\r\nUpgrade: ${head.upgrade}\r\n\r\n` : "\r\n");
  if (!headers.received(ID.date) && !headers.hasAdded("date")) to = writeText(out, to, `Date: ${httpDate()}\r\n`);
  if (framing === "chunked") to = writeText(out, to, "Transfer-Encoding: chunked\r\n");
  else if (!lengthStands) to = writeText(out, to, "Content-Length: 0\r\n");
  else if (framing === "length" && headers.removedCount > 0 && headers.indexOf(ID["content-length"]) < 0) {
    to = writeText(out, to, `Content-Length: ${head.length}\r\n`); // an edit took it away
  }
  to = writePersistence(out, to, persistence);
  return writeText(out, to, "\r\n");
}

/** Writes the head of an answer of Sluice's own; returns where it ends. */
export function writeReplyHead(out: Buffer, at: number, answer: Reply, persistence: Persistence): number {
  let to = writeStatusLine(out, at, answer.status, reasonOf(answer.status));
  to = answer.headers.writeTo(out, to, SKIP_LENGTH_TOO);
  if (!answer.headers.has("date")) to = writeText(out, to, `Date: ${httpDate()}\r\n`);
  if (answer.status !== 204 && answer.status !== 304)
    to = writeText(out, to, `Content-Length: ${answer.body.length}\r\n`);
  to = writePersistence(out, to, persistence);
  return writeText(out, to, "\r\n");
}
