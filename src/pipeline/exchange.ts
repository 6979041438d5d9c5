// One request and its response on their way through the proxy: what routes, filters, plugins and logs look at.
import type { Fault } from "../core/faults.ts";
import type { RequestHead, ResponseHead } from "../http/message.ts";
import type { Route } from "./plan.ts";
import { type Reply, reply } from "./reply.ts";

/** The server of an upstream that a request went to. */
export interface ServerRef {
  /** `host:port` or the path of a unix socket, as configured. */
  readonly name: string;
}

export class Exchange {
  readonly request: RequestHead;
  /** The answer's head, once there is one. */
  response: ResponseHead;
  /** Address of the client: the peer's, or what a trusted proxy said. IPv4 in dotted form. */
  ip: string;
  readonly scheme: "http" | "https";
  /** Address of the listener as configured. */
  readonly listener: string;
  route: Route | null = null;
  /** Path parameters of the route (`:id`), by name. */
  params: Readonly<Record<string, string>> | null = null;
  /** Name of the chosen upstream, "" before and without one. */
  upstream = "";
  /** The chosen server, null before and without one. */
  server: ServerRef | null = null;
  /** Why it failed, if it did. */
  fault: Fault | null = null;
  /** Times in milliseconds on the process's monotonic clock (performance.now); 0 when it did not come to that. */
  startedAt: number;
  responseAt = 0;
  endedAt = 0;
  /** Status sent to the client; 499 when it went away before. 0 until then. */
  status = 0;
  /** Body bytes received from and sent to the client. */
  bytesIn = 0;
  bytesOut = 0;
  /** What was rewritten: the target to forward in place of the client's; "" when none. */
  rewrittenTarget = "";
  #requestId = "";

  constructor(request: RequestHead, response: ResponseHead, ip: string, scheme: "http" | "https", listener: string, startedAt: number) {
    this.request = request;
    this.response = response;
    this.ip = ip;
    this.scheme = scheme;
    this.listener = listener;
    this.startedAt = startedAt;
  }

  /** The X-Request-Id of this exchange; set before any filter runs. */
  get requestId(): string {
    return this.#requestId;
  }
  set requestId(id: string) {
    this.#requestId = id;
  }

  /** Makes an answer for a filter or plugin to return. */
  respond(status: number, body?: string | Uint8Array, headers?: Readonly<Record<string, string>>): Reply {
    return reply(status, body, headers);
  }
}
