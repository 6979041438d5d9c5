// Who has signed in, or whose key it is: one shape, whatever way it was found out. Limits, logs, templates and plugins
// read it; a route's `auth` writes it.

import type { PlanLimits } from "../core/plan-limits.ts";

/** The ways in which a request can say who it is. */
export type IdentityKind =
  | "basic"
  | "apiKey"
  | "jwt"
  | "introspection"
  | "signature"
  | "mtls"
  | "forward"
  | "ldap"
  | "oidc";

/** A value of a claim, as JSON has it. */
export type Claims = Readonly<Record<string, unknown>>;

export interface Identity {
  readonly kind: IdentityKind;
  /**
   * The name of the user, key or machine, never empty, unique within `issuer`: what `{user}`, the log and limits with
   * the key `user` show.
   */
  readonly user: string;
  /** Who vouches for it: an issuer's URL, or the name of a list of the configuration; "" where there is one alone. */
  readonly issuer: string;
  readonly groups: readonly string[];
  readonly scopes: readonly string[];
  /** The plan of the consumer; "" for none. */
  readonly plan: string;
  /** The name of the consumer whose credentials these are; "" for somebody who is none. */
  readonly consumer: string;
  /** What this consumer may do in place of what its plan says; null where it has nothing of its own. */
  readonly limits: PlanLimits | null;
  readonly claims: Claims;
}

export const NO_CLAIMS: Claims = Object.freeze({});

/** A claim as text for templates and fields: lists joined by commas, objects as JSON, "" where it is absent. */
export function claimText(identity: Identity | null, name: string): string {
  if (identity === null || !Object.hasOwn(identity.claims, name)) return "";
  const value = identity.claims[name];
  if (typeof value === "string") return value;
  if (value === null || value === undefined) return "";
  if (Array.isArray(value) && value.every((item) => typeof item === "string")) return value.join(",");
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}
