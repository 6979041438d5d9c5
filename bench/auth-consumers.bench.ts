// What it costs to find the consumer of a key, over a key that stands in the route: both are a digest and a look into a
// map; of a consumer two more loads show whether anything about him has changed, and the answer's head is looked at for
// streams. `bun bench/auth-consumers.bench.ts`.
import { Consumers } from "../src/auth/consumers/consumers.ts";
import { consumerEntry, credentialEntry } from "../src/auth/consumers/entries.ts";
import { TableWriter } from "../src/auth/consumers/table-writer.ts";
import { UNSHARED } from "../src/pipeline/shared.ts";
import { takeTurns, Way } from "./turns.ts";

const BUDGET = 3;
const KEY = "slc_3q2-7wTq0fXk9bWcVb1mYzJdS5Ua6hRgLpN8eIoKxQ4";
const PASSWORD = `Basic ${Buffer.from("ann:correct horse battery staple").toString("base64")}`;

const key = `sha256:${new Bun.CryptoHasher("sha256").update(KEY).digest("hex")}`;
const hash = await Bun.password.hash("correct horse battery staple", { algorithm: "bcrypt", cost: 4 });
const consumers = {
  acme: { plan: "gold", credentials: [{ apiKey: key }, { basic: { user: "ann", password: hash } }] },
};
const plans = { gold: {} };
const way = (name: string, auth: object, field = `X-Api-Key: ${KEY}`): Way =>
  new Way(name, BUDGET, { auth }, [field], { consumers, plans });

await takeTurns([
  way("apiKey", { apiKey: { keys: [{ name: "acme", key }] } }),
  way("apiKey of a consumer", { apiKey: { consumers: true } }),
  way("basic, remembered", { basic: { users: { ann: hash } } }, `Authorization: ${PASSWORD}`),
  way("basic of a consumer, remembered", { basic: { consumers: true } }, `Authorization: ${PASSWORD}`),
]);

// Of the admin API's hundred thousand, as a worker finds one: by what it has at hand, and by what lies in the table.
const MANY = 100_000;
const writer = new TableWriter(() => {});
const keyOf = (i: number): Buffer => new Bun.CryptoHasher("sha256").update(`key ${i}`).digest();
for (let i = 0; i < MANY; i += 1) {
  const settings = { groups: ["partners"], scopes: ["read"], plan: "gold", disabled: false, claims: { tenant: i } };
  const credential = credentialEntry("a", { disabled: false, apiKey: `sha256:${keyOf(i).toString("hex")}` });
  writer.put(consumerEntry(`consumer-${i}`, settings), [credential]);
}
const all = new Consumers(undefined, {
  ...UNSHARED,
  live: (_name, read) => ({ current: read(writer.memory) }),
  wallNow: Date.now,
});
const map = new Map([[keyOf(7).latin1Slice(), { endsAt: Number.POSITIVE_INFINITY }]]);
const digests = Array.from({ length: MANY }, (_, i) => keyOf(i));
let found = 0;
const measure = (name: string, count: number, one: (i: number) => unknown): void => {
  const start = process.cpuUsage();
  for (let i = 0; i < count; i += 1) if (one(i) !== undefined) found += 1;
  const { user, system } = process.cpuUsage(start);
  console.log(`${name}: ${(((user + system) * 1000) / count).toFixed(0)} ns`);
};
const one = digests[7]!;
for (let round = 0; round < 2; round += 1) {
  const now = Date.now();
  measure("a look into a map", 2_000_000, () => map.get(one.latin1Slice(0, 32))!.endsAt > now);
  measure("the same consumer again", 2_000_000, () => all.ofKey(one));
  measure("another consumer each time, of 100,000", MANY, (i) => all.ofKey(digests[i]!));
}
if (found === 0) throw new Error("nobody was found");
