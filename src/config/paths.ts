// Files that a configuration names: relative paths start from its own folder, wherever the process was started.
import { resolve } from "node:path";
import type { Config, ListenerConfig, PolicyConfig, RouteConfig, UpstreamConfig } from "./schema.ts";
import type { AuthEntry } from "./schema-auth.ts";
import type { ClientAuth } from "./schema-tls.ts";

/** The same configuration with absolute paths of certificates, keys, storage and folders of files. */
export function withAbsolutePaths(config: Config, folder: string): Config {
  const { admin, storage, usage } = config;
  const at = (path: string): string => resolve(folder, path);
  return {
    ...config,
    listeners: config.listeners.map((listener) => listenerPaths(listener, at)),
    upstreams: Object.fromEntries(
      Object.entries(config.upstreams).map(([name, upstream]) => [name, upstreamPaths(upstream, at)]),
    ),
    defaults: { ...config.defaults, ...policyPaths(config.defaults, at) },
    routes: config.routes.map((route) => ({
      ...route,
      ...(route.files === undefined ? {} : { files: { ...route.files, root: at(route.files.root) } }),
      ...openapiPaths(route, at),
      ...taggingPaths(route, at),
      ...policyPaths(route, at),
    })),
    ...(storage === undefined ? {} : { storage: at(storage) }),
    ...(typeof usage === "object" && usage.path !== undefined ? { usage: { ...usage, path: at(usage.path) } } : {}),
    admin: admin === false || admin.state === undefined ? admin : { ...admin, state: at(admin.state) },
  };
}

type At = (path: string) => string;

const policyPaths = (
  policies: PolicyConfig,
  at: At,
): Pick<PolicyConfig, "access" | "auth" | "cache" | "graphql" | "maintenance" | "transcode" | "validate" | "waf"> => ({
  ...authPaths(policies, at),
  ...cachePaths(policies, at),
  ...accessPaths(policies, at),
  ...wafPaths(policies, at),
  ...validatePaths(policies, at),
  ...transcodePaths(policies, at),
  ...graphqlPaths(policies, at),
  ...maintenancePaths(policies, at),
});

function openapiPaths({ openapi }: Pick<RouteConfig, "openapi">, at: At): Pick<RouteConfig, "openapi"> {
  if (openapi === undefined) return {};
  const operations = Object.entries(openapi.operations).map(([id, each]) => [
    id,
    { ...each, ...policyPaths(each, at) },
  ]);
  return { openapi: { ...openapi, document: at(openapi.document), operations: Object.fromEntries(operations) } };
}

function taggingPaths({ tagging }: Pick<RouteConfig, "tagging">, at: At): Pick<RouteConfig, "tagging"> {
  if (tagging === undefined) return {};
  const { geo } = tagging;
  const destinations = Object.entries(tagging.destinations).map(([name, each]) => [
    name,
    "file" in each ? { ...each, file: { path: at(each.file.path) } } : each,
  ]);
  return {
    tagging: {
      ...tagging,
      ...(geo === undefined ? {} : { geo: at(geo) }),
      destinations: Object.fromEntries(destinations),
    },
  };
}

function authPaths({ auth }: Pick<PolicyConfig, "auth">, at: At): Pick<PolicyConfig, "auth"> {
  if (auth === undefined || auth === false) return {};
  return { auth: Array.isArray(auth) ? auth.map((entry) => entryPaths(entry, at)) : entryPaths(auth, at) };
}

function entryPaths(entry: AuthEntry, at: At): AuthEntry {
  const { basic, ldap, jwt, signature } = entry;
  return {
    ...entry,
    ...(jwt === undefined ? {} : { jwt: Array.isArray(jwt) ? jwt.map((one) => withFile(one, at)) : withFile(jwt, at) }),
    ...(signature && { signature: { ...signature, keys: signature.keys.map((key) => withFile(key, at)) } }),
    ...(basic?.usersFile === undefined ? {} : { basic: { ...basic, usersFile: at(basic.usersFile) } }),
    ...(ldap?.tls?.ca === undefined ? {} : { ldap: { ...ldap, tls: { ...ldap.tls, ca: at(ldap.tls.ca) } } }),
  };
}

function withFile<T extends { readonly file?: string | undefined }>(item: T, at: At): T {
  return item.file === undefined ? item : { ...item, file: at(item.file) };
}

function wafPaths({ waf }: Pick<PolicyConfig, "waf">, at: At): Pick<PolicyConfig, "waf"> {
  if (waf === undefined || waf === false) return {};
  const { crs, rules, audit, geo } = waf;
  return {
    waf: {
      ...waf,
      ...(crs === undefined ? {} : { crs: at(crs) }),
      ...(geo === undefined ? {} : { geo: at(geo) }),
      ...(audit === undefined ? {} : { audit: { ...audit, path: at(audit.path) } }),
      rules: [rules].flat().map(at),
    },
  };
}

