// A gRPC server of @grpc/grpc-js on Node.js: answers what calls ask for in their metadata, and tells what it has seen.
// Runs as a process of its own, prints its port, and ends with its standard input. Its argument is JSON: `cert` and `key`
// are files for TLS; `fail` is the status of all unary calls, and `late` has them send fields before it.
import { readFileSync } from "node:fs";
import { Metadata, Server, ServerCredentials } from "@grpc/grpc-js";

if (process.versions.bun !== undefined) throw new Error("this must be Node.js itself");

const { cert, key, fail, late } = JSON.parse(process.argv[2] ?? "{}");

/** What has become of the calls so far. */
const seen = { calls: 0, cancelled: 0, written: 0, timeouts: [], fields: {}, peers: [] };

/** Messages are bytes as they are. */
const same = (bytes) => bytes;
const method = (name, requestStream, responseStream) => ({
  path: `/test.Echo/${name}`,
  requestStream,
  responseStream,
  requestSerialize: same,
  requestDeserialize: same,
  responseSerialize: same,
  responseDeserialize: same,
});
const service = {
  unary: method("Unary", false, false),
  collect: method("Collect", true, false),
  expand: method("Expand", false, true),
  chat: method("Chat", true, true),
  hold: method("Hold", false, true),
  repeat: method("Repeat", false, true),
  raw: method("Raw", false, false),
  seen: method("Seen", false, false),
};

function note(call) {
  seen.calls += 1;
  seen.fields = call.metadata.getMap();
  if (!seen.peers.includes(call.getPeer())) seen.peers.push(call.getPeer());
  const deadline = call.getDeadline();
  if (deadline !== Infinity) seen.timeouts.push(deadline.valueOf() - Date.now());
}

/** The error that the call asks for, or null. */
function wantedError(call) {
  const [code = fail] = call.metadata.get("x-fail");
  if (code === undefined) return null;
  const metadata = new Metadata();
  metadata.set("x-why", "asked-for");
  metadata.set("x-why-bin", Buffer.from([0, 1, 254, 255]));
  const [details] = call.metadata.get("x-details-bin");
  if (details !== undefined) metadata.set("grpc-status-details-bin", details);
  return { code: Number(code), details: "as you wish: 100 % grün", metadata };
}

/** Fields of the head and of the trailers, so that both are seen to pass. */
function greet(call) {
  const head = new Metadata();
  head.set("x-head", "h");
  call.sendMetadata(head);
  const trailers = new Metadata();
  trailers.set("x-tail", "t");
  return trailers;
}

const server = new Server({
  "grpc.max_receive_message_length": -1,
  "grpc.max_send_message_length": -1,
  "grpc.max_concurrent_streams": 1000,
});
server.addService(service, {
  unary(call, answer) {
    note(call);
    const error = wantedError(call);
    if (error !== null && late) greet(call);
    if (error !== null) return answer(error);
    answer(null, call.request, greet(call));
  },

  collect(call, answer) {
    note(call);
    let messages = 0;
    let bytes = 0;
    call.on("data", (message) => {
      messages += 1;
      bytes += message.length;
    });
    call.on("end", () => answer(wantedError(call), Buffer.from(`${messages} ${bytes}`), greet(call)));
  },

  /** `count size`: so many messages of that size. */
  async expand(call) {
    note(call);
    const [count, size] = call.request.toString().split(" ").map(Number);
    const trailers = greet(call);
    for (let i = 0; i < count && !call.cancelled; i += 1) {
      const message = Buffer.alloc(size, i & 255);
      seen.written += size;
      if (!call.write(message)) await new Promise((resolve) => call.once("drain", resolve));
    }
    const error = wantedError(call);
    if (error !== null) return call.emit("error", error);
    call.end(trailers);
  },

  /** The message again as often as `x-times` says. */
  async repeat(call) {
    note(call);
    const [times = 1] = call.metadata.get("x-times");
    for (let i = 0; i < Number(times) && !call.cancelled; i += 1) {
      if (!call.write(call.request)) await new Promise((resolve) => call.once("drain", resolve));
    }
    const error = wantedError(call);
    if (error !== null) return call.emit("error", error);
    call.end();
  },

  raw(call, answer) {
    note(call);
    answer(null, call.request);
  },

  chat(call) {
    note(call);
    const trailers = greet(call);
    call.on("data", (message) => {
      if (!call.write(message)) {
        call.pause();
        call.once("drain", () => call.resume());
      }
    });
    call.on("end", () => call.end(trailers));
  },

  /** Never ends by itself; `head` sends a message first. */
  hold(call) {
    note(call);
    call.on("cancelled", () => {
      seen.cancelled += 1;
    });
    if (call.request.toString() === "head") {
      greet(call);
      call.write(Buffer.from("begun"));
    }
  },

  seen(_call, answer) {
    answer(null, Buffer.from(JSON.stringify({ ...seen, rss: process.memoryUsage().rss })));
  },
});

const credentials =
  cert === undefined
    ? ServerCredentials.createInsecure()
    : ServerCredentials.createSsl(null, [{ cert_chain: readFileSync(cert), private_key: readFileSync(key) }]);
server.bindAsync("127.0.0.1:0", credentials, (error, port) => {
  if (error !== null) throw error;
  console.log(port);
});
process.stdin.on("end", () => process.exit(0)).resume();
