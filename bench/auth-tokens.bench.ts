// What a token costs a request, over the same exchange without: `bun bench/auth-tokens.bench.ts`. One that is known is a
// field that becomes text (some 700 bytes), a hash over it, a look-up and a comparison: 1 µs. A signature is verified
// each time: its text is put together and hashed, 7 µs with HMAC.
import { createHmac } from "node:crypto";
import { claimsAt, ISSUER, sign, signer } from "../src/auth/tokens/tokens.testing.ts";
import { takeTurns, Way } from "./turns.ts";

const TOKEN_BUDGET = 3;
const SIGNATURE_BUDGET = 15;
const SECRET = "0123456789abcdef0123456789abcdef";

// The clock of such a worker stands at 1970.
const by = await signer("key-1");
const claims = { email: "ann@example.com", groups: ["staff", "admins"], scope: "read write", padding: "x".repeat(300) };
const token = await sign(by, claimsAt(0, claims));
const bearer = [`Authorization: Bearer ${token}`];
const jwt = { issuer: ISSUER, audience: "api", keys: [by.jwk] };

const input = `("@method" "@authority" "@path" "@query");created=0;keyid="k"`;
const lines = ['"@method": GET', '"@authority": 127.0.0.1:8080', '"@path": /index.html', '"@query": ?'];
const base = [...lines, `"@signature-params": ${input}`].join("\n");
const mac = createHmac("sha256", SECRET).update(base).digest("base64");
const signed = [`Signature-Input: s=${input}`, `Signature: s=:${mac}:`];
const keys = [{ id: "k", name: "acme", algorithm: "hmac-sha256", secret: SECRET }];

console.log(`a token of ${token.length} bytes`);
await takeTurns([
  new Way("none", 0, {}, bearer),
  new Way("jwt, ES256, known", TOKEN_BUDGET, { auth: { jwt } }, bearer),
  new Way("jwt, with scopes", TOKEN_BUDGET, { auth: { jwt: { ...jwt, requireScopes: ["read", "write"] } } }, bearer),
  new Way("jwt, not forwarded", TOKEN_BUDGET, { auth: { jwt: { ...jwt, forwardToken: false } } }, bearer),
]);
await takeTurns([
  new Way("none", 0, {}, signed),
  new Way("signature, HMAC", SIGNATURE_BUDGET, { auth: { signature: { keys } } }, signed),
]);
