// From the configuration of a check to what is said over its connection.
import type { UpstreamConfig } from "../config/schema.ts";
import { grpcCheck } from "./grpc-check.ts";
import { httpCheck } from "./http-check.ts";
import { type Conversation, reasonOf } from "./probe.ts";
import { tcpCheck } from "./tcp-check.ts";

export type HealthConfig = NonNullable<UpstreamConfig["health"]>;

/**
 * What is said over the connection of each check. Options that cannot be sent or understood make a check that always
 * fails and says why, rather than an exception in the middle of a reload: the configuration's own checks come first.
 */
export function compileCheck(health: HealthConfig, hostHeader: string): Conversation {
  try {
    if (health.type === "tcp") return tcpCheck;
    return health.type === "grpc" ? grpcCheck(health, hostHeader) : httpCheck(health, hostHeader);
  } catch (error) {
    const reason = `the check is not valid: ${reasonOf(error)}`;
    return (_socket, settle) => {
      settle({ ok: false, reason });
      return null;
    };
  }
}
