// The way of a request through Sluice, as one short class: read it first.
//
//   listener → connection → codec → Wire.handle → route → request filters → action → Forward → server
//            ← connection ← codec ←                response filters ←——————————————————————————┘
import { turnTime } from "./core/clock.ts";
import { type Fault, fault } from "./core/faults.ts";
import type { CidrSet } from "./core/ip.ts";
import type { TimerWheel } from "./core/timers.ts";
import { ID } from "./http/header-names.ts";
import { ResponseHead } from "./http/message.ts";
import { type AccessLog, NO_ACCESS_LOG } from "./observe/access-log.ts";
import type { Log } from "./observe/log.ts";
import { methodId, type RequestMetrics } from "./observe/metrics.ts";
import { identifyClient } from "./pipeline/client.ts";
import type { Exchange, Route } from "./pipeline/exchange.ts";
import { isFault, type Outcome } from "./pipeline/exchange.ts";
import { namesThisProxy } from "./pipeline/via.ts";
import type { RouteTable } from "./routing/table.ts";
import { accessEntry } from "./server/access-entry.ts";
import type { ExchangeHandler } from "./server/listener.ts";
import type { Tunnel } from "./transport/tunnel.ts";
import { Forward, type ForwardEnvironment, type ResponseWaiter } from "./upstream/forward.ts";
import type { Server } from "./upstream/pool.ts";
import type { Upstream } from "./upstream/upstream.ts";

/** What a reload exchanges as one: requests in flight keep the one that they started with. */
export interface WirePlan {
  readonly table: RouteTable<Route>;
  readonly upstreams: ReadonlyMap<string, Upstream>;
  readonly trustedProxies: CidrSet | null;
  readonly requests: RequestMetrics;
  /** Longest silence of a tunnel in milliseconds, by listener name. */
  readonly tunnelIdle: ReadonlyMap<string, number>;
}

/** Counts what happens to upstreams; kept apart from the plan because upstreams outlive one. */
export interface UpstreamObserver {
  attempted(upstream: Upstream, server: Server, status: number, ms: number): void;
  retried(upstream: Upstream): void;
  tunnels(listener: string, change: 1 | -1): void;
}

export class Wire implements ExchangeHandler, ForwardEnvironment {
  plan: WirePlan;
  accessLog: AccessLog = NO_ACCESS_LOG;
  readonly wheel: TimerWheel;
  readonly tunnels: Set<Tunnel> = new Set();
  readonly #log: Log;
  readonly #observer: UpstreamObserver;

  constructor(plan: WirePlan, wheel: TimerWheel, log: Log, observer: UpstreamObserver) {
    this.plan = plan;
    this.wheel = wheel;
    this.#log = log;
    this.#observer = observer;
  }

  /** A request has come: find its route, run its filters, and do what the route says. */
  handle(x: Exchange): void {
    const { plan } = this;
    identifyClient(x, plan.trustedProxies);
    const refusal = refusalOf(x);
    if (refusal !== null) return x.downstream.fail(refusal);
    const route = plan.table.find(x);
    if (route === null) return x.downstream.fail(fault("route.none", `${x.request.authority} ${x.request.target}`));
    x.route = route;
    x.params = plan.table.params;
    if (x.request.length > route.bodyMax)
      return x.downstream.fail(fault("request.body_too_large", `more than ${route.bodyMax} bytes`));
    if (route.requestFilters.length > 0) this.#filterRequest(x, route, plan, 0);
    else this.#act(x, route, plan);
  }

