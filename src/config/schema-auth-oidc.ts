// `oidc`: single sign-on with OpenID Connect, and with providers that only know OAuth 2.0.
import { z } from "zod";
import { millis } from "../core/units.ts";
import { allowSchema, requireSchema } from "./schema-auth-rules.ts";
import { duration, oneOrMany } from "./schema-values.ts";

const text = z.string().min(1);
const COOKIE_NAME = /^[A-Za-z0-9_-]{1,40}$/;
/** A name is part of a path, which has to be registered at the provider. */
const PROVIDER_NAME = /^[A-Za-z0-9_-]{1,40}$/;

/** Tokens and codes pass to these addresses: only this machine may be asked without TLS. */
function isSafeUrl(value: string): boolean {
  const url = URL.parse(value);
  if (url === null || url.username !== "" || url.password !== "" || url.hash !== "") return false;
  if (url.protocol === "https:") return true;
  return url.protocol === "http:" && /^(?:(?:[a-z0-9-]+\.)*localhost|127\.0\.0\.1|\[::1\])$/.test(url.hostname);
}
const safeUrl = z.string().refine(isSafeUrl, "write an address with https:// (http:// is for this machine alone)");

const isOrigin = (value: string): boolean => URL.parse(value)?.origin === value && isSafeUrl(value);
const origin = z.string().refine(isOrigin, "write an origin such as https://app.example.com, without a path");

const oauth2Schema = z.strictObject({
  authorization: safeUrl.describe("Address that browsers are sent to."),
  token: safeUrl.describe("Address at which codes become tokens."),
  userinfo: safeUrl.describe("Address that says who it is, as JSON."),
  emails: safeUrl.optional().describe("Address with a list of `{ email, primary, verified }`, as GitHub has one."),
  groups: safeUrl.optional().describe("Address with a list of groups: texts, or objects with `login` or `name`."),
  subject: text.default("id").describe("Member of the user's data that never changes."),
});

const providerFields = {
  issuer: safeUrl.optional().describe("The provider, as it calls itself; the rest is found out from there."),
  type: z
    .enum(["github"])
    .optional()
    .describe("`github` for its OAuth 2.0, in place of `issuer`; organisations become groups."),
  oauth2: oauth2Schema.optional().describe("Addresses of a provider that knows OAuth 2.0 only, in place of `issuer`."),
  clientId: text.describe("What the provider calls this client."),
  clientSecret: text.optional().describe("The client's secret; absent for public clients."),
  clientAuth: z
    .enum(["basic", "post"])
    .default("basic")
    .describe("How the secret is sent: in `Authorization`, or in the form."),
  scopes: z
    .array(text)
    .min(1)
    .optional()
    .describe(
      "Scopes to ask for; `[openid, email, profile]` when absent. `offline_access` often brings refresh tokens.",
    ),
  parameters: z
    .record(text, z.string())
    .default({})
    .describe("More parameters for the provider's login page, such as `prompt` or `domain_hint`."),
  user: text.default("sub").describe("Claim that becomes `{user}`. With `email` it has to be verified."),
  groups: text.default("groups").describe("Claim that holds the groups."),
  claims: z
    .array(text)
    .default([])
    .describe("More claims to keep, for rules and `{claim.NAME}`, beside the usual few."),
  graph: safeUrl
    .default("https://graph.microsoft.com/v1.0")
    .describe("Where groups are asked for when Microsoft leaves them out because they are too many."),
  title: text.max(60).optional().describe("What the page shows on which one of several is chosen."),
};

const providerSchema = z.strictObject(providerFields).refine(hasOneKind, "name one of `issuer`, `type` and `oauth2`");

function hasOneKind({ issuer, type, oauth2 }: { issuer?: unknown; type?: unknown; oauth2?: unknown }): boolean {
  return [issuer, type, oauth2].filter((one) => one !== undefined).length === 1;
}

const sessionSchema = z
  .strictObject({
    store: z
      .enum(["cookie", "state"])
      .default("cookie")
      .describe("`cookie` keeps sessions in encrypted cookies, `state` in `cluster.redis` or else in `storage`."),
    idle: duration.default(millis(28_800_000)).describe("A session ends after this long without a request."),
    absolute: duration.default(millis(604_800_000)).describe("A session ends after this long in any case."),
    tunnel: duration.optional().describe("WebSockets are closed after this long, also where the session goes on."),
    domain: z
      .string()
      .regex(/^[a-z0-9-]+(?:\.[a-z0-9-]+)+$/, "write a domain such as example.com")
      .optional()
      .describe("Sends the session's cookie to all hosts of this domain; without it, to one host alone."),
    cookie: z
      .string()
      .regex(COOKIE_NAME, "a name of letters, digits, - and _ was expected")
      .default("sluice")
      .describe("Begins the names of cookies."),
    authHost: z
      .string()
      .regex(/^[a-z0-9.-]+(?::\d+)?$/, "write a host such as login.example.com")
      .optional()
      .describe("Signs in at this host alone, also for other hosts, of other domains too."),
    returnTo: z
      .array(origin)
      .default([])
      .describe("Other origins that a login or logout may lead to; with `authHost`, those that it signs in for."),
  })
  .prefault({});

const pagesSchema = z
  .strictObject({
    title: text.max(80).default("Sign in").describe("Heading of the page to sign in."),
    logo: z
      .string()
      .regex(/^(?:https:\/\/|data:image\/)[!-~]+$/, "write an https:// or data:image/ address")
      .refine(
        (value) => !/["'<>;,\s]/.test(value.replace(/^data:[^,]*,/, "")),
        "it holds characters that no address has",
      )
      .optional()
      .describe("Address of an image, https: or data:."),
    color: z
      .string()
      .regex(/^#[0-9a-fA-F]{6}$/, "write a colour like #0a5ad7")
      .default("#0a5ad7")
      .describe("Colour of links and buttons."),
    note: z.string().max(400).default("").describe("A sentence below, such as whom to ask."),
  })
  .prefault({});

const NAMED = "name one provider (`issuer`, `type` or `oauth2`, with `clientId`), or several in `providers`";

export const oidcSchema = z
  .strictObject({
    ...providerFields,
    clientId: providerFields.clientId.optional(),
    name: z
      .string()
      .regex(PROVIDER_NAME, "a name of letters, digits, - and _ was expected")
      .default("default")
      .describe("Name of the provider in its callback, `/.auth/callback/NAME`."),
    providers: z
      .record(z.string().regex(PROVIDER_NAME, "a name of letters, digits, - and _ was expected"), providerSchema)
      .optional()
      .describe("Several providers by name; who signs in chooses."),
    cookieSecret: oneOrMany(z.string().min(32, "a secret has at least 32 characters"))
      .optional()
      .describe(
        "Encrypts sessions; of several the first, and all are read. Without it they end with the process, and are for one machine.",
      ),
    allow: allowSchema.optional(),
    require: requireSchema.optional(),
    session: sessionSchema.describe("Where sessions are and how long they last."),
    pages: pagesSchema.describe("How the pages look."),
  })
  .refine(
    (config) => (config.providers === undefined ? hasOneKind(config) && config.clientId !== undefined : true),
    NAMED,
  )
  .refine(
    ({ providers, issuer, type, oauth2, clientId }) =>
      providers === undefined ||
      (Object.keys(providers).length > 0 && [issuer, type, oauth2, clientId].every((one) => one === undefined)),
    NAMED,
  );

export type OidcConfig = z.output<typeof oidcSchema>;
export type ProviderConfig = z.output<typeof providerSchema>;
export type SessionConfig = OidcConfig["session"];
export type PagesConfig = OidcConfig["pages"];
