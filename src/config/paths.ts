// Files that a configuration names: relative paths start from its own folder, wherever the process was started.
import { resolve } from "node:path";
import type { Config, ListenerConfig, UpstreamConfig } from "./schema.ts";
import type { ClientAuth } from "./schema-tls.ts";

/** The same configuration with absolute paths of certificates, keys, storage and folders of files. */
export function withAbsolutePaths(config: Config, folder: string): Config {
  const { admin, storage } = config;
  const at = (path: string): string => resolve(folder, path);
  return {
    ...config,
    listeners: config.listeners.map((listener) => listenerPaths(listener, at)),
    upstreams: Object.fromEntries(
      Object.entries(config.upstreams).map(([name, upstream]) => [name, upstreamPaths(upstream, at)]),
    ),
    routes: config.routes.map((route) =>
      route.files === undefined ? route : { ...route, files: { ...route.files, root: at(route.files.root) } },
    ),
    ...(storage === undefined ? {} : { storage: at(storage) }),
    admin: admin === false || admin.state === undefined ? admin : { ...admin, state: at(admin.state) },
  };
}

type At = (path: string) => string;

function listenerPaths(listener: ListenerConfig, at: At): ListenerConfig {
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
