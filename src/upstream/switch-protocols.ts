// From a 101 on the two connections carry whatever protocol it is: a tunnel.
import type { ResponseHead } from "../http/message.ts";
import type { Exchange } from "../pipeline/exchange.ts";
import type { Connection } from "../transport/connection.ts";
import { Tunnel } from "../transport/tunnel.ts";
import { WebSocketFrames } from "../transport/websocket-frames.ts";
import type { ForwardEnvironment } from "./forward-environment.ts";
import type { Server } from "./pool.ts";
import type { UpstreamClient } from "./upstream-client.ts";

/** Whether the server switched to something that the client asked for (RFC 9110 §7.8). Both are lower-case lists. */
function asksFor(asked: string, given: string): boolean {
  const offers = asked.split(", ");
  return given.split(",").every((protocol) => offers.includes(protocol.trim()));
}

/** Whether a server's 101 can be passed on. */
export function maySwitch({ request, downstream }: Exchange, head: ResponseHead): boolean {
  if (head.upgrade === "" || !asksFor(request.upgrade, head.upgrade)) return false;
  return downstream.fitsUpgrade === undefined || downstream.fitsUpgrade(head);
}

/** Passes the 101 on and joins the connections. The place at the server is taken until the tunnel's end. */
export function switchProtocols(
  x: Exchange,
  server: Server,
  client: UpstreamClient,
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
      server.tunnelClosed(client);
      x.downstream.tunnelClosed(bytesIn, bytesOut);
      env.tunnelClosed(tunnel, x);
    },
    // Somebody may end it, and then has to know where a frame ends.
    x.authenticated?.tunnel !== undefined && x.request.upgrade === "websocket" ? new WebSocketFrames() : null,
  );
  env.tunnelOpened(tunnel, x);
  if (ours.ended) tunnel.endedEarly();
}
