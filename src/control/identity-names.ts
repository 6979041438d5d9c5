// The names of the fields by which a configuration tells servers who asks.

import type { Config, PolicyConfig } from "../config/schema.ts";
import type { AuthEntry } from "../config/schema-auth.ts";
import { templatePieces } from "../core/placeholders.ts";
import { IdentityFields } from "../pipeline/identity-fields.ts";

/** How clients say who they are: what routes read cannot be taken away before they do. */
const CREDENTIALS = new Set(["authorization", "proxy-authorization", "cookie", "host"]);
/** Placeholders that say who asks. */
const FROM_IDENTITY = new Set(["user", "consumer", "claim"]);

/**
 * What is taken out of every request: the fields of `identityHeaders`, and those that a route makes of what is known
 * of somebody, or copies from an auth server. Null where no route has `auth`.
 */
export function identityFieldsOf({ defaults, routes, identityHeaders }: Config): IdentityFields | null {
  const policies = [defaults, ...routes];
  const entries = policies.flatMap(({ auth }) => (auth === undefined || auth === false ? [] : [auth].flat()));
  if (entries.length === 0) return null;
  const names = new Set(identityHeaders.map((name) => name.toLowerCase()));
  for (const { forward } of entries) for (const name of forward?.copyHeaders ?? []) names.add(name.toLowerCase());
  for (const policy of policies) for (const name of fieldsFromIdentity(policy)) names.add(name.toLowerCase());
  const read = new Set(entries.flatMap(credentialFields));
  return new IdentityFields([...names].filter((name) => !CREDENTIALS.has(name) && !read.has(name)));
}

function fieldsFromIdentity({ requestHeaders, transform }: PolicyConfig): string[] {
  const edits =
    requestHeaders === undefined || requestHeaders === false ? [] : [requestHeaders.set, requestHeaders.add];
  const made = transform === undefined || transform === false ? {} : (transform.request?.headers ?? {});
  return [...edits, made]
    .flatMap((fields) => Object.entries(fields))
    .filter(([, template]) =>
      templatePieces(template).some((piece) => piece.kind === "placeholder" && FROM_IDENTITY.has(piece.name)),
    )
    .map(([name]) => name);
}

/** The fields that kinds read by a name of the configuration. */
const credentialFields = ({ apiKey, jwt, introspection }: AuthEntry): string[] => {
  const named = [jwt ?? [], introspection ?? []].flat().flatMap(({ header }) => header ?? []);
  return [...named, ...(apiKey === undefined ? [] : [apiKey.header ?? "x-api-key"])].map((name) => name.toLowerCase());
};