function validatePaths({ validate }: Pick<PolicyConfig, "validate">, at: At): Pick<PolicyConfig, "validate"> {
  if (validate === undefined || validate === false) return {};
  const { openapi, body } = validate;
  return {
    validate: {
      ...validate,
      ...(openapi === undefined ? {} : { openapi: at(openapi) }),
      ...(typeof body?.jsonSchema === "string" ? { body: { ...body, jsonSchema: at(body.jsonSchema) } } : {}),
    },
  };
}

function maintenancePaths(
  { maintenance }: Pick<PolicyConfig, "maintenance">,
  at: At,
): Pick<PolicyConfig, "maintenance"> {
  if (!maintenance || maintenance.page === undefined) return {};
  return { maintenance: { ...maintenance, page: at(maintenance.page) } };
}

function graphqlPaths({ graphql }: Pick<PolicyConfig, "graphql">, at: At): Pick<PolicyConfig, "graphql"> {
  if (graphql === undefined || graphql === false) return {};
  const { schema, persisted } = graphql;
  const files = persisted?.files;
  return {
    graphql: {
      ...graphql,
      ...(schema === undefined ? {} : { schema: at(schema) }),
      ...(files === undefined ? {} : { persisted: { ...persisted!, files: [files].flat().map(at) } }),
    },
  };
}

function transcodePaths({ transcode }: Pick<PolicyConfig, "transcode">, at: At): Pick<PolicyConfig, "transcode"> {
  if (transcode === undefined || transcode === false) return {};
  return { transcode: { ...transcode, descriptors: at(transcode.descriptors) } };
}

function cachePaths({ cache }: Pick<PolicyConfig, "cache">, at: At): Pick<PolicyConfig, "cache"> {
  if (typeof cache !== "object" || cache.disk === undefined) return {};
  return { cache: { ...cache, disk: { ...cache.disk, path: at(cache.disk.path) } } };
}

interface AddressFiles {
  readonly allowFiles?: string[] | undefined;
  readonly denyFiles?: string[] | undefined;
}

function addressPaths<T extends AddressFiles>(access: T, at: At): T {
  const { allowFiles, denyFiles } = access;
  return {
    ...access,
    ...(allowFiles === undefined ? {} : { allowFiles: allowFiles.map(at) }),
    ...(denyFiles === undefined ? {} : { denyFiles: denyFiles.map(at) }),
  };
}

function accessPaths({ access }: Pick<PolicyConfig, "access">, at: At): Pick<PolicyConfig, "access"> {
  if (access === undefined || access === false) return {};
  const { countries, networks } = access;
  return {
    access: {
      ...addressPaths(access, at),
      ...(countries === undefined ? {} : { countries: { ...countries, database: at(countries.database) } }),
      ...(networks === undefined ? {} : { networks: { ...networks, database: at(networks.database) } }),
    },
  };
}

function listenerPaths(all: ListenerConfig, at: At): ListenerConfig {
  const listener = all.access === undefined ? all : { ...all, access: addressPaths(all.access, at) };
  const { tls } = listener;
  if (tls === undefined) return listener;
  const { certificates, clientAuth, policies, acme, keyLog } = tls;
  return {
    ...listener,
    tls: {
      ...tls,
      certificates: certificates.map(({ cert, key }) => ({ cert: at(cert), key: at(key) })),
      ...(keyLog === undefined ? {} : { keyLog: at(keyLog) }),
      ...(acme === undefined ? {} : { acme: acme.ca === undefined ? acme : { ...acme, ca: at(acme.ca) } }),
      ...(clientAuth === undefined ? {} : { clientAuth: clientAuthPaths(clientAuth, at) }),
      policies: policies.map((policy) =>
        policy.clientAuth ? { ...policy, clientAuth: clientAuthPaths(policy.clientAuth, at) } : policy,
      ),
    },
  };
}

function clientAuthPaths(clientAuth: ClientAuth, at: At): ClientAuth {
  const { ca, crl } = clientAuth;
  return { ...clientAuth, ca: at(ca), ...(crl === undefined ? {} : { crl: at(crl) }) };
}

function upstreamPaths(upstream: UpstreamConfig, at: At): UpstreamConfig {
  const { tls } = upstream;
  if (tls === undefined) return upstream;
  const { ca, cert, key } = tls;
  return {
    ...upstream,
    tls: {
      ...tls,
      ...(ca === undefined ? {} : { ca: at(ca) }),
      ...(cert === undefined ? {} : { cert: at(cert) }),
      ...(key === undefined ? {} : { key: at(key) }),
    },
  };
}
