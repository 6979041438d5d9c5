// `auth`: who asks. Each entry has one kind; a list means any of them.
import { z } from "zod";
import { millis } from "../core/units.ts";
import { oidcSchema } from "./schema-auth-oidc.ts";
import { allowSchema, consumersMode, requireSchema, takesConsumers } from "./schema-auth-rules.ts";
import { introspectionSchema, jwtSchema, signatureSchema } from "./schema-auth-tokens.ts";
import { duration, oneOrMany } from "./schema-values.ts";

const cacheTime = (text: string) => duration.default(millis(60_000)).describe(text);
const REMEMBERED = "How long a right password is remembered, as a keyed hash; `0s` checks each time.";

const basicSchema = z.strictObject({
  users: z
    .record(z.string(), z.string())
    .default({})
    .describe("Hashes of passwords by name, as `sluice hash-password` makes them: argon2 or bcrypt."),
  usersFile: z
    .string()
    .min(1)
    .optional()
    .describe("More of them in a file of `name:hash` lines, as `htpasswd -B` writes it; its changes are followed."),
  groups: z
    .record(z.string().min(1), z.array(z.string().min(1)).min(1))
    .default({})
    .describe("Names of users by group."),
  consumers: takesConsumers("names and passwords"),
  realm: z.string().default("Restricted").describe("What browsers show when they ask for a password."),
  cache: cacheTime(REMEMBERED),
  keep: z.boolean().default(false).describe("Lets servers see the password; otherwise `Authorization` is taken away."),
});

const apiKeySchema = z.strictObject({
  header: z
    .string()
    .min(1)
    .optional()
    .describe(
      "Name of the field that holds it; `x-api-key` where no place is named. In `authorization` it is a bearer token.",
    ),
  query: z.string().min(1).optional().describe("Name of the query parameter that holds it; it is not forwarded."),
  cookie: z.string().min(1).optional().describe("Name of the cookie that holds it."),
  keys: z
    .array(
      z.strictObject({
        name: z.string().min(1).describe("Who it belongs to: what `{user}`, logs and limits show."),
        key: z.string().describe("The hash of it, as `sluice hash-password --key` makes it: `sha256:…`."),
        plan: z.string().min(1).optional().describe("The plan of its owner, for quotas."),
        scopes: z.array(z.string().min(1)).default([]).describe("What it is for."),
        groups: z.array(z.string().min(1)).default([]).describe("Groups that its owner is in."),
        claims: z.record(z.string(), z.unknown()).default({}).describe("More about its owner, for `{claim.NAME}`."),
        expires: z.iso
          .datetime({ offset: true })
          .or(z.iso.date())
          .optional()
          .describe("When it ends: `2027-01-31`, or with a time, `2027-01-31T12:00:00Z`."),
      }),
    )
    .default([])
    .describe("The keys; of an owner there may be several."),
  consumers: takesConsumers("keys"),
  keep: z.boolean().default(false).describe("Lets servers see the key; otherwise it is taken out of the request."),
});

const ldapSchema = z.strictObject({
  url: z.string().describe("Address of the directory, such as `ldaps://ldap.example.com`."),
  startTls: z.boolean().default(false).describe("Begins TLS on a connection to `ldap://`."),
  insecure: z.boolean().default(false).describe("Lets passwords go over the network without TLS."),
  tls: z
    .strictObject({
      ca: z.string().min(1).optional().describe("File with the CA of the directory (PEM), in place of the usual ones."),
      verify: z.boolean().default(true).describe("Whether its certificate has to be right."),
    })
    .optional()
    .describe("How the directory proves who it is."),
  userDn: z.string().min(1).optional().describe("Name of a user, such as `uid={user},ou=people,dc=example,dc=com`."),
  base: z.string().min(1).optional().describe("Where users are searched for, in place of `userDn`."),
  filter: z.string().min(1).default("(uid={user})").describe("How they are found there; it has to find one."),
  bindDn: z.string().min(1).optional().describe("The account that searches; nobody's when absent."),
  bindPassword: z.string().min(1).optional().describe("Its password."),
  userAttribute: z.string().min(1).default("uid").describe("What the user is called here."),
  emailAttribute: z.string().min(1).default("mail").describe("Where the address is, for rules and `{claim.email}`."),
  groupsAttribute: z.string().min(1).optional().describe("Where the user's entry lists groups, such as `memberOf`."),
  groups: z
    .strictObject({
      base: z.string().min(1).describe("Where groups are searched for."),
      filter: z.string().min(1).default("(member={dn})").describe("How those of a user are found: `{dn}`, `{user}`."),
      attribute: z.string().min(1).default("cn").describe("What a group is called here."),
    })
    .optional()
    .describe("Groups that are entries of their own."),
  timeout: duration.default(millis(5000)).describe("How long a question may take; 503 after that."),
  realm: z.string().default("Restricted").describe("What browsers show when they ask for a password."),
  cache: cacheTime(REMEMBERED),
  keep: z.boolean().default(false).describe("Lets servers see the password; otherwise `Authorization` is taken away."),
});

