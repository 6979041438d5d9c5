// Every metric: one row each. Workers count by it, the supervisor renders by it, and docs/observability.md lists it.

export interface MetricSpec {
  readonly type: "counter" | "gauge" | "histogram";
  /** Label names; their values come from the configuration or from a fixed list, never from a request as it is. */
  readonly labels: readonly string[];
  readonly help: string;
}

export const METRICS = {
  sluice_requests_total: {
    type: "counter",
    labels: ["route", "method", "code"],
    help: "Requests answered, by route, method and status.",
  },
  sluice_request_duration_seconds: {
    type: "histogram",
    labels: ["route"],
    help: "Time from the first byte of a request to the last of its answer.",
  },
  sluice_grpc_requests_total: {
    type: "counter",
    labels: ["route", "status"],
    help: "gRPC calls that are over, by route and `grpc-status`; `none` without one, `other` above 16.",
  },
  sluice_cache_requests_total: {
    type: "counter",
    labels: ["route", "result"],
    help: "Requests of routes with a cache: `hit`, `stale`, `revalidated`, `expired`, `miss` or `bypass`.",
  },
  sluice_ratelimited_total: {
    type: "counter",
    labels: ["route", "limit"],
    help: "Requests refused by a rate limit, a quota or a limit of concurrent requests, by its name.",
  },
  sluice_limit_outages_total: {
    type: "counter",
    labels: [],
    help: "How often limits began to be counted without the other machines, because the shared state could not be used.",
  },
  sluice_bans_total: {
    type: "counter",
    labels: ["route", "scope"],
    help: "Clients banned because of what came from them, by the route and the scope of the ban.",
  },
  sluice_auth_total: {
    type: "counter",
    labels: ["kind", "result"],
    help: "Authentication by kind: `login`, `logout`, `required` (nobody known), `refused`, `forbidden`, `throttled` or `failed`.",
  },
  sluice_csp_reports_total: {
    type: "counter",
    labels: ["route"],
    help: "Reports of browsers about a content security policy.",
  },
  sluice_idempotency_total: {
    type: "counter",
    labels: ["route", "result"],
    help: "Requests with a key: `first`, `replayed`, `busy`, `reused` (another request with the same key), `lost` (its answer was too long to be kept), `missing`, `malformed` or `unknown` (the keys could not be looked up).",
  },
  sluice_coalesced_total: {
    type: "counter",
    labels: ["route"],
    help: "Requests that got the answer to another one that was under way.",
  },
  sluice_shed_total: {
    type: "counter",
    labels: ["route", "level"],
    help: "Requests refused because their worker had more to do than it could, by their level: `high`, `normal` or `low`.",
  },
  sluice_deprecated_requests_total: {
    type: "counter",
    labels: ["route", "result"],
    help: "Requests for what is deprecated: `served`, or refused as its time is over (`gone`).",
  },
  sluice_validation_failures_total: {
    type: "counter",
    labels: ["route", "message", "result"],
    help: "Messages (`request` or `response`) that are not as `validate` has them: `refused` or only `logged`.",
  },
  sluice_aggregate_failures_total: {
    type: "counter",
    labels: ["route", "call", "result"],
    help: "Calls of `aggregate` that have failed, and with them the answer (`failed`), or a `default` took their place.",
  },
  sluice_graphql_requests_total: {
    type: "counter",
    labels: ["route", "type", "result"],
    help: "Requests that `graphql` has looked at, by the type of the operation and what became of them: `passed`, or why not.",
  },
  sluice_llm_tokens_total: {
    type: "counter",
    labels: ["route", "provider", "model", "kind"],
    help: "Tokens of language models: `input` (of which `cached`) and `output` (of which `reasoning`).",
  },
  sluice_llm_cost_total: {
    type: "counter",
    labels: ["route", "provider", "model"],
    help: "What they cost by the configured `prices`.",
  },
  sluice_llm_first_byte_seconds: {
    type: "histogram",
    labels: ["route", "provider"],
    help: "Time from a request to the first piece of what a language model answers.",
  },
  sluice_llm_failures_total: {
    type: "counter",
    labels: ["route", "provider", "kind"],
    help: "Requests that a provider of language models has not answered: `connect`, `timeout`, `429` or `5xx`.",
  },
  sluice_llm_redactions_total: {
    type: "counter",
    labels: ["route", "where", "kind"],
    help: "Marks put in place of something, in a `prompt` or an `answer`, by what it was.",
  },
  sluice_tagging_received_total: { type: "counter", labels: ["route"], help: "Events of pages that were taken." },
  sluice_tagging_blocked_total: {
    type: "counter",
    labels: ["route", "why"],
    help: "Events of pages that were not taken: of a `bot`, not to be read (`invalid`), of another `origin`, or without `consent`.",
  },
  sluice_tagging_dropped_total: {
    type: "counter",
    labels: ["route"],
    help: "Events that were dropped as there was no room for them.",
  },
  sluice_tagging_unwanted_total: {
    type: "counter",
    labels: ["route", "destination", "why"],
    help: "Events that a destination did not get: by `consent`, `filter`, `sample`, or their `age`.",
  },
  sluice_tagging_sent_total: {
    type: "counter",
    labels: ["route", "destination"],
    help: "Events that are done with, those that a destination is not to get included.",
  },
  sluice_tagging_retried_total: {
    type: "counter",
    labels: ["route", "destination"],
    help: "Events that have to be sent once more.",
  },
  sluice_tagging_dead_total: {
    type: "counter",
    labels: ["route", "destination"],
    help: "Events that a destination will never take; they are kept to be looked at.",
  },
  sluice_tagging_waiting: {
    type: "gauge",
    labels: ["route", "destination"],
    help: "Events that a destination has still to get.",
  },
  sluice_tagging_queue_age_seconds: {
    type: "gauge",
    labels: ["route", "destination"],
    help: "Since when the oldest of them waits.",
  },
  sluice_tagging_queue_bytes: { type: "gauge", labels: ["route"], help: "What the events take that wait." },
  sluice_tagging_vendor_seconds: {
    type: "gauge",
    labels: ["route", "destination"],
    help: "How long a destination took for the last batch.",
  },
  sluice_waf_matches_total: {
    type: "counter",
    labels: ["rule", "action"],
    help: "Matches of firewall rules, by what became of the request: `block`, `detect` (it would have been) or `pass`.",
  },
  sluice_cache_bytes: { type: "gauge", labels: [], help: "Memory that stored answers take." },
  sluice_cache_addresses: { type: "gauge", labels: [], help: "Addresses of which answers are stored." },
  sluice_cache_evictions_total: {
    type: "counter",
    labels: [],
    help: "Addresses whose answers were forgotten because others needed their room.",
  },
  sluice_cache_disk_bytes: {
    type: "gauge",
    labels: [],
    help: "What the files of the disk tier take, in whole megabytes.",
  },
  sluice_cache_disk_entries: { type: "gauge", labels: [], help: "Answers that the disk tier has." },
  sluice_cache_disk_hits_total: { type: "counter", labels: [], help: "Answers that were found on the disk." },
  sluice_cache_disk_stored_total: { type: "counter", labels: [], help: "Records written to the disk." },
  sluice_cache_disk_lost_total: {
    type: "counter",
    labels: [],
    help: "Answers that were not stored on the disk: too much waited to be written, or writing failed.",
  },
  sluice_cache_disk_damaged_total: {
    type: "counter",
    labels: [],
    help: "Records that were not as they had been written when they were read, and so were not used.",
  },
  sluice_compressed_answers_total: {
    type: "counter",
    labels: ["coding", "result"],
    help: "Answers by content coding and what was done: `encoded`, `kept` (the cache had it encoded), `decoded`, or `busy` (left as they are for want of a coder).",
  },
  sluice_compression_bytes_total: {
    type: "counter",
    labels: ["coding", "result", "direction"],
    help: "Bytes of their content: `in` to the coder, `out` of it.",
  },
  sluice_connections: { type: "gauge", labels: ["listener"], help: "Open client connections." },
  sluice_tunnels: { type: "gauge", labels: ["listener"], help: "Open upgraded connections, such as WebSockets." },
  sluice_upstream_requests_total: {
    type: "counter",
    labels: ["upstream", "server", "code"],
    help: "Requests sent to servers, by the status they answered; code `error` without an answer.",
  },
  sluice_upstream_duration_seconds: {
    type: "histogram",
    labels: ["upstream"],
    help: "Time from a forwarded request to the head of its answer.",
  },
  sluice_retries_total: {
    type: "counter",
    labels: ["upstream"],
    help: "Requests sent again on another connection or to another server.",
  },
  sluice_http2_streams: { type: "gauge", labels: ["listener"], help: "Open streams of HTTP/2 clients." },
  sluice_http2_resets_total: {
    type: "counter",
    labels: ["listener", "by"],
    help: "Streams of HTTP/2 clients that were reset, by `client`, `error` (it broke the rules) or `proxy`.",
  },
  sluice_http2_glitches_total: {
    type: "counter",
    labels: ["listener", "kind"],
    help: "Things that HTTP/2 clients do seldom and attackers do often, by kind.",
  },
  sluice_http2_goaways_total: {
    type: "counter",
    labels: ["listener", "reason"],
    help: "HTTP/2 connections that Sluice ended with GOAWAY, by reason: `drain`, `idle`, or the code of what was wrong.",
  },
  sluice_http3_streams: { type: "gauge", labels: ["listener"], help: "Requests of HTTP/3 clients under way." },
  sluice_http3_resets_total: {
    type: "counter",
    labels: ["listener", "by"],
    help: "Streams of HTTP/3 clients that were reset, by `client`, `error` (it broke the rules) or `proxy`.",
  },
  sluice_http3_glitches_total: {
    type: "counter",
    labels: ["listener", "kind"],
    help: "HTTP/3 connections that Sluice ended for too much of what attacks consist of, by kind.",
  },
  sluice_http3_goaways_total: {
    type: "counter",
    labels: ["listener", "reason"],
    help: "HTTP/3 connections that Sluice ended, by reason: `drain`, `idle` or `glitches`.",
  },
  sluice_tls_handshakes_total: {
    type: "counter",
    labels: ["listener", "result", "version", "reason"],
    help: "TLS handshakes with clients, by result (`ok`, `resumed`, `failed`, `timeout`, `refused`), version and what went wrong.",
  },
  sluice_tls_certificate_expiry_seconds: {
    type: "gauge",
    labels: ["name"],
    help: "When the certificate that is served for a name expires, in seconds since 1970; 0 while ACME has got none.",
  },
  sluice_acme_orders_total: {
    type: "counter",
    labels: ["result"],
    help: "Certificates asked for by ACME, by result: `obtained` (the first for a name), `renewed` or `failed`.",
  },
  sluice_stream_sessions_total: {
    type: "counter",
    labels: ["listener", "upstream", "result"],
    help: "Connections and sessions of layer 4 that are over, by result: `ok`, or who broke them: `client`, `upstream`, `proxy`.",
  },
  sluice_stream_bytes_total: {
    type: "counter",
    labels: ["listener", "direction"],
    help: "Bytes of connections and sessions of layer 4, when they are over: `in` from clients, `out` to them.",
  },
  sluice_udp_sessions: { type: "gauge", labels: ["listener"], help: "UDP sessions at the moment." },
  sluice_udp_datagrams_dropped_total: {
    type: "counter",
    labels: ["listener", "reason"],
    help: "Datagrams dropped: `sessions` (too many), `no-server`, `draining`, `waiting` (for a name), `send` (refused by the system).",
  },
  sluice_retry_budget_exhausted_total: {
    type: "counter",
    labels: ["upstream"],
    help: "Retries and hedged requests that were not sent because the budget was spent.",
  },
  sluice_hedged_requests_total: {
    type: "counter",
    labels: ["upstream"],
    help: "Requests sent to a further server because the first was slow.",
  },
  sluice_upstream_ejections_total: {
    type: "counter",
    labels: ["upstream", "reason"],
    help: "Servers left out for a while because of their answers.",
  },
  sluice_upstream_http2_connections: {
    type: "gauge",
    labels: ["upstream"],
    help: "Open HTTP/2 connections to servers.",
  },
  sluice_upstream_http2_streams: {
    type: "gauge",
    labels: ["upstream"],
    help: "Requests on HTTP/2 connections to servers.",
  },
  sluice_upstream_http2_goaways_total: {
    type: "counter",
    labels: ["upstream"],
    help: "HTTP/2 connections that servers wound up (GOAWAY).",
  },
  sluice_upstream_http2_refused_total: {
    type: "counter",
    labels: ["upstream"],
    help: "Requests that servers turned away unprocessed (REFUSED_STREAM, or above the last stream of a GOAWAY).",
  },
  sluice_upstream_queued: {
    type: "gauge",
    labels: ["upstream"],
    help: "Requests that wait for a server with room.",
  },
  sluice_upstream_in_flight: {
    type: "gauge",
    labels: ["upstream", "server"],
    help: "Requests and tunnels at a server.",
  },
  sluice_upstream_healthy: {
    type: "gauge",
    labels: ["upstream", "server"],
    help: "1 for a server that may get requests, 0 for one that its health, its outcomes or an operator keep from it.",
  },
  sluice_upstream_circuit_open: {
    type: "gauge",
    labels: ["upstream"],
    help: "1 while the circuit breaker of the upstream is open, 0.5 while it tries, else 0.",
  },
  sluice_health_checks_total: {
    type: "counter",
    labels: ["upstream", "result"],
    help: "Active health checks, by result: `ok` or `failed`.",
  },
  sluice_access_log_dropped_total: {
    type: "counter",
    labels: [],
    help: "Access log lines lost because what stores or reads them was full, gone or too slow.",
  },
  sluice_metric_series_refused_total: {
    type: "counter",
    labels: [],
    help: "Metric series not kept because the limit of a worker was reached.",
  },
  sluice_config_reloads_total: {
    type: "counter",
    labels: ["result"],
    help: "Reloads of the configuration, by result: `ok` or `failed`.",
  },
  sluice_worker_restarts_total: { type: "counter", labels: [], help: "Worker threads that ended and were replaced." },
  sluice_worker_cpu_seconds_total: {
    type: "counter",
    labels: ["worker"],
    help: "CPU time of a worker thread, user and system.",
  },
  sluice_worker_memory_bytes: { type: "gauge", labels: ["worker"], help: "JavaScript heap in use by a worker thread." },
  sluice_worker_event_loop_lag_seconds: {
    type: "gauge",
    labels: ["worker"],
    help: "Longest delay of a timer in a worker thread during the last ten seconds.",
  },
  process_cpu_seconds_total: { type: "counter", labels: [], help: "CPU time of the process, user and system." },
  process_resident_memory_bytes: { type: "gauge", labels: [], help: "Resident memory of the process." },
  process_start_time_seconds: { type: "gauge", labels: [], help: "Start of the process, in seconds since 1970." },
} as const satisfies Record<string, MetricSpec>;

export type MetricName = keyof typeof METRICS;
type NamesOf<T extends MetricSpec["type"]> = {
  [N in MetricName]: (typeof METRICS)[N]["type"] extends T ? N : never;
}[MetricName];
export type CellName = NamesOf<"counter" | "gauge">;
export type HistogramName = NamesOf<"histogram">;
type Texts<T extends readonly string[]> = { readonly [I in keyof T]: string };
/** A value for each label of the metric, in the order of the table. */
export type LabelValues<N extends MetricName> = Texts<(typeof METRICS)[N]["labels"]>;

/** Upper bounds of the histogram buckets in seconds: three to a decade, from a local cache hit to the default time-outs. */
export const BUCKETS: readonly number[] = [
  0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60,
];
/** A histogram's numbers: one for each bucket (not cumulative), one above the last, and the sum. */
export const HISTOGRAM_SLOTS = BUCKETS.length + 2;

/** How many numbers a series of this metric takes. */
export const slotsOf = (name: MetricName): number => (METRICS[name].type === "histogram" ? HISTOGRAM_SLOTS : 1);
