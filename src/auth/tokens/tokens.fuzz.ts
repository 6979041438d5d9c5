// What comes from outside never gets in by accident: a token or a signature that was changed anywhere is refused, and
// so is every set of keys that was made up. Nothing throws.
import { createHmac, generateKeyPairSync, sign } from "node:crypto";
import { signatureSchema } from "../../config/schema-auth-tokens.ts";
import { type Rng, runAlone } from "../../core/fuzz.testing.ts";
import { exchangeOf } from "../../pipeline/exchange.fixture.ts";
import { readJwt } from "./jwt-text.ts";
import { compileSignature } from "./signature/signature.ts";
import { strictObject } from "./strict-json.ts";
import { claimsAt, contextFor, ISSUER, isIdentity, jwtOf, START, TestShared } from "./tokens.testing.ts";
import { keysOfSet } from "./verification-key.ts";

const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.=+/ "\\,;:()@\t{}[]';

/** The text with a few changes: characters, pieces and parts of it. */
function mutated(rng: Rng, text: string): string {
  let changed = text;
  for (let left = 1 + rng.below(3); left > 0; left -= 1) {
    const at = rng.below(changed.length + 1);
    const length = rng.oneIn(4) ? rng.below(40) : rng.below(2);
    const piece = rng.pick(["", ALPHABET[rng.below(ALPHABET.length)]!, changed.slice(0, rng.below(30)), "."]);
    changed = changed.slice(0, at) + piece + changed.slice(at + length);
  }
  return changed;
}

const { publicKey, privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
const jwk = { ...publicKey.export({ format: "jwk" }), kid: "k" };
const encoded = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString("base64url");
const SIGNED = `${encoded({ alg: "ES256", kid: "k" })}.${encoded(claimsAt(START))}`;
const signature = sign("sha256", Buffer.from(SIGNED), { key: privateKey, dsaEncoding: "ieee-p1363" });
const TOKEN = `${SIGNED}.${signature.toString("base64url")}`;
const jwt = jwtOf({ issuer: ISSUER, audience: "api", keys: [jwk as Record<string, unknown>] }, new TestShared().shared);

/** Of a token that was changed, all that can be found out at once. */
export function tokenLaw(rng: Rng): void {
  const token = mutated(rng, TOKEN);
  const verdict = jwt.authenticate(exchangeOf({ headers: [["authorization", `Bearer ${token}`]] }));
  if (!(verdict instanceof Promise) && isIdentity(verdict)) throw new Error(`${token} is believed`);
  const text = readJwt(token);
  if (text !== null && strictObject(Buffer.from(JSON.stringify(text.claims))) === null) throw new Error(token);
}

/** The same with the signature verified, for as many as there is time for. */
export async function verifiedLaw(rng: Rng): Promise<void> {
  const token = mutated(rng, TOKEN);
  if (token.trimStart() === TOKEN) return;
  const verdict = await jwt.authenticate(exchangeOf({ headers: [["authorization", `Bearer ${token}`]] }));
  if (isIdentity(verdict)) throw new Error(`${token} is believed`);
}

const SET = JSON.stringify({ keys: [jwk, { kty: "RSA", n: "AQAB", e: "AQAB" }, { kty: "oct", k: "AAAA" }] });

/** A set of keys is a few keys that are good for signatures, or none. */
export function setLaw(rng: Rng): void {
  const set = strictObject(Buffer.from(mutated(rng, SET), "latin1"));
  for (const key of keysOfSet(set) ?? [])
    if (key.algorithms.length === 0 || key.algorithms.some((name) => name.startsWith("HS"))) throw new Error(key.text);
}

const SECRET = "0123456789abcdef0123456789abcdef";
const INPUT = `("@method" "@target-uri" "x-a";bs "x-d";key="b" "@query-param";name="q");created=${START / 1000};keyid="k"`;
const BASE = [
  ['"@method": GET', '"@target-uri": http://example.com/?q=1', '"x-a";bs: :Yg==:', '"x-d";key="b": 2'],
  ['"@query-param";name="q": 1', `"@signature-params": ${INPUT}`],
];
const hmac = createHmac("sha256", SECRET).update(BASE.flat().join("\n")).digest("base64");
const signatures = compileSignature(
  signatureSchema.parse({ keys: [{ id: "k", name: "acme", algorithm: "hmac-sha256", secret: SECRET }] }),
  contextFor(new TestShared().shared),
);
const judge = (fields: readonly (readonly [string, string])[], target: string) =>
  signatures.authenticate(exchangeOf({ headers: fields, target }));

/** A request that was changed in what was signed, or a signature that was, is refused. */
export function signatureLaw(rng: Rng): void {
  const fields: [string, string][] = [
    ["x-a", "b"],
    ["x-d", "a=1, b=2"],
    ["signature-input", `s=${INPUT}`],
    ["signature", `s=:${hmac}:`],
  ];
  const verdict = judge(fields, "/?q=1");
  if (verdict instanceof Promise || !isIdentity(verdict)) throw new Error("the signature itself is refused");
  const at = rng.below(4);
  const before = fields[at]![1];
  fields[at]![1] = mutated(rng, before).replace(/[^\x20-\x7e]/g, "");
  const after = judge(fields, rng.oneIn(8) ? "/?q=2" : "/?q=1");
  if (after instanceof Promise || !isIdentity(after)) return;
  // What can be written in several ways may have been: labels, spaces, members that nobody signed.
  const now = fields[at]![1];
  const same = (text: string): string => text.replace(/\s+/g, " ").trim();
  if (at === 0 && now.trim() !== before) throw new Error(`x-a: ${now} is believed`);
  if (at === 3 && !now.includes(hmac.slice(0, 42))) throw new Error(`signature: ${now} is believed`);
  if (at === 2 && !same(now).includes(`created=${START / 1000}`)) throw new Error(`input: ${now} is believed`);
}

if (import.meta.main) runAlone("tokens", (rng) => [tokenLaw, setLaw, signatureLaw][rng.below(3)]!(rng));
