// Breaks messages the way attackers do: line ends, framing fields, white space, lengths and second requests in odd
// places.
import type { Rng } from "../../core/fuzz.testing.ts";

const MORSELS: readonly string[] = [
  "\r\n",
  "\n",
  "\r",
  "\r\n\r\n",
  "\0",
  " ",
  "\t",
  ":",
  ",",
  ";",
  ";a=b",
  "0",
  "5",
  "f",
  "\x0b",
  "\x7f",
  "\x85",
  "\xa0",
  "\xff",
  "0\r\n\r\n",
  "1\r\nZ\r\n",
  "Content-Length: 5\r\n",
  "Content-Length: 0\r\n",
  "content-length:3\r\n",
  "Content_Length: 3\r\n",
  "Transfer-Encoding: chunked\r\n",
  "Transfer-Encoding: identity\r\n",
  "transfer-encoding:\tchunked\r\n",
  "Connection: close\r\n",
  "Connection: keep-alive\r\n",
  "Connection: content-length\r\n",
  "Connection: transfer-encoding, x-a\r\n",
  "Connection: upgrade\r\nUpgrade: websocket\r\n",
  "Expect: 100-continue\r\n",
  "Host: b\r\n",
  "X-A: b\r\n",
  " folded\r\n",
  "TE: trailers\r\n",
  "/",
  "/.",
  "//",
  "%2e",
  "%41",
  "?",
  "HTTP/1.0",
  "HTTP/1.1",
];
const REQUEST_MORSELS: readonly string[] = [
  "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n",
  "POST /smuggled HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n",
  "GET http://b/ HTTP/1.1\r\n",
];
const RESPONSE_MORSELS: readonly string[] = [
  "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx",
  "HTTP/1.1 100 Continue\r\n\r\n",
  "HTTP/1.1 204 No Content\r\n\r\n",
];

/** A message from the corpus with none to four changes. One character is one byte. */
export function mutate(rng: Rng, corpus: readonly string[], side: "request" | "response"): string {
  const extra = side === "request" ? REQUEST_MORSELS : RESPONSE_MORSELS;
  let text = rng.pick(corpus);
  for (let changes = rng.below(5); changes > 0; changes -= 1) text = change(rng, text, corpus, extra);
  return text;
}

function change(rng: Rng, text: string, corpus: readonly string[], extra: readonly string[]): string {
  const at = rng.below(text.length + 1);
  const length = rng.oneIn(4) ? rng.below(40) : 1 + rng.below(3);
  const before = text.slice(0, at);
  switch (rng.below(9)) {
    case 0:
      return before + rng.pick(MORSELS) + text.slice(at);
    case 1:
      return before + rng.pick(MORSELS) + text.slice(at + length);
    case 2:
      return before + rng.pick(extra) + text.slice(at);
    case 3:
      return before + String.fromCharCode(rng.below(256)) + text.slice(at + 1);
    case 4:
      return before + text.slice(at + length);
    case 5:
      return before + text.slice(at, at + length) + text.slice(at);
    case 6: {
      // At the beginning of a line, where whole fields matter.
      const line = text.indexOf("\r\n", at);
      return line < 0 ? text : text.slice(0, line + 2) + rng.pick(MORSELS) + text.slice(line + 2);
    }
    case 7:
      return before + rng.pick(corpus).slice(rng.below(20));
    default:
      return rng.oneIn(2)
        ? text + rng.pick(corpus)
        : before + rng.pick(MORSELS).repeat(rng.below(300)) + text.slice(at);
  }
}

/** The same bytes in pieces of any length. */
export function cutAnywhere(rng: Rng, wire: Buffer): Buffer[] {
  const longest = rng.pick([1, 3, 16, 200]);
  const pieces: Buffer[] = [];
  for (let at = 0; at < wire.length; ) {
    const end = Math.min(wire.length, at + 1 + rng.below(longest));
    pieces.push(Buffer.from(wire.subarray(at, end)));
    at = end;
  }
  return pieces;
}
