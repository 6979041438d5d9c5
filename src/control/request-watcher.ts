// A sample of what a thread serves, for those who watch: the first requests of each second.
import { turnTime } from "../core/clock.ts";
import type { ProxyEvent } from "../pipeline/events.ts";
import type { Exchange } from "../pipeline/exchange.ts";

/** More than people can read, and nothing beside the traffic. */
const REQUESTS_MAX = 20;
const SECOND_MS = 1000;
const PATH_MAX = 512;

export class RequestWatcher {
  readonly #tell: (event: ProxyEvent) => void;
  #second = 0;
  #count = 0;

  constructor(tell: (event: ProxyEvent) => void) {
    this.#tell = tell;
  }

  finished(x: Exchange, ms: number): void {
    const second = Math.floor(turnTime() / SECOND_MS);
    this.#count = second === this.#second ? this.#count + 1 : 1;
    this.#second = second;
    if (this.#count > REQUESTS_MAX) return;
    const { request } = x;
    this.#tell({
      kind: "request",
      requestId: x.requestId,
      route: x.route?.name ?? "",
      ip: x.ip,
      method: request.method,
      host: request.authority,
      path: request.target.split("?", 1)[0]!.slice(0, PATH_MAX),
      status: x.status,
      ms: Math.round(ms * 100) / 100,
      upstream: x.upstream,
      fault: x.fault?.code ?? "",
      consumer: x.identity?.consumer ?? "",
    });
  }
}
