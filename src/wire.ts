// The way of a request through Sluice, as one short class: read it first.
//
//   listener → connection → codec → Wire.handle → route → request filters → action → Forward → server
//            ← connection ← codec ←                response filters ←——————————————————————————┘
import { type Endpoints, PREFIX } from "./auth/endpoints.ts";
import type { Cache } from "./cache/cache.ts";
import { type CoalesceRules, Coalescer } from "./cache/coalescer.ts";
import { Joint } from "./cache/joint.ts";
import type { RouteCache } from "./cache/route-cache.ts";
import type { CacheEnvironment } from "./cache/visit.ts";
import { turnTime } from "./core/clock.ts";
import { type Fault, fault } from "./core/faults.ts";
import type { CidrSet } from "./core/ip.ts";
import type { TimerWheel } from "./core/timers.ts";
import type { KeyRule } from "./engines/cache/key.ts";
import type { UsageMeter } from "./engines/usage/meter.ts";
import { NO_GRPC, receivedKind } from "./http/grpc.ts";
import type { HeaderBlock } from "./http/header-block.ts";
import { ID } from "./http/header-names.ts";
import { ResponseHead } from "./http/message.ts";
import { type AccessLog, NO_ACCESS_LOG } from "./observe/access-log.ts";
import type { Log } from "./observe/log.ts";
import { methodId, type RequestMetrics } from "./observe/metrics.ts";
import { identifyClient } from "./pipeline/client.ts";
import type { Exchange, Filter, MirrorPolicy, Route, ServeEnvironment } from "./pipeline/exchange.ts";
import { isFault, type Outcome } from "./pipeline/exchange.ts";
import { GrpcDeadline } from "./pipeline/grpc-deadline.ts";
import { grpcReply, noteGrpcHead } from "./pipeline/grpc-reply.ts";
import type { IdentityFields } from "./pipeline/identity-fields.ts";
import type { InnerCall, InnerHandler, InnerRequest } from "./pipeline/inner.ts";
import { countForwards } from "./pipeline/max-forwards.ts";
import { isOutcome, requestProblem, responseProblem } from "./pipeline/plugin-checks.ts";
import { type AddressList, type Live, NO_ADDRESSES } from "./pipeline/shared.ts";
import { NO_SWITCHES, type Switches } from "./pipeline/switches.ts";
import { openTransforms } from "./pipeline/transforms.ts";
import { namesThisProxy } from "./pipeline/via.ts";
import type { RouteTable } from "./routing/table.ts";
import { accessEntry } from "./server/access-entry.ts";
import type { ExchangeHandler } from "./server/listener.ts";
import type { Tunnel } from "./transport/tunnel.ts";
import { Forward } from "./upstream/forward.ts";
import type { ForwardEnvironment, ResponseWaiter } from "./upstream/forward-environment.ts";
import { Inner } from "./upstream/inner.ts";
import { Mirror } from "./upstream/mirror.ts";
import type { Upstream } from "./upstream/upstream.ts";
import type { Upstreams } from "./upstream/upstreams.ts";

/** What a reload exchanges as one: requests in flight keep the one that they started with. */
export interface WirePlan {
  readonly table: RouteTable<Route>;
  readonly upstreams: Pick<Upstreams, "get">;
  readonly trustedProxies: CidrSet | null;
  readonly requests: RequestMetrics;
  /** By route; null for those without. */
  readonly caches: readonly (RouteCache | null)[];
  /** How identical requests share answers, by route; null for those that do not. */
  readonly coalesce: readonly (CoalesceRules | null)[];
  /** One key for each way in which these count a query. */
  readonly cacheKeys: readonly KeyRule[];
  /** What the thread has stored; null where no route has a cache. */
  readonly cache: Cache | null;
  /** What is answered below `/.auth/`; null where no route needs it. */
  readonly endpoints: Endpoints | null;
  /** Fields that clients may not send; null where no route has `auth`. */
  readonly identityFields: IdentityFields | null;
  /** Counts who has used what; null where nobody wants to know. */
  readonly usage: UsageMeter | null;
}

/** Counts the open tunnels of a listener. */
export type TunnelCounter = (listener: string, change: 1 | -1) => void;

/** Is told of every request that has ended. */
interface RequestWatch {
  finished(x: Exchange, ms: number): void;
}

