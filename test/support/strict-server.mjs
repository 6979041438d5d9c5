// An HTTP server of Node.js as an independent opinion: it tells each client what it understood of its request. Runs as a
// process of its own, prints its port, and ends with its standard input.
import { createHash } from "node:crypto";
import { createServer } from "node:http";

if (process.versions.bun !== undefined) throw new Error("this must be Node.js itself");

let started = 0;
let completed = 0;
const broken = [];

const server = createServer({ insecureHTTPParser: false, maxHeaderSize: 262_144, keepAliveTimeout: 60_000 }, (request, response) => {
  started += 1;
  const pieces = [];
  request.on("data", (piece) => pieces.push(piece));
  request.on("error", () => {});
  request.on("end", () => {
    if (!request.complete) return;
    completed += 1;
    const body = Buffer.concat(pieces);
    const { method, url, rawHeaders } = request;
    const bodyHash = createHash("sha256").update(body).digest("hex");
    const seen = { started, completed, broken, method, url, bodyHash };
    const text = Buffer.from(JSON.stringify({ rawHeaders, body: body.toString("latin1") }));
    response.writeHead(200, { "x-seen": JSON.stringify(seen), "content-length": text.length });
    response.end(text);
  });
});

server.on("clientError", (error, socket) => {
  // A connection that ends inside a message is what the proxy does to a client's broken one.
  if (error.code !== "HPE_INVALID_EOF_STATE" && error.code !== "ECONNRESET" && broken.length < 100) broken.push(error.code);
  if (socket.writable) socket.end("HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
});
server.listen(0, "127.0.0.1", () => console.log(server.address().port));
process.stdin.on("end", () => process.exit(0)).resume();
