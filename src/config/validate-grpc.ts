// Routes that translate gRPC-Web or JSON to gRPC: there must be a server to translate for, and one that speaks HTTP/2.
import { looksLikeUrl, serverTerms } from "./address.ts";
import { type ConfigPath, type Problem, warning } from "./diagnostic.ts";
import type { Config, RouteConfig, UpstreamConfig } from "./schema.ts";

/** Warnings about `grpcWeb` and `transcode` where a route says so itself; a default may be there for other routes. */
export function checkGrpcWeb(config: Config): Problem[] {
  return config.routes.flatMap((route, at) => [
    ...(route.grpcWeb === true ? checkRoute(config, route, "grpcWeb", ["routes", at, "grpcWeb"]) : []),
    ...(route.transcode ? checkRoute(config, route, "transcode", ["routes", at, "transcode"]) : []),
  ]);
}

function checkRoute(config: Config, { to }: RouteConfig, key: string, path: ConfigPath): Problem[] {
  if (to === undefined)
    return [
      warning(
        path,
        `\`${key}\` changes nothing: this route asks no server`,
        "remove it, or give the route `to`",
        "key",
      ),
    ];
  const targets = typeof to === "string" ? [to] : to.map((each) => (typeof each === "string" ? each : each.upstream));
  return targets.flatMap((target): Problem[] => {
    if (speaksHttp2(config, target)) return [];
    const hint = looksLikeUrl(target) ? "write h2c://…, or h2://… over TLS" : `set upstreams.${target}.http2: only`;
    return [warning(path, `"${target}" is asked over HTTP/1.1, and gRPC needs HTTP/2`, hint, "key")];
  });
}

const DEFAULT_TERMS: Pick<UpstreamConfig, "tls" | "http2"> = { tls: undefined, http2: true };

/** Whether every server that is known by now may be spoken to in HTTP/2. */
function speaksHttp2(config: Config, target: string): boolean {
  if (looksLikeUrl(target)) return serverTerms(target, DEFAULT_TERMS).http !== "1.1";
  const upstream = config.upstreams[target];
  return (
    upstream === undefined || upstream.servers.every((server) => serverTerms(urlOf(server), upstream).http !== "1.1")
  );
}

const urlOf = (server: UpstreamConfig["servers"][number]): string => (typeof server === "string" ? server : server.url);