  #filterRequest(x: Exchange, route: Route, plan: WirePlan, from: number): void {
    for (let i = from; i < route.requestFilters.length; i += 1) {
      const filter = route.requestFilters[i]!;
      let outcome: ReturnType<NonNullable<typeof filter.request>>;
      try {
        outcome = filter.request!(x);
      } catch (error) {
        return this.#broken(x, filter.name, error);
      }
      if (outcome === undefined) continue;
      if (outcome instanceof Promise) {
        outcome.then(
          (settled) => {
            if (x.over) return;
            if (settled !== undefined) this.#answer(x, settled);
            else this.#filterRequest(x, route, plan, i + 1);
          },
          (error: unknown) => this.#broken(x, filter.name, error),
        );
        return;
      }
      return this.#answer(x, outcome);
    }
    this.#act(x, route, plan);
  }

  #act(x: Exchange, route: Route, plan: WirePlan): void {
    const { action } = route;
    if (action.kind === "reply") return this.#answer(x, action.reply(x));
    const upstream = plan.upstreams.get(action.pick());
    if (upstream === undefined) return x.downstream.fail(fault("upstream.none", `no upstream for route ${route.name}`));
    new Forward(x, upstream, this).start();
  }

  /** Sends an answer of Sluice's own; the route's response filters see it like a server's. */
  #answer(x: Exchange, outcome: Outcome): void {
    if (isFault(outcome)) return x.downstream.fail(outcome);
    const route = x.route!;
    if (route.responseFilters.length === 0) return x.downstream.reply(outcome);
    const head = new ResponseHead();
    head.status = outcome.status;
    for (const [name, value] of outcome.headers.entries()) head.headers.add(name, value);
    x.response = head;
    const send = (): void => x.downstream.reply({ status: head.status, headers: head.headers, body: outcome.body });
    const proceed = this.respond(x, { responsePhaseOver: (go) => go && !x.over && send() });
    if (proceed) send();
  }

  respond(x: Exchange, waiter: ResponseWaiter): boolean {
    const filters = x.route!.responseFilters;
    return filters.length === 0 || this.#filterResponse(x, filters, 0, waiter);
  }

  #filterResponse(x: Exchange, filters: Route["responseFilters"], from: number, waiter: ResponseWaiter): boolean {
    for (let i = from; i < filters.length; i += 1) {
      const filter = filters[i]!;
      let outcome: ReturnType<NonNullable<typeof filter.response>>;
      try {
        outcome = filter.response!(x);
      } catch (error) {
        waiter.responsePhaseOver(false);
        this.#broken(x, filter.name, error);
        return false;
      }
      if (outcome === undefined) continue;
      if (outcome instanceof Promise) {
        outcome.then(
          (settled) => {
            if (x.over) return;
            if (settled !== undefined) this.#replace(x, settled, waiter);
            else if (this.#filterResponse(x, filters, i + 1, waiter)) waiter.responsePhaseOver(true);
          },
          (error: unknown) => {
            if (x.over) return;
            waiter.responsePhaseOver(false);
            this.#broken(x, filter.name, error);
          },
        );
        return false;
      }
      this.#replace(x, outcome, waiter);
      return false;
    }
    return true;
  }

  /** A response filter gave an answer in place of the server's. */
  #replace(x: Exchange, outcome: Outcome, waiter: ResponseWaiter): void {
    waiter.responsePhaseOver(false);
    if (isFault(outcome)) x.downstream.fail(outcome);
    else x.downstream.reply(outcome);
  }

  #broken(x: Exchange, filter: string, error: unknown): void {
    const detail = error instanceof Error ? (error.stack ?? error.message) : String(error);
    this.#log.error("a filter failed", { filter, route: x.route?.name, requestId: x.requestId, error: detail });
    if (!x.over) x.downstream.fail(fault("proxy.plugin", filter));
  }

  finished(x: Exchange): void {
    x.over = true;
    const ms = turnTime() - x.startedAt;
    const { requests } = this.plan;
    const method = methodId(x.request.method);
    // The route may be one of a plan that a reload has replaced since.
    if (x.route === null) requests.record(-1, method, x.status, ms);
    else requests.recordRoute(x.route.index, x.route.name, method, x.status, ms);
    if (this.accessLog.enabled) this.accessLog.record(accessEntry(x, ms));
  }

  attempted(_x: Exchange, upstream: Upstream, server: Server, status: number, ms: number): void {
    this.#observer.attempted(upstream, server, status, ms);
  }
  retried(_x: Exchange, upstream: Upstream): void {
    this.#observer.retried(upstream);
  }
  tunnelOpened(tunnel: Tunnel, x: Exchange): void {
    this.tunnels.add(tunnel);
    this.#observer.tunnels(x.listener, 1);
  }
  tunnelClosed(tunnel: Tunnel, x: Exchange): void {
    this.tunnels.delete(tunnel);
    this.#observer.tunnels(x.listener, -1);
  }
  tunnelIdle(x: Exchange): number {
    const own = x.route!.tunnelIdle;
    return own > 0 ? own : (this.plan.tunnelIdle.get(x.listener) ?? 0);
  }
}

/** What no route may serve. */
function refusalOf(x: Exchange): Fault | null {
  const { request } = x;
  if (request.form === "authority") return fault("request.connect");
  if (request.badPath) return fault("request.path", request.target);
  if (request.headers.received(ID.via) && namesThisProxy(request.headers.get("via") ?? "")) return fault("proxy.loop");
  return null;
}
