// A server for bodies of any size, in a process of its own (`bun body-server.ts`); prints its port.
//
//   GET /BYTES   answers with that many bytes of the pattern
//   PUT /        takes a body and answers with its length and SHA-256
//   PUT /slow    the same, at BYTES_PER_TURN every few milliseconds
import { createHash } from "node:crypto";
import { createServer } from "node:http";

const PIECE_BYTES = 1_048_576;
const SLOW_TURN_MS = 20;

/** One piece of the pattern: bytes that no compression or mistake turns into each other. */
export function pattern(): Buffer {
  const piece = Buffer.alloc(PIECE_BYTES);
  for (let at = 0, state = 1; at < PIECE_BYTES; at += 4) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    piece.writeUInt32LE(state, at);
  }
  return piece;
}

function serve(): void {
  const piece = pattern();
  const server = createServer((request, response) => {
    if (request.method === "GET") {
      let left = Number(request.url?.slice(1));
      response.writeHead(200, { "content-length": left });
      const more = (): void => {
        while (left > 0) {
          const part = left >= piece.length ? piece : piece.subarray(0, left);
          left -= part.length;
          if (!response.write(part)) return void response.once("drain", more);
        }
        response.end();
      };
      return more();
    }
    const hash = createHash("sha256");
    let length = 0;
    const slow = request.url === "/slow";
    request.on("data", (chunk: Buffer) => {
      length += chunk.length;
      hash.update(chunk);
      if (!slow) return;
      request.pause();
      setTimeout(() => request.resume(), SLOW_TURN_MS);
    });
    request.on("end", () => response.end(JSON.stringify({ length, sha256: hash.digest("hex") })));
  });
  server.requestTimeout = 0;
  server.listen(0, "127.0.0.1", () => console.log((server.address() as { port: number }).port));
}

if (import.meta.main) serve();
