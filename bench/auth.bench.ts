// What it costs to know who asks, over the same exchange without: `bun bench/auth.bench.ts`. A key is a digest of some
// forty bytes (100 ns), a look-up, a field that is found and one that is taken out, so that the rest goes out in two
// pieces: 1 µs in all, and fields of identity are looked for in the other twelve. A password that was right a moment
// ago costs a longer digest.
import { takeTurns, Way } from "./turns.ts";

const BUDGET = 2;
const KEY = "3q2-7wTq0fXk9bWcVb1mYzJdS5Ua6hRgLpN8eIoKxQ4";
const PASSWORD = `Basic ${Buffer.from("ann:correct horse battery staple").toString("base64")}`;

const key = `sha256:${new Bun.CryptoHasher("sha256").update(KEY).digest("hex")}`;
const hash = await Bun.password.hash("correct horse battery staple", { algorithm: "bcrypt", cost: 4 });
const told = { requestHeaders: { set: { "x-user": "{user}" } } };
const way = (name: string, policies: object, field = `X-Api-Key: ${KEY}`): Way =>
  new Way(name, BUDGET, policies, [field]);

await takeTurns([
  way("none", {}),
  way("apiKey", { auth: { apiKey: { keys: [{ name: "acme", key }] } } }),
  way("apiKey, kept", { auth: { apiKey: { keys: [{ name: "acme", key }], keep: true } } }),
  way("apiKey, told to the server", { auth: { apiKey: { keys: [{ name: "acme", key }] } }, ...told }),
  way("basic, remembered", { auth: { basic: { users: { ann: hash } } } }, `Authorization: ${PASSWORD}`),
]);
