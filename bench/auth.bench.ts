// What it costs to know who asks, over the same exchange without: `bun bench/auth.bench.ts`. A key is a digest of some
// forty bytes (100 ns), a look-up, a field that is found and one that is taken out, so that the rest goes out in two
// pieces: 1 µs in all, and fields of identity are looked for in the other twelve. A password that was right a moment
// ago costs a longer digest. The ways take turns, so that a busy machine slows all of them alike.
import { BROWSER_FIELDS } from "./heads.ts";
import { InProcess } from "./in-process.ts";

const ROUNDS = 15;
const CALLS = 20_000;
const BUDGET = 2;

const ANSWER = Buffer.from("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 7\r\n\r\ncontent");
const KEY = "3q2-7wTq0fXk9bWcVb1mYzJdS5Ua6hRgLpN8eIoKxQ4";
const PASSWORD = `Basic ${Buffer.from("ann:correct horse battery staple").toString("base64")}`;

interface Way {
  readonly name: string;
  readonly worker: InProcess;
  readonly request: Buffer;
  readonly micros: number[];
}

function way(name: string, policies: object, fields: readonly string[]): Way {
  const head = ["GET /index.html HTTP/1.1", "Host: 127.0.0.1:8080", ...BROWSER_FIELDS, ...fields, "", ""].join("\r\n");
  return { name, worker: new InProcess(1, {}, policies), request: Buffer.from(head), micros: [] };
}

function exchange({ worker, request }: Way): void {
  worker.ask(request);
  worker.answer(ANSWER);
}

const key = `sha256:${new Bun.CryptoHasher("sha256").update(KEY).digest("hex")}`;
const hash = await Bun.password.hash("correct horse battery staple", { algorithm: "bcrypt", cost: 4 });
const told = { requestHeaders: { set: { "x-user": "{user}" } } };
const fields = [`X-Api-Key: ${KEY}`];
const ways = [
  way("none", {}, fields),
  way("apiKey", { auth: { apiKey: { keys: [{ name: "acme", key }] } } }, fields),
  way("apiKey, kept", { auth: { apiKey: { keys: [{ name: "acme", key }], keep: true } } }, fields),
  way("apiKey, told to the server", { auth: { apiKey: { keys: [{ name: "acme", key }] } }, ...told }, fields),
  way("basic, remembered", { auth: { basic: { users: { ann: hash } } } }, [`Authorization: ${PASSWORD}`]),
];

for (const each of ways) {
  each.worker.ask(each.request);
  await Bun.sleep(200); // the first check of a password
  each.worker.answer(ANSWER);
  if (!each.worker.sentBy(() => exchange(each)).endsWith("content")) throw new Error(`${each.name} does not work`);
}
for (let round = 0; round < ROUNDS; round += 1)
  for (const each of ways) {
    const before = process.cpuUsage();
    for (let i = 0; i < CALLS; i += 1) exchange(each);
    const { user, system } = process.cpuUsage(before);
    each.micros.push((user + system) / CALLS);
  }
const median = ({ micros }: Way): number => micros.toSorted((a, b) => a - b)[micros.length >> 1]!;
const none = median(ways[0]!);
for (const each of ways.slice(1)) {
  const more = median(each) - none;
  const verdict = more > BUDGET ? "over the budget" : "within the budget";
  console.log(`${each.name}: +${more.toFixed(2)} µs over ${none.toFixed(2)} µs, ${verdict} of ${BUDGET} µs`);
}
