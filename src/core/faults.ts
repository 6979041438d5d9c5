// Every way in which a request can fail: one row each. Answers, logs, metrics, documentation and the retry loop read
// it.
import type { FaultSpec } from "./fault-spec.ts";
import { GATEWAY_FAULTS } from "./gateway-faults.ts";
import { LLM_FAULTS } from "./llm-faults.ts";
import { UPSTREAM_FAULTS } from "./upstream-faults.ts";

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
  "auth.required": {
    status: 401,
    side: "proxy",
    retry: "never",
    proxyStatus: "http_request_denied",
    title: "Sign in first: this is only for those who are known here.",
  },
  "auth.refused": {
    status: 401,
    side: "proxy",
    retry: "never",
    proxyStatus: "http_request_denied",
    title: "These credentials do not let anybody in here.",
  },
  "auth.forbidden": {
    status: 403,
    side: "proxy",
    retry: "never",
    proxyStatus: "http_request_denied",
    title: "You are signed in, but this is not for you.",
  },
  "auth.certificate": {
    status: 403,
    side: "proxy",
    retry: "never",
    proxyStatus: "http_request_denied",
    title: "This needs a certificate of yours that is known here.",
  },
  "auth.ended": {
    status: 401,
    side: "proxy",
    retry: "never",
    proxyStatus: "http_request_denied",
    title: "Your session has ended.",
  },
  "auth.unavailable": {
    status: 503,
    side: "proxy",
    retry: "never",
    proxyStatus: "destination_unavailable",
    title: "It cannot be found out at the moment who you are.",
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
  "validate.request": {
    status: 400,
    side: "client",
    retry: "never",
    proxyStatus: "http_request_error",
    title: "The request is not as described.",
  },
  "validate.path": {
    status: 404,
    side: "client",
    retry: "never",
    proxyStatus: "http_request_denied",
    title: "There is no such path.",
  },
  "validate.method": {
    status: 405,
    side: "client",
    retry: "never",
    proxyStatus: "http_request_denied",
    title: "The path does not have this method.",
  },
  "validate.type": {
    status: 415,
    side: "client",
    retry: "never",
    proxyStatus: "http_request_denied",
    title: "The body is of a kind that is not taken here.",
  },
  "mock.type": {
    status: 406,
    side: "proxy",
    retry: "never",
    proxyStatus: "http_request_denied",
    title: "There is no answer of a kind that is wanted.",
  },
  "validate.response": {
    status: 502,
    side: "upstream",
    retry: "never",
    proxyStatus: "http_protocol_error",
    title: "The server gave an answer that is not as described.",
  },
  ...GATEWAY_FAULTS,
  "limit.rate": {
    status: 429,
    side: "proxy",
    retry: "never",
    proxyStatus: "http_request_denied",
    title: "Too many requests: slow down.",
  },
  "limit.tokens": {
    status: 429,
    side: "proxy",
    retry: "never",
    proxyStatus: "http_request_denied",
    title: "The quota of tokens is used up.",
  },
  "limit.plan": {
    status: 403,
    side: "proxy",
    retry: "never",
    proxyStatus: "http_request_denied",
    title: "There is no plan that lets you use this.",
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
  ...LLM_FAULTS,
  ...UPSTREAM_FAULTS,
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
