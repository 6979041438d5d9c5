// The kinds of authentication, by their key in an entry of `auth`.
import { compileApiKey } from "../../auth/api-key/api-key.ts";
import type { Authenticator } from "../../auth/authenticator.ts";
import { compileBasic } from "../../auth/basic/basic.ts";
import type { AuthContext } from "../../auth/context.ts";
import { compileForward } from "../../auth/forward/forward.ts";
import { compileLdap } from "../../auth/ldap/ldap.ts";
import { compileMtls } from "../../auth/mtls/mtls.ts";
import { compileOidc } from "../../auth/oidc/oidc.ts";
import { compileIntrospection } from "../../auth/tokens/introspection.ts";
import { compileJwt } from "../../auth/tokens/jwt.ts";
import { compileSignature } from "../../auth/tokens/signature/signature.ts";
import { within } from "../../config/compile-error.ts";
import type { AuthEntry } from "../../config/schema-auth.ts";
import type { IdentityKind } from "../../pipeline/identity.ts";

type Kind = keyof AuthEntry & IdentityKind;
type Compile<K extends Kind> = (config: NonNullable<AuthEntry[K]>, context: AuthContext) => Authenticator;

const KINDS: { readonly [K in Kind]: Compile<K> } = {
  basic: compileBasic,
  apiKey: compileApiKey,
  mtls: compileMtls,
  forward: compileForward,
  ldap: compileLdap,
  oidc: compileOidc,
  jwt: compileJwt,
  introspection: compileIntrospection,
  signature: compileSignature,
};

const NAMES = Object.keys(KINDS) as Kind[];

/** The one kind that an entry has. Throws CompileError where it has none or several. */
export function compileKind(entry: AuthEntry, context: AuthContext): Authenticator {
  const [kind, another] = NAMES.filter((name) => entry[name] !== undefined);
  if (kind === undefined) throw new RangeError(`it says nothing of how to find out who asks: ${NAMES.join(", ")}`);
  if (another !== undefined)
    throw new RangeError(`an entry has one kind, not \`${kind}\` and \`${another}\`: write a list for any of them`);
  return compileOne(kind, entry, context);
}

function compileOne<K extends Kind>(kind: K, entry: Pick<AuthEntry, K>, context: AuthContext): Authenticator {
  const compile: Compile<K> = KINDS[kind];
  return within(kind, () => compile(entry[kind]!, context));
}
