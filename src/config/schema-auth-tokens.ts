// What programs bring along to say who they are: `jwt`, `introspection`, `signature`.
import { z } from "zod";
import { byteCount, millis } from "../core/units.ts";
import { takesConsumers } from "./schema-auth-rules.ts";
import { duration, oneOrMany, size } from "./schema-values.ts";

const text = z.string().min(1);
const names = (what: string) => z.array(text).default([]).describe(what);

/** Signatures that only the holder of a private key can make. */
const ASYMMETRIC = [
  ...["ES256", "ES384", "ES512"],
  ...["RS256", "RS384", "RS512"],
  ...["PS256", "PS384", "PS512"],
  ...["EdDSA", "Ed25519"],
] as const;
const SYMMETRIC = ["HS256", "HS384", "HS512"] as const;

/** Where a token stands, and what is read out of its claims. */
const tokenFields = {
  header: text
    .optional()
    .describe("Name of the field that holds the token; `authorization` (scheme `Bearer`) where no place is named."),
  cookie: text.optional().describe("Name of the cookie that holds the token."),
  query: text.optional().describe("Name of the query parameter that holds the token."),
  forwardToken: z.boolean().default(true).describe("Lets servers see the token; else it is taken out of the request."),
  requireScopes: names("Scopes that the token has to have, all of them; 403 with `insufficient_scope` otherwise."),
  user: text.default("sub").describe("Claim that becomes `{user}`."),
  groups: text.default("groups").describe("Claim that holds the groups; dots lead into objects: `realm_access.roles`."),
  plan: text.optional().describe("Claim that holds the plan of a consumer, for quotas."),
};

const jwtIssuerSchema = z.strictObject({
  issuer: text
    .optional()
    .describe(
      "Who has to have issued the token (`iss`), exactly as written. Only with `keys`, `file` or `secret` it may be absent.",
    ),
  audience: z
    .union([z.literal(false), oneOrMany(text)])
    .describe("Whom the token has to be for (`aud`), one of these; `false` where its issuer names nobody."),
  jwks: text.optional().describe("Address of the issuer's keys (JWKS)."),
  discovery: z
    .boolean()
    .default(false)
    .describe("Finds the address of the keys in the issuer's `/.well-known/openid-configuration`."),
  keys: z
    .array(z.union([text, z.record(z.string(), z.unknown())]))
    .min(1)
    .optional()
    .describe("Public keys: JWKs, or PEM texts."),
  file: text.optional().describe("File with public keys: a JWKS, or PEM blocks. It is read when the configuration is."),
  secret: oneOrMany(text)
    .optional()
    .describe(
      "Secrets for HS256, HS384 and HS512, as text or `base64:…`, at least as long as the hash; several while one replaces another.",
    ),
  algorithms: z
    .array(z.enum([...ASYMMETRIC, ...SYMMETRIC]))
    .min(1)
    .optional()
    .describe("Algorithms that may have been used; all with public keys when absent, or all HMACs with `secret`."),
  type: text.optional().describe("What the token's header has to name as its type (`typ`), such as `at+jwt`."),
  leeway: duration.default(millis(60_000)).describe("How far clocks may differ; at most 10m."),
  insecureHttp: z
    .boolean()
    .default(false)
    .describe("Lets keys come over http:// from other machines, where whoever is in between can replace them."),
  ...tokenFields,
});

export const jwtSchema = oneOrMany(jwtIssuerSchema);

export const introspectionSchema = z.strictObject({
  endpoint: text.describe("Address that is asked about tokens (RFC 7662)."),
  clientId: text.describe("Name of this proxy at the authorization server."),
  clientSecret: text.describe("Its secret there."),
  clientAuth: z
    .enum(["basic", "post"])
    .default("basic")
    .describe("How the secret is sent: in `Authorization`, or in the form."),
  issuer: text.optional().describe("What `iss` has to be, where the answer has one."),
  audience: oneOrMany(text).optional().describe("Whom the token has to be for (`aud`), one of these."),
  timeout: duration.default(millis(5000)).describe("Without an answer by then the request gets 503."),
  cache: z
    .strictObject({
      ttl: duration.default(millis(60_000)).describe("How long a good token is believed, at most until it ends."),
      negativeTtl: duration.default(millis(5000)).describe("How long a bad one is refused without asking again."),
    })
    .prefault({})
    .describe("How long answers hold. A token that is revoked goes on for as long as `ttl`."),
  insecureHttp: z.boolean().default(false).describe("Lets tokens and secret go over http:// to another machine."),
  ...tokenFields,
});

export const SIGNATURE_ALGORITHMS = [
  "hmac-sha256",
  "ed25519",
  "ecdsa-p256-sha256",
  "ecdsa-p384-sha384",
  "rsa-pss-sha512",
  "rsa-v1_5-sha256",
] as const;

const signatureKeySchema = z.strictObject({
  id: text.describe("What signatures call the key (`keyid`)."),
  name: text.describe("Who it belongs to: what `{user}`, logs and limits show."),
  algorithm: z.enum(SIGNATURE_ALGORITHMS).describe("The one algorithm that it is for."),
  secret: text.optional().describe("The secret of `hmac-sha256`: text, or bytes as `base64:…`; at least 32 bytes."),
  publicKey: text.optional().describe("The public key, as PEM."),
  file: text.optional().describe("File with the public key, as PEM."),
  plan: text.optional().describe("The plan of its owner, for quotas."),
  scopes: names("What it is for."),
  groups: names("Groups that its owner is in."),
});

export const signatureSchema = z.strictObject({
  keys: z.array(signatureKeySchema).default([]).describe("Who signs with what."),
  consumers: takesConsumers("keys for signatures"),
  components: z
    .array(text)
    .min(1)
    .default(["@method", "@authority", "@path", "@query"])
    .describe("What has to be signed at least. `@target-uri` counts for all parts of the address."),
  body: z
    .enum(["signed", "unsigned"])
    .default("signed")
    .describe("`signed`: a request with a body needs a signed `Content-Digest`, and the body has to match it."),
  maxAge: duration.default(millis(300_000)).describe("How old a signature may be (`created`)."),
  leeway: duration.default(millis(30_000)).describe("How far clocks may differ."),
  nonce: z
    .enum(["optional", "required"])
    .default("optional")
    .describe("Whether a signature needs a `nonce`. One that is there is accepted once."),
  nonces: z
    .int()
    .min(100)
    .max(10_000_000)
    .default(100_000)
    .describe("Nonces that are remembered at a time, 16 bytes each; 503 where more are used within `maxAge`."),
  tag: text.optional().describe("The `tag` that a signature has to have; others are not looked at."),
  bodyBuffer: size
    .default(byteCount(65_536))
    .describe("Bodies up to this size are checked before anything is forwarded, longer ones while they pass."),
});

export type JwtConfig = z.output<typeof jwtSchema>;
export type JwtIssuerConfig = z.output<typeof jwtIssuerSchema>;
export type IntrospectionConfig = z.output<typeof introspectionSchema>;
export type SignatureConfig = z.output<typeof signatureSchema>;
export type SignatureKeyConfig = z.output<typeof signatureKeySchema>;
export type SignatureAlgorithm = (typeof SIGNATURE_ALGORITHMS)[number];
