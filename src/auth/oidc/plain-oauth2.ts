// Providers that know OAuth 2.0 but not OpenID Connect: who it is comes from an address of theirs, as JSON.
import type { ProviderConfig } from "../../config/schema-auth-oidc.ts";
import { textsOf } from "./claims.ts";
import { fetchJson } from "./outgoing.ts";

type Endpoints = NonNullable<ProviderConfig["oauth2"]>;

const GITHUB: Endpoints = {
  authorization: "https://github.com/login/oauth/authorize",
  token: "https://github.com/login/oauth/access_token",
  userinfo: "https://api.github.com/user",
  emails: "https://api.github.com/user/emails",
  groups: "https://api.github.com/user/orgs",
  subject: "id",
};

/** Null for a provider that knows OpenID Connect. */
export const plainEndpoints = ({ type, oauth2 }: ProviderConfig): Endpoints | null =>
  oauth2 ?? (type === "github" ? GITHUB : null);

export const plainScopes = ({ type }: ProviderConfig): readonly string[] =>
  type === "github" ? ["read:user", "user:email", "read:org"] : ["email"];

/** What there would be in an ID token. Rejects when the provider cannot be asked. */
export async function plainClaims(
  at: Endpoints,
  config: ProviderConfig,
  token: string,
): Promise<Record<string, unknown>> {
  const [user, emails, groups] = await Promise.all([
    fetchJson(at.userinfo, token),
    at.emails === undefined ? null : fetchJson(at.emails, token),
    at.groups === undefined ? null : fetchJson(at.groups, token),
  ]);
  const claims: Record<string, unknown> = { ...(isObject(user) ? user : {}) };
  const subject = claims[at.subject];
  if (typeof subject !== "string" && typeof subject !== "number")
    throw new Error(`no ${at.subject} in the user's data`);
  claims.sub = String(subject);
  if (claims.preferred_username === undefined && claims.login !== undefined) claims.preferred_username = claims.login;
  if (emails !== null) {
    // What the profile shows is what its owner has written there.
    delete claims.email;
    delete claims.email_verified;
    const primary = listOf(emails).find((one) => one.primary === true && one.verified === true);
    if (typeof primary?.email === "string") Object.assign(claims, { email: primary.email, email_verified: true });
  }
  if (groups !== null) claims[config.groups] = namesOf(groups);
  return claims;
}

const isObject = (value: unknown): value is Record<string, unknown> => typeof value === "object" && value !== null;
const listOf = (value: unknown): Record<string, unknown>[] => (Array.isArray(value) ? value.filter(isObject) : []);

const namesOf = (value: unknown): readonly string[] =>
  Array.isArray(value) ? textsOf(value.map((one) => (isObject(one) ? (one.login ?? one.name) : one))) : [];
