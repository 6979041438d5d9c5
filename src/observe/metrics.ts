// What a worker counts, with the lookups that keep text off the hot path: routes and methods are numbers here.
import { METHODS as KNOWN } from "../core/methods.ts";
import type { LabelValues } from "./metric-table.ts";
import { type Cell, type Histogram, type MetricsMessage, MetricsPage } from "./metrics-page.ts";

/** All methods but the known ones are one, or a client could make series at will. */
const METHODS = [...KNOWN, "other"] as const;
const OTHER_METHOD = METHODS.length - 1;
const METHOD_IDS: ReadonlyMap<string, number> = new Map(METHODS.slice(0, OTHER_METHOD).map((name, id) => [name, id]));

/** The number of a method for `RequestMetrics`. */
export function methodId(method: string): number {
  return METHOD_IDS.get(method) ?? OTHER_METHOD;
}

/** The route label of requests that no route took, or that failed before one was looked for. */
const NO_ROUTE = "-";
const CODE_STRIDE = 1024; // a power of two above 599
const METHOD_STRIDE = 16;
/** The largest code of gRPC (UNAUTHENTICATED). */
const GRPC_STATUS_MAX = 16;

/** Three digits as they are; what is no status at all (RFC 9110 §15) is `other`. */
const isStatus = (status: number): boolean => status >= 100 && status <= 599;

/** A body that went through a coder, as an exchange notes it. */
export interface CodedCount {
  readonly coding: string;
  readonly result: string;
  readonly bytesIn: number;
  readonly bytesOut: number;
}

/** What a language model has read and written, as an exchange notes it (pipeline/tokens.ts). */
export interface TokenCount {
  readonly provider: string;
  readonly model: string;
  readonly input: number;
  readonly cached: number;
  readonly output: number;
  readonly reasoning: number;
  readonly cost: number;
  readonly firstMs: number;
}

interface TokenSlots {
  readonly input: number;
  readonly cached: number;
  readonly output: number;
  readonly reasoning: number;
  readonly cost: number;
  readonly first: Histogram;
}

/** The counts of requests by route; made anew for every plan, over the same numbers where names stay the same. */
type CodedSlots = readonly [answers: number, bytesIn: number, bytesOut: number];

export class RequestMetrics {
  readonly #page: MetricsPage;
  /** By route index + 1; the first is for requests without a route. */
  readonly #names: readonly string[];
  readonly #durations: (Histogram | null)[];
  /** Slots by route, method and status in one number. */
  readonly #slots = new Map<number, number>();
  /** By route; of each the slots by grpc-status + 1. */
  readonly #grpcSlots = new Map<string, (number | undefined)[]>();
  /** By route, then by the name of the limit. */
  readonly #limitSlots = new Map<string, Map<string, number>>();
  /** By route, then by result. */
  readonly #cacheSlots = new Map<string, Map<string, number>>();
  /** By result and coding: slots of the answers, and of the bytes in and out. */
  readonly #codedSlots = new Map<string, Map<string, CodedSlots>>();

  /** By route, provider and model, with a space between them: none of their names has one. */
  readonly #tokenSlots = new Map<string, TokenSlots>();

  constructor(page: MetricsPage, routes: readonly string[]) {
    this.#page = page;
    this.#names = [NO_ROUTE, ...routes];
    this.#durations = this.#names.map(() => null);
  }

  /** Counts a finished request and its duration. `routeIndex` is -1 without a route. */
  record(routeIndex: number, method: number, status: number, durationMs: number): void {
    this.count(routeIndex, method, status);
    const durations = this.#durations;
    const at = routeIndex + 1;
    const histogram = (durations[at] ??= this.#page.histogram("sluice_request_duration_seconds", [this.#names[at]!]));
    histogram.observe(durationMs / 1000);
  }

  /** `record` for a route of this plan, or of one before it in which its index stood for another name. */
  recordRoute(index: number, name: string, method: number, status: number, durationMs: number): void {
    if (this.#names[index + 1] === name) return this.record(index, method, status, durationMs);
    const code = isStatus(status) ? String(status) : "other";
    this.#page.add(this.#page.slot("sluice_requests_total", [name, METHODS[method]!, code]), 1);
    this.#page.histogram("sluice_request_duration_seconds", [name]).observe(durationMs / 1000);
  }

  /** Counts a finished request. `routeIndex` is -1 without a route. */
  count(routeIndex: number, method: number, status: number): void {
    const code = isStatus(status) ? status : 0;
    const key = ((routeIndex + 1) * METHOD_STRIDE + method) * CODE_STRIDE + code;
    const slot = this.#slots.get(key);
    this.#page.add(slot === undefined ? this.#resolve(key, routeIndex + 1, method, code) : slot, 1);
  }

  /** Counts a gRPC call that is over. `route` is "" without one, `status` -1. */
  countGrpc(route: string, status: number): void {
    const at = Math.min(status, GRPC_STATUS_MAX + 1) + 1;
    let slots = this.#grpcSlots.get(route);
    if (slots === undefined) {
      slots = new Array(GRPC_STATUS_MAX + 3).fill(undefined);
      this.#grpcSlots.set(route, slots);
    }
    slots[at] ??= this.#page.slot("sluice_grpc_requests_total", [
      route === "" ? NO_ROUTE : route,
      status < 0 ? "none" : status > GRPC_STATUS_MAX ? "other" : String(status),
    ]);
    this.#page.add(slots[at], 1);
  }

