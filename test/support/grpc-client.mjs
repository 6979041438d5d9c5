// A gRPC client of @grpc/grpc-js on Node.js. Reads one call after the other from its standard input, each a line of JSON,
// and writes what became of it as another. Its arguments are the address and, for TLS, the file of the CA.
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { Client, credentials, Metadata } from "@grpc/grpc-js";

if (process.versions.bun !== undefined) throw new Error("this must be Node.js itself");

const [, , address, ca] = process.argv;
const client = new Client(
  address,
  ca === undefined ? credentials.createInsecure() : credentials.createSsl(readFileSync(ca)),
  {
    "grpc.max_receive_message_length": -1,
    "grpc.max_send_message_length": -1,
    "grpc.enable_retries": 0,
    // Back at once when the proxy was away.
    "grpc.initial_reconnect_backoff_ms": 50,
    ...(ca === undefined ? {} : { "grpc.ssl_target_name_override": "localhost" }),
  },
);

const same = (bytes) => bytes;

/**
 * One call. `kind` is unary, client, server or bidi; `send` a text, or `[count, size]` for so many messages; `deadline`
 * and `cancel` (after so many messages have come; 0 for at once) end it early; `pause` follows each message.
 */
function make({ kind, path, send = "", metadata = {}, deadline, cancel, pause = 0 }) {
  let resolve;
  const promise = new Promise((settle) => {
    resolve = settle;
  });
  const fields = new Metadata();
  for (const [name, value] of Object.entries(metadata)) fields.set(name, value);
  const options = deadline === undefined ? {} : { deadline: Date.now() + deadline };
  const began = performance.now();
  const got = { code: -1, details: "", messages: 0, bytes: 0, text: "", head: {}, trailers: {}, ms: 0 };
  const hash = createHash("sha256");
  let call;
  const take = (message) => {
    got.messages += 1;
    got.bytes += message.length;
    hash.update(message);
    if (got.messages <= 10) got.text += message.subarray(0, 16_384).toString();
    if (cancel !== undefined && got.messages === cancel) call.cancel();
  };
  const answered = (_error, message) => message && take(message);
  if (kind === "unary") call = client.makeUnaryRequest(path, same, same, bytesOf(send), fields, options, answered);
  else if (kind === "client") call = client.makeClientStreamRequest(path, same, same, fields, options, answered);
  else if (kind === "server") call = client.makeServerStreamRequest(path, same, same, bytesOf(send), fields, options);
  else call = client.makeBidiStreamRequest(path, same, same, fields, options);
  if (kind === "server" || kind === "bidi") call.on("data", take);
  call.on("error", () => {});
  call.on("metadata", (head) => {
    got.head = readable(head);
  });
  call.on("status", ({ code, details, metadata: trailers }) => {
    // What was sent before the status may still be on its way to `take`.
    setImmediate(() => {
      got.ms = performance.now() - began;
      resolve({ ...got, code, details, trailers: readable(trailers), hash: hash.digest("hex") });
    });
  });
  if (kind === "client" || kind === "bidi") void write(call, send, pause);
  if (cancel === 0) call.cancel();
  return promise;
}

const bytesOf = (send) => (typeof send === "string" ? Buffer.from(send) : Buffer.alloc(send[1], 0x61));

async function write(call, [count, size], pause) {
  for (let i = 0; i < count; i += 1) {
    if (!call.write(Buffer.alloc(size, i & 255))) await new Promise((drained) => call.once("drain", drained));
    if (pause > 0) await new Promise((over) => setTimeout(over, pause));
  }
  call.end();
}

/** Values as text, binary ones in hexadecimal. */
const readable = (metadata) =>
  Object.fromEntries(
    Object.entries(metadata.getMap()).map(([name, value]) => [name, Buffer.isBuffer(value) ? value.toString("hex") : value]),
  );

/** `times` calls, `atOnce` of them at a time: how many ended with which code. */
async function many({ times, atOnce, ...call }) {
  const codes = {};
  let wrong = 0;
  let next = 0;
  const worker = async () => {
    while (next < times) {
      const text = `call ${next}`;
      next += 1;
      const { code, text: got } = await make({ ...call, send: text });
      codes[code] = (codes[code] ?? 0) + 1;
      if (code === 0 && got !== text) wrong += 1;
    }
  };
  await Promise.all(Array.from({ length: atOnce }, worker));
  return { codes, wrong };
}

for await (const line of createInterface({ input: process.stdin })) {
  const asked = JSON.parse(line);
  const { id } = asked;
  void (asked.times === undefined ? make(asked) : many(asked)).then((got) => console.log(JSON.stringify({ id, ...got })));
}
process.exit(0);
