// Usage: bun idle-client.ts PORT CONNECTIONS — opens them, one request on each, and keeps them open.
// Prints how many are open once all have been served, and again for every line on stdin. Ends with stdin.
import { createInterface } from "node:readline";
import { SMALL_BODY } from "./backend.ts";
import { HOST, requestHead, SCENARIOS } from "./scenario.ts";

/** How many may be connecting or waiting for their answer at a time: above any listen queue they would only retry. */
const AT_A_TIME = 64;

const [port, connections] = process.argv.slice(2).map(Number);
if (!port || !connections) throw new Error("usage: bun idle-client.ts PORT CONNECTIONS");
const small = SCENARIOS.find((scenario) => scenario.name === "small");
if (small?.kind !== "load") throw new Error(`no such scenario at ${HOST}`);
const request = requestHead(small);

let open = 0;
let started = 0;
let reported = false;

function next(): void {
  if (started < connections!) {
    started += 1;
    void connect();
  } else if (open === connections && !reported) {
    reported = true;
    console.log(open);
  }
}

async function connect(): Promise<void> {
  await Bun.connect({
    hostname: "127.0.0.1",
    port: port!,
    data: { answer: "", served: false },
    socket: {
      open: (socket) => void socket.write(request),
      data(socket, bytes) {
        if (socket.data.served) return;
        socket.data.answer += bytes.toString("latin1");
        if (!socket.data.answer.endsWith(SMALL_BODY)) return;
        if (!socket.data.answer.startsWith("HTTP/1.1 200 ")) throw new Error(socket.data.answer);
        socket.data.served = true;
        socket.data.answer = "";
        open += 1;
        next();
      },
      close(socket) {
        if (!socket.data.served) throw new Error("a connection was closed before its answer was complete");
        open -= 1;
      },
    },
  });
}

for (let index = 0; index < AT_A_TIME; index += 1) next();
const lines = createInterface({ input: process.stdin });
lines.on("line", () => console.log(open));
lines.on("close", () => process.exit(0));