export class Wire implements ExchangeHandler, CacheEnvironment, ServeEnvironment {
  plan: WirePlan;
  accessLog: AccessLog = NO_ACCESS_LOG;
  /** Tells those who watch of some requests; null while nobody does. */
  watcher: RequestWatch | null = null;
  /** Addresses that are denied at run time, on all routes. */
  denied: AddressList = NO_ADDRESSES;
  /** What operators have switched at run time. */
  switches: Live<Switches> = { current: NO_SWITCHES };
  readonly wheel: TimerWheel;
  readonly tunnels: Set<Tunnel> = new Set();
  readonly #coalescer = new Coalescer();
  readonly #log: Log;
  readonly #countTunnels: TunnelCounter;

  constructor(plan: WirePlan, wheel: TimerWheel, log: Log, countTunnels: TunnelCounter) {
    this.plan = plan;
    this.wheel = wheel;
    this.#log = log;
    this.#countTunnels = countTunnels;
  }

  /** A request has come: find its route, run its filters, and do what the route says. */
  handle(x: Exchange): void {
    const { plan } = this;
    identifyClient(x, plan.trustedProxies);
    if (this.denied.find(x.ip) > 0) return x.downstream.fail(fault("access.denied", "at run time"));
    if (plan.identityFields !== null) plan.identityFields.strip(x.request.headers);
    if (x.request.headers.received(ID["content-type"])) x.grpc = receivedKind(x.request.headers);
    const refusal = refusalOf(x) ?? (x.grpc === NO_GRPC ? null : GrpcDeadline.start(x, this.wheel));
    if (refusal !== null) return x.downstream.fail(refusal);
    const last = x.request.headers.received(ID["max-forwards"]) ? countForwards(x) : null;
    if (last !== null) return x.downstream.reply(last);
    if (plan.endpoints !== null && x.request.path!.startsWith(PREFIX)) return this.#endpoint(x, plan.endpoints);
    if (plan.endpoints !== null) plan.endpoints.strip(x.request.headers);
    const route = plan.table.find(x);
    if (route === null) return x.downstream.fail(fault("route.none", `${x.request.authority} ${x.request.target}`));
    x.route = route;
    x.params = plan.table.params;
    if (route.retained) x.response = new ResponseHead(); // plugins must not meet in the one that stands for none
    if (x.request.length > route.bodyMax)
      return x.downstream.fail(fault("request.body_too_large", `more than ${route.bodyMax} bytes`));
    const filters = this.switches.current.maintenance.size === 0 ? route.requestFilters : route.closedFilters;
    if (filters.length > 0) this.#filterRequest(x, route, filters, plan, 0);
    else this.#act(x, route, plan);
  }

  /** Below the reserved prefix nothing is forwarded, whatever the routes say. */
  #endpoint(x: Exchange, endpoints: Endpoints): void {
    const send = (outcome: Outcome): void =>
      isFault(outcome) ? x.downstream.fail(outcome) : x.downstream.reply(outcome);
    try {
      const outcome = endpoints.handle(x);
      if (!(outcome instanceof Promise)) return send(outcome);
      outcome.then((settled) => !x.over && send(settled)).catch((error: unknown) => this.#broken(x, "auth", error));
    } catch (error) {
      this.#broken(x, "auth", error);
    }
  }

  #filterRequest(x: Exchange, route: Route, filters: readonly Filter[], plan: WirePlan, from: number): void {
    for (let i = from; i < filters.length; i += 1) {
      const filter = filters[i]!;
      let outcome: ReturnType<NonNullable<typeof filter.request>>;
      try {
        outcome = filter.request!(x);
      } catch (error) {
        return this.#broken(x, filter.name, error);
      }
      if (outcome === undefined) continue;
      if (outcome instanceof Promise) {
        outcome
          .then((settled) => {
            if (x.over) return;
            if (settled === undefined) this.#filterRequest(x, route, filters, plan, i + 1);
            else if (isOutcome(settled)) this.#answer(x, settled);
            else this.#broken(x, filter.name, NO_OUTCOME);
          })
          .catch((error: unknown) => this.#broken(x, filter.name, error));
        return;
      }
      return isOutcome(outcome) ? this.#answer(x, outcome) : this.#broken(x, filter.name, NO_OUTCOME);
    }
    const problem = route.retained ? requestProblem(x) : "";
    if (problem !== "") return this.#broken(x, "use", problem);
    this.#act(x, route, plan);
  }

