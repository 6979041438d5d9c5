// Every way in which a request can fail: one row each. Answers, logs, metrics, documentation and the retry loop read
// it.

export interface FaultSpec {
  /** Status of the answer that Sluice makes (RFC 9110); 0 when nobody is left to read one. */
  readonly status: number;
  /** Whose doing it is. */
  readonly side: "client" | "upstream" | "proxy";
  /**
   * When the request may be tried again: `always`, as nothing was sent; where sending it twice does no harm, `reset`
   * when the connection broke, and `status` when the retry policy asks about this status.
   */
  readonly retry: "never" | "reset" | "status" | "always";
  /** The error type of the Proxy-Status field (RFC 9209 §2.3). */
  readonly proxyStatus: string;
  /** What the client is told, in one sentence, without internals. */
  readonly title: string;
}

export const FAULTS = {
  // What the client sent (RFC 9112).
  "h1.bad_request": {
    status: 400,
    side: "client",
    retry: "never",
    proxyStatus: "http_request_error",
    title: "The request is malformed.",
  },
  "h1.request_line_too_long": {
    status: 414,
    side: "client",
    retry: "never",
    proxyStatus: "http_request_error",
    title: "The request target is too long.",
  },
  "h1.head_too_large": {
    status: 431,
    side: "client",
    retry: "never",
    proxyStatus: "http_request_error",
    title: "The request header fields are too large.",
  },
  "h1.method_unknown": {
    status: 501,
    side: "client",
    retry: "never",
    proxyStatus: "http_request_error",
    title: "The request method is not known here.",
  },
  "h1.coding_unknown": {
    status: 501,
    side: "client",
    retry: "never",
    proxyStatus: "http_request_error",
    title: "The transfer coding is not known here.",
  },
  "h1.version_unsupported": {
    status: 505,
    side: "client",
    retry: "never",
    proxyStatus: "http_request_error",
    title: "This HTTP version is not supported.",
  },
  "h1.expectation": {
    status: 417,
    side: "client",
    retry: "never",
    proxyStatus: "http_request_error",
    title: "The expectation cannot be met.",
  },
  // What an HTTP/2 client's connection ends with (RFC 9113 §5.4.1); single requests have the ones above and below.
  "h2.protocol": {
    status: 400,
    side: "client",
    retry: "never",
    proxyStatus: "http_protocol_error",
    title: "The connection breaks the rules of HTTP/2.",
  },
  "h2.abuse": {
    status: 429,
    side: "client",
    retry: "never",
    proxyStatus: "http_protocol_error",
    title: "The connection costs more than its requests explain.",
  },
  "request.path": {
    status: 400,
    side: "client",
    retry: "never",
    proxyStatus: "http_request_error",
    title: "The request target is ambiguous or malformed.",
  },
  "request.connect": {
    status: 405,
    side: "client",
    retry: "never",
    proxyStatus: "http_request_denied",
    title: "CONNECT is not served here.",
  },
  "request.misdirected": {
    status: 421,
    side: "client",
    retry: "never",
    proxyStatus: "http_request_error",
    title: "This connection was not made for that host.",
  },
  "request.protocol": {
    status: 501,
    side: "client",
    retry: "never",
    proxyStatus: "http_request_error",
    title: "The protocol to connect with is not known here.",
  },
  "request.timeout": {
    status: 408,
    side: "client",
    retry: "never",
    proxyStatus: "http_request_error",
    title: "The request took too long to arrive.",
  },
  "request.body_too_large": {
    status: 413,
    side: "client",
    retry: "never",
    proxyStatus: "http_request_error",
    title: "The request body is too large.",
  },
  "request.body_ahead": {
    status: 503,
    side: "client",
    retry: "never",
    proxyStatus: "http_request_error",
    title: "The request body came faster than it could be passed on.",
  },
  "request.uri_too_long": {
    status: 414,
    side: "client",
    retry: "never",
    proxyStatus: "http_request_error",
    title: "The request target is too long.",
  },
  "request.headers_too_large": {
    status: 431,
    side: "client",
    retry: "never",
    proxyStatus: "http_request_error",
    title: "The request header fields are too large.",
  },
  "request.grpc_timeout": {
    status: 400,
    side: "client",
    retry: "never",
    proxyStatus: "http_request_error",
    title: "The request's grpc-timeout is malformed.",
  },
  "request.grpc_web": {
    status: 400,
    side: "client",
    retry: "never",
    proxyStatus: "http_request_error",
    title: "The body of the gRPC-Web request is malformed.",
  },
  "client.gone": {
    status: 499,
    side: "client",
    retry: "never",
    proxyStatus: "http_request_error",
    title: "The client went away.",
  },
  // What Sluice decides.
  "route.none": {
    status: 404,
    side: "proxy",
    retry: "never",
    proxyStatus: "destination_not_found",
    title: "Nothing is served at this address.",
  },
  "file.none": {
    status: 404,
    side: "proxy",
    retry: "never",
    proxyStatus: "destination_not_found",
    title: "There is no such file.",
  },
  "file.denied": {
    status: 403,
    side: "proxy",
    retry: "never",
    proxyStatus: "http_request_denied",
    title: "The file may not be read.",
  },
  "file.failed": {
    status: 500,
    side: "proxy",
    retry: "never",
    proxyStatus: "proxy_internal_error",
    title: "The file could not be read.",
  },
  "file.changed": {
    status: 500,
    side: "proxy",
    retry: "never",
    proxyStatus: "http_response_incomplete",
    title: "The file was changed while it was sent.",
  },
  "cache.not_stored": {
    status: 504,
    side: "proxy",
    retry: "never",
    proxyStatus: "http_request_denied",
    title: "No stored answer fits, and the request forbids to ask the server.",
  },
  "access.denied": {
    status: 403,
    side: "proxy",
    retry: "never",
    proxyStatus: "http_request_denied",
    title: "Access is denied.",
  },
  "access.method": {
    status: 405,
    side: "proxy",
    retry: "never",
    proxyStatus: "http_request_denied",
    title: "The method is not allowed here.",
  },
  "bot.denied": {
    status: 403,
    side: "proxy",
    retry: "never",
    proxyStatus: "http_request_denied",
    title: "Access is denied.",
  },
  "bot.challenge": {
    status: 403,
    side: "proxy",
    retry: "never",
    proxyStatus: "http_request_denied",
    title: "This is for browsers: open the page in one first.",
  },
  "cors.denied": {
    status: 403,
    side: "proxy",
    retry: "never",
    proxyStatus: "http_request_denied",
    title: "Pages of that origin may not use this.",
  },
  "redirect.denied": {
    status: 400,
    side: "proxy",
    retry: "never",
    proxyStatus: "http_request_denied",
    title: "There is no redirect to that host.",
  },
  "waf.blocked": {
    status: 403,
    side: "proxy",
    retry: "never",
    proxyStatus: "http_request_denied",
    title: "The request was refused.",
  },
  "limit.rate": {
    status: 429,
    side: "proxy",
    retry: "never",
    proxyStatus: "http_request_denied",
    title: "Too many requests: slow down.",
  },
  "limit.quota": {
    status: 429,
    side: "proxy",
    retry: "never",
    proxyStatus: "http_request_denied",
    title: "The quota of requests is used up.",
  },
  "limit.concurrent": {
    status: 429,
    side: "proxy",
    retry: "never",
    proxyStatus: "connection_limit_reached",
    title: "Too many requests at the same time.",
  },
  "limit.failures": {
    status: 429,
    side: "proxy",
    retry: "never",
    proxyStatus: "http_request_denied",
    title: "Too many failures: try again later.",
  },
  "limit.busy": {
    status: 503,
    side: "proxy",
    retry: "never",
    proxyStatus: "connection_limit_reached",
    title: "Too many requests are under way.",
  },
  "proxy.loop": {
    status: 508,
    side: "proxy",
    retry: "never",
    proxyStatus: "proxy_loop_detected",
    title: "The request came back to this proxy.",
  },
  "proxy.plugin": {
    status: 500,
    side: "proxy",
    retry: "never",
    proxyStatus: "proxy_internal_error",
    title: "The request could not be processed.",
  },
  "proxy.internal": {
    status: 500,
    side: "proxy",
    retry: "never",
    proxyStatus: "proxy_internal_error",
    title: "The request could not be processed.",
  },
  "proxy.shutdown": {
    status: 503,
    side: "proxy",
    retry: "never",
    proxyStatus: "connection_terminated",
    title: "The proxy is shutting down.",
  },
  // What the upstream did.
  "upstream.none": {
    status: 503,
    side: "upstream",
    retry: "never",
    proxyStatus: "destination_unavailable",
    title: "No server is available.",
  },
  "upstream.dns": {
    status: 503,
    side: "upstream",
    retry: "always",
    proxyStatus: "dns_error",
    title: "The server's name could not be resolved.",
  },
  "upstream.queue_full": {
    status: 503,
    side: "upstream",
    retry: "never",
    proxyStatus: "connection_limit_reached",
    title: "The servers are busy.",
  },
  "upstream.queue_timeout": {
    status: 503,
    side: "upstream",
    retry: "never",
    proxyStatus: "connection_limit_reached",
    title: "The servers are busy.",
  },
  "upstream.connect_refused": {
    status: 502,
    side: "upstream",
    retry: "always",
    proxyStatus: "connection_refused",
    title: "The server could not be reached.",
  },
  "upstream.connect_timeout": {
    status: 504,
    side: "upstream",
    retry: "always",
    proxyStatus: "connection_timeout",
    title: "The server could not be reached in time.",
  },
  "upstream.tls": {
    status: 502,
    side: "upstream",
    retry: "always",
    proxyStatus: "tls_protocol_error",
    title: "The server could not be reached securely.",
  },
  "upstream.certificate": {
    status: 502,
    side: "upstream",
    retry: "always",
    proxyStatus: "tls_certificate_error",
    title: "The server could not prove who it is.",
  },
  "upstream.reset_on_reuse": {
    status: 502,
    side: "upstream",
    retry: "reset",
    proxyStatus: "connection_terminated",
    title: "The server closed the connection.",
  },
  "upstream.reset": {
    status: 502,
    side: "upstream",
    retry: "reset",
    proxyStatus: "connection_terminated",
    title: "The server closed the connection before it answered.",
  },
  "upstream.refused": {
    status: 503,
    side: "upstream",
    retry: "always",
    proxyStatus: "connection_limit_reached",
    title: "The server takes no more requests.",
  },
  "upstream.down": {
    status: 503,
    side: "upstream",
    retry: "reset",
    proxyStatus: "destination_unavailable",
    title: "The server is down.",
  },
  "upstream.circuit_open": {
    status: 503,
    side: "upstream",
    retry: "never",
    proxyStatus: "destination_unavailable",
    title: "The servers have failed too many requests and are given a rest.",
  },
  "upstream.deadline": {
    status: 504,
    side: "upstream",
    retry: "never",
    proxyStatus: "http_response_timeout",
    title: "No server answered in time.",
  },
  "upstream.response_timeout": {
    status: 504,
    side: "upstream",
    retry: "status",
    proxyStatus: "http_response_timeout",
    title: "The server did not answer in time.",
  },
  "upstream.bad_response": {
    status: 502,
    side: "upstream",
    retry: "status",
    proxyStatus: "http_protocol_error",
    title: "The server's answer is malformed.",
  },
  "upstream.head_too_large": {
    status: 502,
    side: "upstream",
    retry: "status",
    proxyStatus: "http_response_header_section_size",
    title: "The server's answer has too large a header section.",
  },
  "upstream.incomplete": {
    status: 502,
    side: "upstream",
    retry: "never",
    proxyStatus: "http_response_incomplete",
    title: "The server's answer ended too early.",
  },
  "upstream.upgrade": {
    status: 502,
    side: "upstream",
    retry: "never",
    proxyStatus: "http_upgrade_failed",
    title: "The server's upgrade does not match the request.",
  },
} as const satisfies Record<string, FaultSpec>;

export type FaultCode = keyof typeof FAULTS;

/** One failure: a row of the table and what was seen, for the log only. A value, not an exception: cheap under attack. */
export interface Fault {
  readonly code: FaultCode;
  /** What exactly was wrong, for logs; never sent to clients, never a secret. */
  readonly detail: string;
  /** Seconds after which it may be worth another try, where that is known; 0 otherwise. */
  readonly retryAfter: number;
}

export const fault = (code: FaultCode, detail = "", retryAfter = 0): Fault => ({ code, detail, retryAfter });
export const specOf = (f: Fault): FaultSpec => FAULTS[f.code];

/** Carries a fault through code that throws. */
export class FaultError extends Error {
  readonly fault: Fault;
  constructor(f: Fault) {
    super(f.detail === "" ? f.code : `${f.code}: ${f.detail}`);
    this.name = "FaultError";
    this.fault = f;
  }
}
