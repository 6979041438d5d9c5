// What a document demands (`security`) against what a route asks for (`auth`): whether they fit, and which scopes of
// the operation the route has to demand.
import type { PolicyConfig } from "../config/schema.ts";
import type { AuthEntry } from "../config/schema-auth.ts";
import { at, type Fields, fieldOf, isFields, type Place, SpecError } from "../engines/openapi/index.ts";
import type { ApiDocument, ApiOperation } from "./api-document.ts";

type Auth = PolicyConfig["auth"];
/** Schemes that are needed together, with the scopes of each; none for whoever asks. */
type Alternative = ReadonlyMap<string, readonly string[]>;

const ALTERNATIVES_MAX = 32;

/** The `auth` of an operation, made of that of its route. Throws SpecError where it cannot be as the document wants it. */
export function securedAuth(document: ApiDocument, operation: ApiOperation, auth: Auth, follow: boolean): Auth {
  const own = Object.hasOwn(operation.fields, "security");
  const place = own ? at(operation.place, "security") : at(document.top, "security");
  const alternatives = readSecurity(own ? operation.fields.security : fieldOf(document.root, "security"), place);
  if (alternatives === null) return auth;
  const isOpen = alternatives.length === 0 || alternatives.some((each) => each.size === 0);
  if (isOpen) return follow ? false : auth;
  const schemes = alternatives.map(
    (each) => new Map([...each.keys()].map((name) => [name, schemeOf(document, name, place)])),
  );
  if (auth === undefined || auth === false) {
    const names = [...new Set(alternatives.flatMap((each) => [...each.keys()]))].join(", ");
    throw new SpecError(
      `${told(operation)} demands ${names}, and its route has no \`auth\`: anybody could use it`,
      place,
    );
  }
  const entries = [auth].flat();
  const made = entries.map((entry) => {
    const sets = alternatives.flatMap((each, index) =>
      each.size === 1 && fits(entry, [...schemes[index]!.values()][0]!) ? [[...[...each.values()][0]!]] : [],
    );
    // Whoever comes in another way than those that the document names, is nobody here.
    return sets.length === 0 && !isAnything(entry)
      ? { entry: withScopes(entry, []), used: false }
      : usable(entry, sets);
  });
  if (!made.some(({ used }) => used)) {
    const wanted = alternatives.map((each) => [...each.keys()].join(" with ")).join(" or ");
    throw new SpecError(`${told(operation)} demands ${wanted}, which is no way into its route (\`auth\`)`, place);
  }
  const result = made.map(({ entry }) => entry);
  return Array.isArray(auth) ? result : result[0]!;
}

const told = ({ method, template }: ApiOperation): string => `${method} ${template}`;

function usable(entry: AuthEntry, sets: readonly string[][]): { entry: AuthEntry; used: boolean } {
  const demands = sets.length > 0 && sets.every((set) => set.length > 0);
  return { entry: demands ? withScopes(entry, sets) : entry, used: true };
}

/** Besides what it demands already: all scopes of one of these sets. Of no sets, nobody has one. */
function withScopes(entry: AuthEntry, sets: readonly string[][]): AuthEntry {
  const known = entry.require?.scopeSets;
  const scopeSets = known === undefined ? [...sets] : known.flatMap((a) => sets.map((b) => [...a, ...b]));
  return { ...entry, require: { ...entry.require, scopeSets } };
}

/** Null where nothing is said of it. */
function readSecurity(value: unknown, place: Place): Alternative[] | null {
  if (value === undefined) return null;
  if (!Array.isArray(value)) throw new SpecError("a list of requirements was expected", place);
  if (value.length > ALTERNATIVES_MAX) throw new SpecError(`more than ${ALTERNATIVES_MAX} alternatives`, place);
  return value.map((each, index) => {
    if (!isFields(each)) throw new SpecError("a requirement is an object", at(place, index));
    return new Map(
      Object.entries(each).map(([name, scopes]) => {
        if (!Array.isArray(scopes) || scopes.some((scope) => typeof scope !== "string"))
          throw new SpecError("a list of scopes was expected", at(place, index, name));
        return [name, scopes as string[]];
      }),
    );
  });
}

function schemeOf({ root, top, files }: ApiDocument, name: string, from: Place): Fields {
  const place = at(top, "components", "securitySchemes", name);
  const found = fieldOf(fieldOf(fieldOf(root, "components"), "securitySchemes"), name);
  const { value } = found === undefined ? { value: undefined } : files.documents.follow(found, place);
  if (!isFields(value)) throw new SpecError(`there is no security scheme "${name}" in the components`, from);
  return value;
}

/** Of what another server decides, or of a kind that documents cannot describe, nothing can be said. */
const isAnything = ({ forward }: AuthEntry): boolean => forward !== undefined;

/** Whether an entry of `auth` is a way in as a security scheme describes one. */
function fits(entry: AuthEntry, scheme: Fields): boolean {
  if (isAnything(entry)) return true;
  const { basic, ldap, jwt, introspection, oidc, apiKey, mtls, signature } = entry;
  const token = jwt ?? introspection ?? oidc;
  switch (scheme.type) {
    case "http": {
      const kind = String(scheme.scheme).toLowerCase();
      if (kind === "basic") return basic !== undefined || ldap !== undefined;
      return kind === "bearer" ? token !== undefined : signature !== undefined;
    }
    case "apiKey":
      return apiKey !== undefined ? isKeyThere(apiKey, scheme) : scheme.in === "cookie" && oidc !== undefined;
    case "oauth2":
    case "openIdConnect":
      return token !== undefined;
    case "mutualTLS":
      return mtls !== undefined;
    default:
      return false;
  }
}

function isKeyThere(key: NonNullable<AuthEntry["apiKey"]>, { in: where, name }: Fields): boolean {
  const { header, query, cookie } = key;
  if (where === "query") return query === name;
  if (where === "cookie") return cookie === name;
  const own = header ?? (query === undefined && cookie === undefined ? "x-api-key" : undefined);
  return typeof name === "string" && own?.toLowerCase() === name.toLowerCase();
}
