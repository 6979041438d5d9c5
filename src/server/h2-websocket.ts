// The handshake of a WebSocket over HTTP/2 (RFC 8441): the client made none of HTTP/1.1 (RFC 6455 §4), so we make it, and
// what a server has to prove is ours to check.
import { createHash, randomBytes } from "node:crypto";
import type { RequestHead, ResponseHead } from "../http/message.ts";

/** RFC 6455 §1.3. */
const ACCEPT_GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
const KEY_BYTES = 16;

/** Begins the handshake. Returns the key that the server's answer must prove to have read. */
export function beginHandshake({ headers }: RequestHead): string {
  const key = randomBytes(KEY_BYTES).toString("base64");
  headers.set("sec-websocket-key", key);
  return key;
}

/** Whether a server's 101 answers the handshake with this key. */
export function provesKey(head: ResponseHead, key: string): boolean {
  const expected = createHash("sha1")
    .update(key + ACCEPT_GUID)
    .digest("base64");
  return head.headers.get("sec-websocket-accept") === expected;
}

/** Makes the server's 101 the 200 that a CONNECT is answered with (RFC 8441 §5). */
export function asConnected(head: ResponseHead): void {
  head.status = 200;
  head.lineAt = -1; // it says 101
  head.body = "chunked"; // no length, and no end for now
  head.headers.remove("sec-websocket-accept");
}
