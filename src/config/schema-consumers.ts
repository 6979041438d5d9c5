// `consumers`: who uses an API, by name, with the credentials by which each of them is known. The admin API makes and
// changes more of them (control/admin-consumers.ts), with the same keys.
import { z } from "zod";
import { SIGNATURE_ALGORITHMS } from "./schema-auth-tokens.ts";
import { planLimitsSchema, planName } from "./schema-plans.ts";

/** Far more than anybody can keep apart; each of them is looked through when rules are. */
const GROUPS_MAX = 64;
/** Longer names are mistakes, and the log would cut them. */
const WORD_MAX = 100;
/** Old and new ones of several programs, and a few that nobody has tidied away. */
export const CREDENTIALS_MAX = 32;
/** What is known of a consumer beside his rights, as JSON: it is kept in memory for each of them. */
const CLAIMS_CHARS_MAX = 4096;
/** Issuers' URLs, subjects and names of certificates. */
const TEXT_MAX = 512;

/** It stands in fields, logs, keys of the state and URLs. */
export const consumerName = z
  .string()
  .regex(
    /^[A-Za-z0-9][A-Za-z0-9._@-]{0,99}$/,
    "a consumer's name has up to 100 letters, digits, ., _, @ and -, and begins with a letter or digit",
  );

const text = z.string().min(1).max(TEXT_MAX);
const words = z.array(z.string().min(1).max(WORD_MAX)).max(GROUPS_MAX);
const expires = z.iso.datetime({ offset: true }).or(z.iso.date());
const ENDS = "When it ends: `2027-01-31`, or with a time, `2027-01-31T12:00:00Z`.";

/** What is said of a consumer, here and in the admin API. */
export const consumerKeys = {
  groups: words.default([]).describe("Groups that the consumer is in, for `allow` and `require`."),
  scopes: words
    .default([])
    .describe("What the consumer's keys are for. Tokens that name scopes of their own have those instead."),
  plan: planName.optional().describe("The plan, for limits and quotas."),
  expires: expires.optional().describe(ENDS),
  disabled: z.boolean().default(false).describe("Refuses the consumer, with all credentials."),
  claims: z
    .record(z.string().min(1).max(WORD_MAX), z.unknown())
    .refine((claims) => JSON.stringify(claims).length <= CLAIMS_CHARS_MAX, `at most ${CLAIMS_CHARS_MAX} characters`)
    .default({})
    .describe("More about the consumer, for `{claim.NAME}` and rules."),
  limits: planLimitsSchema.optional().describe("Limits of this consumer, in place of those of the plan."),
};

const issuer = text.describe("Who issues the tokens (`iss`), exactly as written.");

const jwtCredential = z.strictObject({
  issuer,
  subject: text.describe("The token's `sub`."),
});

const oidcCredential = z
  .strictObject({
    issuer,
    subject: text.optional().describe("The `sub` of somebody who has signed in, or of a token."),
    clientId: text.optional().describe("The client that a token was issued to (`client_id`, or else `azp`)."),
  })
  .refine(({ subject, clientId }) => (subject === undefined) !== (clientId === undefined), {
    message: "name the `subject` or the `clientId`",
  });

const mtlsCredential = z
  .strictObject({
    subject: text.optional().describe("The whole name in the certificate, such as `CN=robot,O=Example`."),
    issuer: text
      .optional()
      .describe("The whole name of the CA that has to have issued it; any that is trusted without."),
    fingerprint: z
      .string()
      .regex(/^(?:[0-9A-Fa-f]{2}:?){31}[0-9A-Fa-f]{2}$/, "write the SHA-256 of the certificate: 64 hexadecimal digits")
      .optional()
      .describe("SHA-256 of the certificate, in place of its name."),
  })
  .refine(({ subject, fingerprint }) => (subject === undefined) !== (fingerprint === undefined), {
    message: "name the `subject` or the `fingerprint`",
  })
  .refine(({ issuer: ca, fingerprint }) => ca === undefined || fingerprint === undefined, {
    message: "a `fingerprint` is of one certificate, whoever issued it",
  });

