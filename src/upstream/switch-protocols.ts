// From a 101 on the two connections carry whatever protocol it is: a tunnel.
import type { ResponseHead } from "../http/message.ts";
import type { Exchange } from "../pipeline/exchange.ts";
import type { Connection } from "../transport/connection.ts";
import { Tunnel } from "../transport/tunnel.ts";
import type { ForwardEnvironment } from "./forward-environment.ts";
import type { H1Client } from "./h1-client.ts";
import type { Server } from "./pool.ts";

/** Whether the server switched to something that the client asked for (RFC 9110 §7.8). Both are lower-case lists. */
export function asksFor(asked: string, given: string): boolean {
  const offers = asked.split(", ");
  return given.split(",").every((protocol) => offers.includes(protocol.trim()));
}

/** Passes the 101 on and joins the connections. The place at the server is taken until the tunnel's end. */
export function switchProtocols(
  x: Exchange,
  server: Server,
  client: H1Client,
  head: ResponseHead,
  env: ForwardEnvironment,
): void {
  const theirs = client.detach();
  server.tunnelOpened(client);
  const ours = x.downstream.upgrade(head);
  const tunnel: Tunnel = new Tunnel(
    ours.connection as Connection,
    ours.early,
    theirs.connection,
    theirs.early,
    env.tunnelIdle(x),
    env.wheel,
    (bytesIn, bytesOut) => {
      server.tunnelClosed();
      x.downstream.tunnelClosed(bytesIn, bytesOut);
      env.tunnelClosed(tunnel, x);
    },
  );
  env.tunnelOpened(tunnel, x);
  if (ours.ended) tunnel.endedEarly();
}
