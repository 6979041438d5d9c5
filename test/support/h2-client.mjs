// A client of Node.js that speaks HTTP/2, as an independent opinion. Runs as a process of its own: its argument is where
// it connects to, each line of its standard input a request, each line of its output an answer.
import { connect } from "node:http2";
import { createInterface } from "node:readline";

if (process.versions.bun !== undefined) throw new Error("this must be Node.js itself");

const say = (message) => process.stdout.write(`${JSON.stringify(message)}\n`);
const session = connect(process.argv[2], { rejectUnauthorized: false });
session.on("connect", () => say({ kind: "connected", protocol: session.alpnProtocol }));
session.on("goaway", (code) => say({ kind: "goaway", code }));
session.on("error", (error) => say({ kind: "error", text: error.message }));
session.on("close", () => say({ kind: "closed" }));

createInterface({ input: process.stdin })
  .on("line", (line) => {
    const { id, path, method, body, fields } = JSON.parse(line);
    const stream = session.request({ ":path": path, ":method": method, ...fields }, { endStream: body === "" });
    const answer = { kind: "answer", id, status: 0, body: "", trailers: {}, error: "" };
    const pieces = [];
    stream.on("response", (head) => {
      answer.status = head[":status"];
    });
    stream.on("trailers", (fields) => {
      answer.trailers = { ...fields };
    });
    stream.on("data", (piece) => pieces.push(piece));
    stream.on("error", (error) => {
      answer.error = error.message;
    });
    stream.on("close", () => say({ ...answer, body: Buffer.concat(pieces).toString("latin1") }));
    if (body !== "") stream.end(body);
  })
  .on("close", () => session.destroy());
