// The check of servers that speak anything: a connect that succeeds.
import type { Conversation } from "./probe.ts";

export const tcpCheck: Conversation = (_socket, settle) => {
  settle({ ok: true, reason: "connected" });
  return null;
};