  /** Counts a request that a limit refused, which is what a flood consists of: slots are looked up once. */
  countLimited(route: string, limit: string): void {
    this.#page.add(this.#slotBy(this.#limitSlots, "sluice_ratelimited_total", route, limit), 1);
  }

  /** Counts what the cache did with a request. */
  countCache(route: string, result: string): void {
    this.#page.add(this.#slotBy(this.#cacheSlots, "sluice_cache_requests_total", route, result), 1);
  }

  #slotBy(
    byRoute: Map<string, Map<string, number>>,
    name: "sluice_cache_requests_total" | "sluice_ratelimited_total",
    route: string,
    label: string,
  ): number {
    let slots = byRoute.get(route);
    if (slots === undefined) {
      slots = new Map();
      byRoute.set(route, slots);
    }
    let slot = slots.get(label);
    if (slot === undefined) {
      slot = this.#page.slot(name, [route, label]);
      slots.set(label, slot);
    }
    return slot;
  }

  /** Counts what was done about the content coding of an answer. */
  countCoded({ coding, result, bytesIn, bytesOut }: CodedCount): void {
    let byCoding = this.#codedSlots.get(result);
    if (byCoding === undefined) {
      byCoding = new Map();
      this.#codedSlots.set(result, byCoding);
    }
    let slots = byCoding.get(coding);
    if (slots === undefined) {
      const page = this.#page;
      slots = [
        page.slot("sluice_compressed_answers_total", [coding, result]),
        page.slot("sluice_compression_bytes_total", [coding, result, "in"]),
        page.slot("sluice_compression_bytes_total", [coding, result, "out"]),
      ];
      byCoding.set(coding, slots);
    }
    this.#page.add(slots[0], 1);
    this.#page.add(slots[1], bytesIn);
    this.#page.add(slots[2], bytesOut);
  }

  /** Counts what a language model has read and written. */
  countTokens(route: string, tokens: TokenCount): void {
    const key = `${route} ${tokens.provider} ${tokens.model}`;
    const slots = this.#tokenSlots.get(key) ?? this.#resolveTokens(key, route, tokens.provider, tokens.model);
    const page = this.#page;
    page.add(slots.input, tokens.input);
    page.add(slots.output, tokens.output);
    if (tokens.cached > 0) page.add(slots.cached, tokens.cached);
    if (tokens.reasoning > 0) page.add(slots.reasoning, tokens.reasoning);
    if (tokens.cost > 0) page.add(slots.cost, tokens.cost);
    if (tokens.firstMs > 0) slots.first.observe(tokens.firstMs / 1000);
  }

  #resolveTokens(key: string, route: string, provider: string, model: string): TokenSlots {
    const page = this.#page;
    const slot = (kind: string): number => page.slot("sluice_llm_tokens_total", [route, provider, model, kind]);
    const slots: TokenSlots = {
      input: slot("input"),
      cached: slot("cached"),
      output: slot("output"),
      reasoning: slot("reasoning"),
      cost: page.slot("sluice_llm_cost_total", [route, provider, model]),
      first: page.histogram("sluice_llm_first_byte_seconds", [route, provider]),
    };
    this.#tokenSlots.set(key, slots);
    return slots;
  }

  #resolve(key: number, route: number, method: number, code: number): number {
    const labels: LabelValues<"sluice_requests_total"> = [
      this.#names[route]!,
      METHODS[method]!,
      code === 0 ? "other" : String(code),
    ];
    const slot = this.#page.slot("sluice_requests_total", labels);
    this.#slots.set(key, slot);
    return slot;
  }
}

/** The counts of one server of an upstream. */
export class ServerMetrics {
  readonly #page: MetricsPage;
  readonly #upstream: string;
  readonly #server: string;
  readonly #slots = new Map<number, number>();

  constructor(page: MetricsPage, upstream: string, server: string) {
    this.#page = page;
    this.#upstream = upstream;
    this.#server = server;
  }

  /** Ends its series: the server is gone. */
  end(): void {
    for (const slot of this.#slots.values()) this.#page.end(slot);
    this.#slots.clear();
  }

  /** Counts a request sent to the server; `status` is 0 when it did not answer. */
  count(status: number): void {
    const code = isStatus(status) ? status : status === 0 ? 0 : 1;
    this.#page.add(this.#slots.get(code) ?? this.#resolve(code), 1);
  }

  #resolve(code: number): number {
    const text = code === 0 ? "error" : code === 1 ? "other" : String(code);
    const slot = this.#page.slot("sluice_upstream_requests_total", [this.#upstream, this.#server, text]);
    this.#slots.set(code, slot);
    return slot;
  }
}

