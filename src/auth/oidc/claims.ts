// What of a provider's claims is kept in a session.
import type { ProviderConfig } from "../../config/schema-auth-oidc.ts";
import type { Claims } from "../../pipeline/identity.ts";
import { fetchJson } from "./outgoing.ts";

/** What rules, logs and servers usually look at. */
const KEPT = [
  "email",
  "email_verified",
  "name",
  "given_name",
  "family_name",
  "preferred_username",
  "locale",
  "roles",
  "tid",
  "hd",
];
/** Groups beyond this are a mistake of somebody. */
const GROUPS_MAX = 5000;

/** What came of signing in, or of a refresh. */
export interface Grant {
  readonly issuer: string;
  readonly subject: string;
  /** Claims of the ID token and of the provider's user info together; null where a refresh could not find them out. */
  readonly claims: Claims | null;
  readonly scopes: readonly string[];
  readonly accessToken: string;
  readonly refreshToken: string;
  readonly idToken: string;
  /** Seconds until the access token ends; 0 where that is not told. */
  readonly expiresInS: number;
}

export interface Person {
  readonly user: string;
  readonly groups: readonly string[];
  readonly claims: Claims;
}

/** What is kept of a grant. Null where nobody can be told apart by it, such as an address that is not verified. */
export function personOf(told: Claims, groups: readonly string[], config: ProviderConfig): Person | null {
  const user = told[config.user];
  if (typeof user !== "string" || user === "") return null;
  if (config.user === "email" && told.email_verified !== true) return null;
  const claims: Record<string, unknown> = {};
  for (const name of ["sub", ...KEPT, ...config.claims]) if (Object.hasOwn(told, name)) claims[name] = told[name];
  if (groups.length > 0) claims[config.groups] = groups;
  return { user, groups, claims };
}

const TENANT = "{tenantid}";

/**
 * Who has issued a token by its claims: what the provider calls itself, which for all tenants of Entra together
 * (`common`, `organizations`) names the tenant that the token is from.
 */
export function issuerIn(issuer: string, { tid }: Claims): string {
  const isTenant = typeof tid === "string" && /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(tid);
  return isTenant ? issuer.replace(TENANT, tid) : issuer;
}

/** The groups that the claims name, asked for at Microsoft's Graph where the provider has left them out. */
export async function groupsOf(claims: Claims, token: string, config: ProviderConfig): Promise<readonly string[]> {
  const told = textsOf(claims[config.groups]);
  if (told.length > 0 || !isOverage(claims, config.groups) || token === "") return told;
  // The address in `_claim_sources` is not asked: it is the provider's word on where to send a token.
  const answer = await fetchJson(`${config.graph}/me/getMemberObjects`, token, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ securityEnabledOnly: false }),
  });
  return textsOf((answer as { value?: unknown } | null)?.value);
}

/** Too many groups for a token: it says where they are instead (OpenID Connect Core section 5.6.2). */
function isOverage(claims: Claims, name: string): boolean {
  const names = claims._claim_names;
  return typeof names === "object" && names !== null && Object.hasOwn(names, name);
}

/** A list of texts, or one. */
export function textsOf(value: unknown): readonly string[] {
  if (typeof value === "string") return value === "" ? [] : [value];
  if (!Array.isArray(value)) return [];
  return value.filter((one): one is string => typeof one === "string" && one !== "").slice(0, GROUPS_MAX);
}
