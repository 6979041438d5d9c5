// Usage: bun quic-client.ts SCENARIO PORT SECONDS — a closed loop over all streams of all connections, in HTTP/3.
// Prints what it saw as JSON. There is no such generator among Debian's packages; this one stands on node:quic.
import { connect, QuicEndpoint, type QuicSession } from "node:quic";
import type { Load } from "./results.ts";
import { HOST, SCENARIOS, streamFields } from "./scenario.ts";

const [name, port, seconds] = [process.argv[2], Number(process.argv[3]), Number(process.argv[4])];
const found = SCENARIOS.find((scenario) => scenario.name === name);
if (found?.kind !== "load" || !(port > 0) || !(seconds > 0))
  throw new Error("usage: quic-client.ts SCENARIO PORT SECONDS");
const scenario = found;
const headers = Object.fromEntries([
  [":method", scenario.method],
  [":scheme", "https"],
  [":authority", HOST],
  [":path", scenario.path],
  ...streamFields(scenario),
]);

const durations: number[] = [];
let bytes = 0;
let errors = 0;
let deadline = 0;

/** One stream after the other, until time is over. What is under way then is waited for, and counts. */
async function loop(session: QuicSession): Promise<void> {
  while (performance.now() < deadline) {
    const from = performance.now();
    const size = await ask(session);
    if (size < 0) errors += 1;
    else {
      durations.push(performance.now() - from);
      bytes += size;
    }
  }
}

/** @returns the size of the body, or -1 when the answer was no good one. */
async function ask(session: QuicSession): Promise<number> {
  let status = "";
  let size = 0;
  const onheaders = (fields: object) => {
    status = (fields as Readonly<Record<string, string>>)[":status"] ?? "";
  };
  const stream = await session.createBidirectionalStream({ headers, onheaders });
  for await (const batch of stream) for (const chunk of batch) size += chunk.length;
  return status === "200" ? size : -1;
}

const endpoint = new QuicEndpoint();
const sessions = await Promise.all(
  Array.from({ length: scenario.connections }, async () => {
    const options = { endpoint, servername: HOST, alpn: "h3", verifyPeer: "manual" } as const;
    const session = await connect(`127.0.0.1:${port}`, options);
    await session.opened;
    return session;
  }),
);
const begin = performance.now();
deadline = begin + seconds * 1000;
await Promise.all(sessions.flatMap((session) => Array.from({ length: scenario.streams }, () => loop(session))));
const elapsed = (performance.now() - begin) / 1000;
// Clients that are gone while they are sent to would have the kernel tell the proxy's socket of errors.
await Promise.all(sessions.map((session) => session.close()));
durations.sort((a, b) => a - b);
const at = (share: number) => durations[Math.floor(durations.length * share)] ?? 0;
const load: Load = { requests: durations.length, seconds: elapsed, bytes, errors, p50Ms: at(0.5), p99Ms: at(0.99) };
console.log(JSON.stringify(load));
process.exit(0);
