// Who would ask, for `explain`: what is known of a consumer by the name alone, and which routes ask for one.
import type { Config } from "../config/schema.ts";
import type { AuthEntry } from "../config/schema-auth.ts";
import { type Identity, NO_CLAIMS } from "../pipeline/identity.ts";
import type { ExplainQuery } from "./admin-backend.ts";
import { policiesOf } from "./compile.ts";

/** What is said of a consumer. */
export interface SaidOfConsumer {
  readonly plan?: string | undefined;
  readonly groups: readonly string[];
  readonly scopes: readonly string[];
}

/** What the admin API keeps; null for nobody. */
export type KeptConsumer = (name: string) => SaidOfConsumer | null;

export const NOBODY_KEPT: KeptConsumer = () => null;

/** Who would ask; null where the query does not say. What it says counts for more than what is known. */
export function identityOf(query: ExplainQuery, { consumers = {} }: Config, kept: KeptConsumer): Identity | null {
  const { consumer = "", plan = "", groups = [] } = query;
  if (consumer === "" && plan === "" && groups.length === 0) return null;
  const known = Object.hasOwn(consumers, consumer) ? consumers[consumer]! : kept(consumer);
  return {
    kind: "apiKey",
    user: consumer === "" ? "somebody" : consumer,
    issuer: "",
    groups: groups.length > 0 ? groups : (known?.groups ?? []),
    scopes: known?.scopes ?? [],
    plan: plan === "" ? (known?.plan ?? "") : plan,
    consumer,
    limits: null,
    claims: NO_CLAIMS,
  };
}

/** How a route asks for consumers, by the kinds of its `auth`: `apiKey optional`; empty where it does not. */
export function askedFor(config: Config, route: string): string[] {
  const auth = policiesOf(config, route)?.auth;
  return auth === undefined ? [] : [auth].flat().flatMap(askedBy);
}

const KINDS = ["basic", "apiKey", "jwt", "introspection", "signature", "mtls", "forward", "oidc", "ldap"] as const;

function askedBy(entry: AuthEntry): string[] {
  const kind = KINDS.find((name) => entry[name] !== undefined);
  const takes = [entry.apiKey, entry.basic, entry.signature, entry.mtls].some((one) => one?.consumers === true);
  const mode = entry.consumers ?? (takes ? "optional" : undefined);
  return kind === undefined || mode === undefined ? [] : [`${kind} ${mode}`];
}
