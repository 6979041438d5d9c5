// From the `llm` action of a route to what is known of its providers.
import { within } from "../config/compile-error.ts";
import type { Config, RouteConfig } from "../config/schema.ts";
import type { Policies } from "../filters/definition.ts";
import { Gateway } from "../llm/gateway.ts";
import type { Shared } from "../pipeline/shared.ts";

interface UpstreamNames {
  /** The name of the upstream that a text means. Throws RangeError for one that there is not. */
  upstream(text: string): string;
  /** The address of its first server; undefined where it has none yet. */
  server(upstream: string): string | undefined;
}

/** Null for a route without one; throws CompileError. */
export function compileGateway(
  { cluster }: Config,
  { llm }: RouteConfig,
  route: string,
  { auth, use }: Policies,
  names: UpstreamNames,
  shared: Shared,
): Gateway | null {
  if (llm === undefined) return null;
  const context = {
    route,
    shared,
    isShared: cluster !== undefined,
    hasAuth: auth !== undefined,
    plugins: use ?? [],
    random: Math.random,
    upstream: names.upstream,
    host: (upstream: string) => hostOf(names.server(upstream) ?? ""),
  };
  return within("llm", () => new Gateway(llm, context));
}

/** The Host of a server: its address without the scheme, and without the usual port. */
function hostOf(server: string): string {
  if (server.startsWith("unix:")) return "localhost";
  const [, scheme = "", authority = ""] = /^(?:([a-z0-9]+):\/\/)?([^/]*)\/?$/i.exec(server) ?? [];
  const usual = /^(?:https|h2)$/i.test(scheme) ? ":443" : ":80";
  return authority.endsWith(usual) ? authority.slice(0, -usual.length) : authority;
}
