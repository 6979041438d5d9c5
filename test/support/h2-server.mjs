// A server of Node.js that speaks HTTP/2, as an independent opinion. Runs as a process of its own: its argument says how
// (JSON), its output is its port and then one line for each thing that a test may want to know, and it ends with its
// standard input.
import { createHash } from "node:crypto";
import { constants, createSecureServer, createServer } from "node:http2";
import { createServer as createSecureHttp1 } from "node:https";
import { Readable } from "node:stream";

if (process.versions.bun !== undefined) throw new Error("this must be Node.js itself");

/** `answersPerSession`: a session is ended with GOAWAY in the middle of its work after so many requests; 0 for never. */
const { tls = null, allowHTTP1 = true, http1Only = false, settings = {}, answersPerSession = 0, delay = 0 } = JSON.parse(process.argv[2] ?? "{}");
const say = (message) => process.stdout.write(`${JSON.stringify(message)}\n`);

let sessions = 0;
let most = 0;
let refusals = 0;
const open = new Map();

/** Made as they are taken: what a session holds counts against its streams. */
function* pieces(bytes) {
  const piece = Buffer.alloc(65_536, "0123456789abcdef");
  for (let left = bytes; left > 0; left -= piece.length) yield piece.subarray(0, Math.min(left, piece.length));
}

/** What each path does; all others answer with what they got. */
const PATHS = {
  hold() {},
  size(stream, { args }) {
    stream.respond({ ":status": 200, "content-length": args[0] });
    Readable.from(pieces(Number(args[0]))).pipe(stream);
  },
  slow(stream, { args }) {
    setTimeout(() => {
      if (!stream.destroyed) echo(stream, {});
    }, Number(args[0]));
  },
  hints(stream, got) {
    stream.additionalHeaders({ ":status": 103, link: "</style.css>; rel=preload" });
    echo(stream, got);
  },
  continue(stream, got) {
    stream.additionalHeaders({ ":status": 100 });
    echo(stream, got);
  },
  refuse(stream, got) {
    refusals += 1;
    if (refusals <= Number(got.args[0])) return stream.close(constants.NGHTTP2_REFUSED_STREAM);
    echo(stream, got);
  },
  http11(stream) {
    stream.close(constants.NGHTTP2_HTTP_1_1_REQUIRED);
  },
  /** The first piece of an answer, and then the stream breaks. */
  broken(stream) {
    stream.respond({ ":status": 200 });
    stream.write("half", () => stream.destroy(new Error("broken")));
  },
  /** An answer before the end of the request, which is not read any more. */
  early(stream) {
    stream.respond({ ":status": 413 });
    stream.end("too large");
  },
  /** Frames of what was sent go back as they came. */
  tunnel(stream) {
    stream.respond({ ":status": 200 });
    stream.pipe(stream);
  },
  deny(stream) {
    stream.respond({ ":status": 403 });
    stream.end("no tunnel");
  },
  /** Takes no new requests from here on. */
  leave(stream, got) {
    stream.session.close();
    echo(stream, got);
  },
};

/** Answers with the request as JSON once it has ended, and with a trailer of its own. */
function echo(stream, { headers = {} }) {
  const hash = createHash("sha256");
  let bytes = 0;
  let trailers = {};
  stream.on("data", (piece) => {
    hash.update(piece);
    bytes += piece.length;
  });
  stream.on("trailers", (fields) => {
    trailers = { ...fields };
  });
  const answer = () => {
    if (stream.destroyed) return;
    const text = JSON.stringify({ version: 2, headers, bytes, sha256: hash.digest("hex"), trailers, session: stream.session?.number });
    stream.respond({ ":status": 200, "content-type": "application/json" }, { waitForTrailers: true });
    stream.once("wantTrailers", () => stream.sendTrailers({ "x-sum": "42" }));
    stream.end(text);
  };
  stream.on("end", () => (delay === 0 ? answer() : setTimeout(answer, delay)));
}

function onStream(stream, headers) {
  const [name, ...args] = headers[":path"].slice(1).split("/");
  const { session } = stream;
  open.set(session, (open.get(session) ?? 0) + 1);
  if (open.get(session) > most) say({ kind: "most", count: (most = open.get(session)) });
  say({ kind: "request", path: headers[":path"], method: headers[":method"], session: session.number });
  stream.on("error", () => {});
  stream.on("close", () => {
    open.set(session, open.get(session) - 1);
    say({ kind: "closed", path: headers[":path"], code: stream.rstCode });
  });
  session.answers += 1;
  if (session.answers === answersPerSession) setImmediate(() => session.close()); // inside the event, Node.js breaks
  (PATHS[name] ?? echo)(stream, { headers: { ...headers }, args });
}

const onHttp1 = (request, response) => {
  if (request.httpVersionMajor === 2) return;
  say({ kind: "request", path: request.url, method: request.method, session: 0 });
  response.end(JSON.stringify({ version: 1, headers: { ...request.headers, ":path": request.url } }));
};

const server = http1Only
  ? createSecureHttp1({ ...tls }, onHttp1)
  : tls === null
    ? createServer({ settings })
    : createSecureServer({ ...tls, allowHTTP1, settings }, onHttp1);
server.on("session", (session) => {
  session.number = sessions += 1;
  session.answers = 0;
  say({ kind: "session", session: sessions });
  session.on("error", () => {});
  session.on("close", () => say({ kind: "gone", session: session.number }));
});
if (!http1Only) {
  server.removeAllListeners("stream"); // the listener for HTTP/1.1 brings one that answers too
  server.on("stream", onStream);
}
server.on("upgrade", (request, socket) => {
  say({ kind: "upgrade", path: request.url });
  const accept = createHash("sha1").update(`${request.headers["sec-websocket-key"]}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest("base64");
  socket.write(`HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`);
  socket.pipe(socket);
  socket.on("error", () => {});
});
server.listen(0, "127.0.0.1", () => say({ kind: "listening", port: server.address().port }));
// Whoever writes a byte is told when all that was said before has been read.
process.stdin.on("data", () => say({ kind: "settled" })).on("end", () => process.exit(0));
