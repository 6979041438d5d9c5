// What one keep-alive exchange costs Sluice's own code: two parsed heads, two written ones, routing, bookkeeping; no
// sockets and no system calls. Sketch: 640 bytes in and 160 bytes back at about 1.2 ns a byte for checking and copying
// are 1 µs; some forty calls into the runtime (slices, copies, clocks) at 20 to 40 ns are another. Over 3 µs something
// allocates per field.
//
// With more than one server it shows what the choice among them costs: `bun bench/exchange.bench.ts --servers 1000
// --balance p2c`.
import { parseArgs } from "node:util";
import { BROWSER_FIELDS } from "./heads.ts";
import { InProcess, microsOf } from "./in-process.ts";

const { values } = parseArgs({
  options: {
    rounds: { type: "string", default: "9" },
    servers: { type: "string", default: "1" },
    balance: { type: "string", default: "round-robin" },
  },
});
const SERVERS = Number(values.servers);
const BROWSER = ["GET /index.html HTTP/1.1", "Host: 127.0.0.1:8080", ...BROWSER_FIELDS, "", ""].join("\r\n");
const ANSWER =
  "HTTP/1.1 200 OK\r\nServer: nginx/1.22.1\r\nDate: Mon, 23 Nov 2026 12:00:00 GMT\r\nContent-Type: text/plain\r\nContent-Length: 34\r\nConnection: keep-alive\r\n\r\nhello, this is 34 bytes of content";

const worker = new InProcess(SERVERS, { balance: values.balance });
const request = Buffer.from(BROWSER);
const answer = Buffer.from(ANSWER);

function exchange(): void {
  worker.ask(request);
  worker.answer(answer);
}

if (!worker.sentBy(exchange).endsWith("content")) throw new Error("the exchange does not work");
const { median, best } = microsOf(exchange, Number(values.rounds));
const what = SERVERS === 1 ? "exchange" : `exchange, ${SERVERS} servers, ${values.balance}`;
console.log(`${what}: ${median.toFixed(2)} µs (best ${best.toFixed(2)}), budget 3 µs`);