const signatureCredential = z.strictObject({
  keyId: text.describe("What signatures call the key (`keyid`)."),
  algorithm: z.enum(SIGNATURE_ALGORITHMS).default("hmac-sha256").describe("The one algorithm that it is for."),
  secret: z
    .string()
    .max(TEXT_MAX)
    .optional()
    .describe("The secret of `hmac-sha256`: text, or bytes as `base64:…`; at least 32 bytes."),
  publicKey: z.string().max(8192).optional().describe("The public key of the other algorithms, as PEM."),
});

const basicCredential = z.strictObject({
  user: text
    .regex(/^[^:\x00-\x1f\x7f]+$/, "a name has no colon and no control characters (RFC 7617 section 2)")
    .describe("The name. It is also that of a user whom `basic` knows from its own lists."),
  password: z
    .string()
    .max(TEXT_MAX)
    .optional()
    .describe("Hash of the password, as `sluice hash-password` makes it: argon2 or bcrypt."),
});

/** The hash of a key. */
export const KEY_HASH = z
  .string()
  .regex(/^sha256:[0-9a-f]{64}$/, "write its hash, as `sluice hash-password --key` makes it: sha256:… (64 digits)");

/** What is said of every credential. */
export const credentialKeys = {
  name: z.string().min(1).max(WORD_MAX).optional().describe("What it is called, for people."),
  expires: expires.optional().describe(ENDS),
  scopes: words
    .optional()
    .describe(
      "What this one is for, in place of all the consumer's scopes; of a token's own, those that are named here.",
    ),
  disabled: z.boolean().default(false).describe("Refuses this credential."),
};

export const credentialKinds = {
  apiKey: KEY_HASH.optional().describe("A key, as its hash: `sluice hash-password --key` makes it (`sha256:…`)."),
  jwt: jwtCredential.optional().describe("The subject of tokens that `jwt` or `introspection` finds good."),
  oidc: oidcCredential
    .optional()
    .describe("Somebody who signs in with `oidc`, or a client to which its provider issues tokens."),
  signature: signatureCredential.optional().describe("A key that requests are signed with."),
  mtls: mtlsCredential.optional().describe("A certificate that a listener has verified."),
  basic: basicCredential.optional().describe("A name and a password."),
};

export type CredentialKind = keyof typeof credentialKinds;
const CREDENTIAL_KINDS = Object.keys(credentialKinds) as CredentialKind[];

/** Of an object with members by kind, those that are there. */
export const kindsIn = (credential: Readonly<Partial<Record<CredentialKind, unknown>>>): CredentialKind[] =>
  CREDENTIAL_KINDS.filter((kind) => credential[kind] !== undefined);

export const ONE_KIND = `a credential has one kind: ${CREDENTIAL_KINDS.join(", ")}`;

export const credentialSchema = z
  .strictObject({ ...credentialKeys, ...credentialKinds })
  .refine((credential) => kindsIn(credential).length === 1, ONE_KIND);

const consumerSchema = z.strictObject({
  ...consumerKeys,
  credentials: z
    .array(credentialSchema)
    .max(CREDENTIALS_MAX)
    .default([])
    .describe("How the consumer is known. The admin API can add more."),
});

export const consumersSchema = z
  .record(z.string(), consumerSchema)
  .superRefine((consumers, issue) => {
    // As names of the record the schema would say no more than that one is wrong.
    for (const name of Object.keys(consumers)) {
      const problem = consumerName.safeParse(name).error?.issues[0]?.message;
      if (problem !== undefined) issue.addIssue({ code: "custom", message: problem, path: [name] });
    }
  })
  .optional()
  .describe(
    "Who uses the API, by name: with credentials, groups, scopes, plan and limits. The admin API keeps more of them.",
  );

export type CredentialConfig = z.output<typeof credentialSchema>;
export type ConsumerConfig = z.output<typeof consumerSchema>;
export type ConsumersConfig = Readonly<Record<string, ConsumerConfig>>;
