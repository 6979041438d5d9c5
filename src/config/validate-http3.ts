// Which listeners can speak HTTP/3: what the runtime's QUIC cannot do is in docs/http3.md.
import { isIP } from "node:net";
import { parseListen } from "./address.ts";
import { type ConfigPath, type Problem, problem } from "./diagnostic.ts";
import type { ListenerConfig } from "./schema.ts";

/** Errors about `http3` of one listener. */
export function checkHttp3(listener: ListenerConfig, path: ConfigPath): Problem[] {
  const { http3, tls, tcp, udp } = listener;
  if (http3 === false || http3 === undefined) return [];
  if (tls === undefined || tcp !== undefined || udp !== undefined)
    return [
      problem(
        path,
        "HTTP/3 needs a listener that answers HTTPS",
        "give it tls: { certificates, acme or internal }",
        "key",
      ),
    ];
  const why = whyNot(listener, tls);
  return why === "" ? [] : [problem(path, why, "serve that by a listener of its own, without http3", "key")];
}

function whyNot({ address, sni, proxyProtocol }: ListenerConfig, tls: NonNullable<ListenerConfig["tls"]>): string {
  if (tls.clientAuth !== undefined) return "certificates of clients cannot be asked for over HTTP/3";
  if (tls.policies.length > 0) return "over HTTP/3 the terms of TLS are the same for all names";
  if (sni !== undefined) return "connections of HTTP/3 cannot be passed on by name";
  if (proxyProtocol !== undefined) return "the PROXY protocol is not spoken over UDP";
  const listen = parseListen(address);
  if (listen?.kind === "unix") return "there is no HTTP/3 over a unix socket";
  if (listen !== null && listen.host !== "localhost" && isIP(listen.host) === 0)
    return "HTTP/3 listens on an IP address, not on a name";
  return "";
}