const names = z.array(z.string().min(1)).min(1).optional();

const mtlsSchema = z.strictObject({
  subjects: names.describe("Names that certificates may have: `CN=robot` also fits `CN=robot,O=Example`."),
  sans: names.describe("Alternative names, as in `DNS:a.example` or `URI:spiffe://…`; one has to be there."),
  issuers: names.describe("Names of the CAs that may have issued them, written as in `subjects`."),
  fingerprints: names.describe("SHA-256 of the certificates, in hexadecimal."),
  consumers: takesConsumers("certificates"),
  user: z
    .enum(["subject", "cn", "san", "fingerprint"])
    .default("subject")
    .describe("What `{user}`, logs and limits show: the whole name, its CN, the first alternative name, the digest."),
});

const forwardSchema = z.strictObject({
  url: z
    .string()
    .describe(
      "Where to ask: a server that answers 2xx for those who may. The name of an upstream may stand for the host.",
    ),
  method: z.enum(["GET", "HEAD", "POST"]).default("GET").describe("How it is asked; it never gets the content."),
  headers: z
    .array(z.string().min(1))
    .optional()
    .describe("Fields of the request that it gets; all that are not about the connection or the content when absent."),
  copyHeaders: z
    .array(z.string().min(1))
    .default([])
    .describe("Fields of its answer that servers get; clients cannot send them."),
  answerHeaders: z
    .array(z.string().min(1))
    .default([])
    .describe("Fields of a refusal that clients get besides the usual ones."),
  userHeader: z
    .string()
    .min(1)
    .optional()
    .describe("Field of its answer that says who it is; the usual ones are tried when absent."),
  groupsHeader: z.string().min(1).optional().describe("Field that lists groups, with commas between them."),
  timeout: duration.default(millis(5000)).describe("How long it may take; 503 after that."),
  cache: duration
    .default(millis(0))
    .describe("How long a permission is remembered for the same address, method, client and `cacheKey`."),
  cacheKey: z
    .array(z.string().min(1))
    .min(1)
    .default(["authorization", "cookie"])
    .describe("Fields that a remembered permission depends on: all by which clients say who they are."),
});

const entrySchema = z.strictObject({
  basic: basicSchema.optional().describe("Names and passwords, which browsers ask for (HTTP Basic)."),
  apiKey: apiKeySchema.optional().describe("Keys of programs."),
  jwt: jwtSchema.optional().describe("Tokens that issuers have signed (JWT); a list for several issuers."),
  introspection: introspectionSchema.optional().describe("Tokens that an authorization server is asked about."),
  signature: signatureSchema.optional().describe("Requests that their senders have signed (RFC 9421)."),
  mtls: mtlsSchema.optional().describe("Certificates that listeners have verified (`tls.clientAuth`)."),
  forward: forwardSchema.optional().describe("Another server that is asked about each request."),
  oidc: oidcSchema.optional().describe("Single sign-on with a provider (OpenID Connect), for browsers."),
  ldap: ldapSchema.optional().describe("Names and passwords that a directory knows (LDAP)."),
  consumers: consumersMode,
  allow: allowSchema.optional(),
  require: requireSchema.optional(),
});

export const authSchema = oneOrMany(entrySchema);
export type AuthEntry = z.output<typeof entrySchema>;
export type BasicConfig = NonNullable<AuthEntry["basic"]>;
export type MtlsConfig = NonNullable<AuthEntry["mtls"]>;
export type ForwardConfig = NonNullable<AuthEntry["forward"]>;
export type LdapConfig = NonNullable<AuthEntry["ldap"]>;
export type ApiKeyConfig = NonNullable<AuthEntry["apiKey"]>;