  #act(x: Exchange, route: Route, plan: WirePlan): void {
    const { action } = route;
    if (action.kind === "reply") return this.#answer(x, action.reply(x));
    if (action.kind === "serve") {
      openTransforms(x);
      return action.serve(x, this);
    }
    const upstream = plan.upstreams.get(action.pick(x));
    if (upstream === undefined) return x.downstream.fail(fault("upstream.none", `no upstream for route ${route.name}`));
    const { cache } = plan;
    const rules = cache === null ? null : plan.caches[route.index];
    if (cache !== null && rules) cache.handle(x, upstream, rules, this);
    else {
      const shared = plan.coalesce[route.index];
      if (shared) this.#coalescer.handle(x, upstream, shared, this);
      else this.forward(x, upstream, this);
    }
  }

  forward(x: Exchange, upstream: Upstream, env: ForwardEnvironment): void {
    if (x.keeper !== null) return Joint.keep(x, upstream, this);
    openTransforms(x);
    const { mirror } = x.route!;
    const copy = mirror === null ? null : this.#mirror(x, mirror);
    x.copy = copy;
    const forward = new Forward(x, upstream, env, copy);
    x.sink = forward;
    forward.start();
  }

  #mirror(x: Exchange, policy: MirrorPolicy): Mirror | null {
    const target = this.plan.upstreams.get(policy.upstream);
    return target === undefined || !policy.sampled() ? null : Mirror.start(x, target, policy.bodyMax);
  }

  send(x: Exchange, upstream: string, request: InnerRequest, handler: InnerHandler): InnerCall {
    return Inner.send(x, this.upstream(upstream), request, handler, this);
  }

  upstream(name: string): Upstream | null {
    return this.plan.upstreams.get(name) ?? null;
  }

  /** Trailers are fields too, and some servers put both into one table. */
  cleanTrailers(trailers: HeaderBlock): void {
    this.plan.identityFields?.strip(trailers);
  }

  answer(x: Exchange, outcome: Outcome): void {
    this.#answer(x, outcome);
  }

  /** Sends an answer of Sluice's own; the route's response filters see it like a server's. */
  #answer(x: Exchange, outcome: Outcome): void {
    if (isFault(outcome)) return x.downstream.fail(outcome);
    const answer = x.grpc === NO_GRPC ? outcome : grpcReply(x, outcome);
    const route = x.route!;
    if (route.responseFilters.length === 0) return x.downstream.reply(answer);
    const head = new ResponseHead();
    head.status = answer.status;
    for (const [name, value] of answer.headers.entries()) head.headers.add(name, value);
    x.response = head;
    x.ownBody = answer.body;
    const send = (): void =>
      x.downstream.reply({ status: head.status, headers: head.headers, body: x.ownBody ?? answer.body });
    const proceed = this.respond(x, { responsePhaseOver: (go) => go && !x.over && send() });
    if (proceed) send();
  }

  respond(x: Exchange, waiter: ResponseWaiter): boolean {
    if (x.grpc !== NO_GRPC) noteGrpcHead(x);
    if (x.cacheStatus !== "") x.response.headers.add("Cache-Status", x.cacheStatus);
    if (this.plan.cache !== null && x.request.method !== "GET") this.plan.cache.onAnswer(x, this.plan.cacheKeys);
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
        outcome
          .then((settled) => {
            if (x.over || x.downstream.answered) return; // the server's fault has been told meanwhile
            if (settled !== undefined) this.#replace(x, filter.name, settled, waiter);
            else if (this.#filterResponse(x, filters, i + 1, waiter)) waiter.responsePhaseOver(true);
          })
          .catch((error: unknown) => {
            if (x.over || x.downstream.answered) return;
            waiter.responsePhaseOver(false);
            this.#broken(x, filter.name, error);
          });
        return false;
      }
      this.#replace(x, filter.name, outcome, waiter);
      return false;
    }
    const problem = x.route!.retained ? responseProblem(x) : "";
    if (problem === "") return true;
    waiter.responsePhaseOver(false);
    this.#broken(x, "use", problem);
    return false;
  }

  /** A response filter gave an answer in place of the server's. */
  #replace(x: Exchange, filter: string, outcome: Outcome, waiter: ResponseWaiter): void {
    waiter.responsePhaseOver(false);
    if (!isOutcome(outcome)) this.#broken(x, filter, NO_OUTCOME);
    else if (isFault(outcome)) x.downstream.fail(outcome);
    else x.downstream.reply(x.grpc === NO_GRPC ? outcome : grpcReply(x, outcome));
  }

  #broken(x: Exchange, filter: string, error: unknown): void {
    const detail = error instanceof Error ? (error.stack ?? error.message) : String(error);
    this.#log.error("a filter failed", { filter, route: x.route?.name, requestId: x.requestId, error: detail });
    if (!x.over) x.downstream.fail(fault("proxy.plugin", filter));
  }

  #onFault(x: Exchange, cause: Fault): void {
    const { cache, cacheKeys } = this.plan;
    if (cause.code === "validate.response" && cache !== null) cache.onAnswer(x, cacheKeys, true);
    this.#tellFault(x, cause);
  }

  /** The client is not told more than it needs, and the access log has the code alone. */
  #tellFault(x: Exchange, { code, detail }: Fault): void {
    if (!this.#log.enabled("debug")) return;
    const { requestId, upstream, status } = x;
    this.#log.debug("a request failed", { requestId, status, code, detail, upstream, server: x.server?.name });
  }

  finished(x: Exchange): void {
    x.over = true;
    x.deadline?.stop();
    x.copy?.gone(); // also where nobody was there yet to be told that the client has left
    const ms = turnTime() - x.startedAt;
    const { requests } = this.plan;
    const method = methodId(x.request.method);
    if (x.grpc !== NO_GRPC) requests.countGrpc(x.route?.name ?? "", x.grpcStatus);
    if (x.coded !== null) requests.countCoded(x.coded);
    if (x.cacheResult !== "") requests.countCache(x.route!.name, x.cacheResult);
    // The route may be one of a plan that a reload has replaced since.
    if (x.route === null) requests.record(-1, method, x.status, ms);
    else requests.recordRoute(x.route.index, x.route.name, method, x.status, ms);
    if (x.tokens !== null) requests.countTokens(x.route!.name, x.tokens);
    if (x.limit !== "") requests.countLimited(x.route!.name, x.limit);
    if (x.route !== null && x.route.finishFilters.length > 0) this.#tellFilters(x, x.route);
    if (this.plan.usage !== null) this.plan.usage.record(x, ms, turnTime());
    for (let held = x.held; held !== null; held = held.next) held.leave();
    if (x.fault !== null) this.#onFault(x, x.fault);
    if (this.watcher !== null) this.watcher.finished(x, ms);
    if (this.accessLog.enabled) this.accessLog.record(accessEntry(x, ms));
  }

  #tellFilters(x: Exchange, { finishFilters }: Route): void {
    for (const filter of finishFilters) {
      try {
        filter.finished!(x);
      } catch (error) {
        this.#log.error("a filter failed", { filter: filter.name, error: String(error) });
      }
    }
  }

  tunnelOpened(tunnel: Tunnel, x: Exchange): void {
    this.tunnels.add(tunnel);
    x.authenticated?.tunnel?.(x, tunnel);
    this.#countTunnels(x.listener, 1);
  }
  tunnelClosed(tunnel: Tunnel, x: Exchange): void {
    this.tunnels.delete(tunnel);
    this.#countTunnels(x.listener, -1);
  }
  /** Between two messages of a gRPC stream there may be nothing to say for as long as in a tunnel. */
  answerSilence(x: Exchange, responseMs: number): number {
    return x.grpc === NO_GRPC && x.rpc !== "stream" ? responseMs : Math.max(responseMs, this.tunnelIdle(x));
  }
  tunnelIdle(x: Exchange): number {
    const own = x.route!.tunnelIdle;
    return own > 0 ? own : x.downstream.tunnelIdle;
  }
}

const NO_OUTCOME = "its result is neither undefined nor an answer made with x.respond()";

/** What no route may serve. */
function refusalOf(x: Exchange): Fault | null {
  const { request } = x;
  if (request.form === "authority") return fault("request.connect");
  if (request.badPath) return fault("request.path", request.target);
  if (request.headers.received(ID.via) && namesThisProxy(request.headers.get("via") ?? "")) return fault("proxy.loop");
  return null;
}
