// From the configuration of a check to what is said over its connection.
import type { ServerHttp } from "../config/address.ts";
import type { UpstreamConfig } from "../config/schema.ts";
import { grpcCheck } from "./grpc-check.ts";
import { chosenProtocol } from "./h2-ask.ts";
import { httpCheck } from "./http-check.ts";
import { http2Check } from "./http2-check.ts";
import { type Conversation, reasonOf } from "./probe.ts";
import { tcpCheck } from "./tcp-check.ts";

export type HealthConfig = NonNullable<UpstreamConfig["health"]>;

/**
 * What is said over the connection of each check to a server that is spoken to in `http`. Options that cannot be sent
 * or understood make a check that always fails and says why, rather than an exception in the middle of a reload: the
 * configuration's own checks come first.
 */
export function compileCheck(health: HealthConfig, hostHeader: string, http: ServerHttp = "1.1"): Conversation {
  try {
    if (health.type === "tcp") return tcpCheck;
    if (health.type === "grpc") return grpcCheck(health, hostHeader);
    if (http === "1.1") return httpCheck(health, hostHeader);
    const overH2 = http2Check(health, hostHeader);
    if (http === "2") return overH2;
    const overH1 = httpCheck(health, hostHeader);
    return (socket, settle) => (chosenProtocol(socket) === "h2" ? overH2 : overH1)(socket, settle);
  } catch (error) {
    const reason = `the check is not valid: ${reasonOf(error)}`;
    return (_socket, settle) => {
      settle({ ok: false, reason });
      return null;
    };
  }
}