/** The counts of one upstream. */
export interface UpstreamMetrics {
  /** Seconds from the forwarded request to the head of its answer. */
  readonly duration: Histogram;
  readonly retries: Cell;
  readonly budgetExhausted: Cell;
  readonly hedges: Cell;
  ejections(reason: string): Cell;
  server(name: string): ServerMetrics;
  http2(): Http2Metrics;
}

/** The counts of an upstream's connections that carry many requests at a time. */
export interface Http2Metrics {
  readonly connections: Cell;
  readonly streams: Cell;
  readonly goaways: Cell;
  readonly refused: Cell;
}

/** Who ended a stream before its time: the client, a stream that broke the rules, or we. */
export type ResetCause = "client" | "error" | "proxy";

/** The counts of a listener's HTTP/2 or HTTP/3 connections. */
export interface ClientHttp2Metrics {
  readonly streams: Cell;
  resets(cause: ResetCause): Cell;
  glitches(kind: string): Cell;
  goaways(reason: string): Cell;
}

/** What the cache of a worker holds. */
export interface CacheMetrics {
  readonly bytes: Cell;
  readonly addresses: Cell;
  readonly evictions: Cell;
}

/** Everything that one worker counts. Keep what the methods return: each looks its series up by text. */
export class Metrics {
  readonly page: MetricsPage;
  readonly accessLogDropped: Cell;

  /** `post` carries pages and series to the supervisor's MetricsStore. */
  constructor(post: (message: MetricsMessage) => void) {
    this.page = new MetricsPage(post);
    this.accessLogDropped = this.page.cell("sluice_access_log_dropped_total", []);
  }

  /** The counts for a plan, by route index. */
  requests(routes: readonly string[]): RequestMetrics {
    return new RequestMetrics(this.page, routes);
  }
  /** Open client connections of a listener. */
  connections(listener: string): Cell {
    return this.page.cell("sluice_connections", [listener]);
  }
  /** Open upgraded connections of a listener. */
  tunnels(listener: string): Cell {
    return this.page.cell("sluice_tunnels", [listener]);
  }
  http2(listener: string): ClientHttp2Metrics {
    const { page } = this;
    return {
      streams: page.cell("sluice_http2_streams", [listener]),
      resets: (cause) => page.cell("sluice_http2_resets_total", [listener, cause]),
      glitches: (kind) => page.cell("sluice_http2_glitches_total", [listener, kind]),
      goaways: (reason) => page.cell("sluice_http2_goaways_total", [listener, reason]),
    };
  }
  http3(listener: string): ClientHttp2Metrics {
    const { page } = this;
    return {
      streams: page.cell("sluice_http3_streams", [listener]),
      resets: (cause) => page.cell("sluice_http3_resets_total", [listener, cause]),
      glitches: (kind) => page.cell("sluice_http3_glitches_total", [listener, kind]),
      goaways: (reason) => page.cell("sluice_http3_goaways_total", [listener, reason]),
    };
  }
  cache(): CacheMetrics {
    const { page } = this;
    return {
      bytes: page.cell("sluice_cache_bytes", []),
      addresses: page.cell("sluice_cache_addresses", []),
      evictions: page.cell("sluice_cache_evictions_total", []),
    };
  }
  /** What filters count now and then. */
  shared(
    name:
      | "sluice_csp_reports_total"
      | "sluice_bans_total"
      | "sluice_waf_matches_total"
      | "sluice_validation_failures_total"
      | "sluice_deprecated_requests_total"
      | "sluice_graphql_requests_total"
      | "sluice_aggregate_failures_total"
      | "sluice_idempotency_total"
      | "sluice_coalesced_total"
      | "sluice_shed_total"
      | "sluice_llm_failures_total"
      | "sluice_llm_redactions_total"
      | "sluice_tagging_blocked_total"
      | "sluice_auth_total",
    labels: readonly string[],
  ): Cell {
    return this.page.cell(name, labels as unknown as LabelValues<typeof name>);
  }
  handshakes(listener: string, result: string, version: string, reason: string): Cell {
    return this.page.cell("sluice_tls_handshakes_total", [listener, result, version, reason]);
  }
  upstream(name: string): UpstreamMetrics {
    const { page } = this;
    return {
      duration: this.page.histogram("sluice_upstream_duration_seconds", [name]),
      retries: this.page.cell("sluice_retries_total", [name]),
      // Looked up when they happen, which is seldom: most upstreams need no series for them.
      get budgetExhausted() {
        return page.cell("sluice_retry_budget_exhausted_total", [name]);
      },
      get hedges() {
        return page.cell("sluice_hedged_requests_total", [name]);
      },
      ejections: (reason) => page.cell("sluice_upstream_ejections_total", [name, reason]),
      server: (server) => new ServerMetrics(this.page, name, server),
      http2: () => ({
        connections: page.cell("sluice_upstream_http2_connections", [name]),
        streams: page.cell("sluice_upstream_http2_streams", [name]),
        goaways: page.cell("sluice_upstream_http2_goaways_total", [name]),
        refused: page.cell("sluice_upstream_http2_refused_total", [name]),
      }),
    };
  }
}
