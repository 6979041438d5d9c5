// The admin listener: an HTTP server of its own on the main thread, away from proxied traffic.
import { type Address, parseListen } from "../config/address.ts";
import type { Log } from "../observe/log.ts";
import { problem } from "./admin-answers.ts";
import type { AdminBackend } from "./admin-backend.ts";
import type { Endpoint } from "./admin-call.ts";
import { ENDPOINTS } from "./admin-endpoints.ts";
import { AdminGuard, isLocalAddress } from "./admin-guard.ts";
import { isSocketInUse } from "./claim.ts";

export interface AdminOptions {
  /** `host:port`, `:port`, `[::1]:port` or `unix:/path.sock`; port 0 lets the system choose. */
  readonly address: string;
  /** Asked for as `Authorization: Bearer`; may be left out only where nobody else can reach the address. */
  readonly token?: string | undefined;
  readonly log: Log;
}

export interface AdminServer {
  /** Where it listens, with the real port. */
  readonly address: string;
  /** Asks for another token from now on. Throws when there must be one and `token` is undefined. */
  setToken(token: string | undefined): void;
  /** Stops listening at once, and resolves when the answers in flight are out. */
  close(): Promise<void>;
}

/** Longer than any answer takes to make; a silent connection is closed after it. */
const IDLE_SECONDS = 60;
/** A socket file for its owner only: there is no token on it by default. */
const SOCKET_UMASK = 0o177;

/** Starts the admin API. Rejects with a message for operators when the address is wrong, taken or not guarded. */
export async function startAdmin(options: AdminOptions, backend: AdminBackend): Promise<AdminServer> {
  const address = parseListen(options.address);
  if (address === null)
    throw new Error(
      `admin.address: "${options.address}" is not an address: write host:port, :port, [::1]:port or unix:/path.sock`,
    );
  const requireToken = (token: string | undefined) => {
    if (token === undefined && !isLocalAddress(address)) {
      throw new Error(
        `admin.token is required, as others can reach ${options.address}: set one, or listen on 127.0.0.1`,
      );
    }
  };
  requireToken(options.token);
  const guard = new AdminGuard(address, options.token);
  const fetch = (request: Request, server: { requestIP(request: Request): { address: string } | null }) =>
    answer(request, guard, backend, options.log.with({ from: server.requestIP(request)?.address ?? "socket" }));
  const server = await listen(address, options, fetch);
  return {
    address: server.bound,
    setToken(token) {
      requireToken(token);
      guard.setToken(token);
    },
    close: () => server.stop(),
  };
}

type Fetch = (request: Request, server: Bun.Server<undefined>) => Promise<Response>;

async function listen(
  address: Address,
  { address: written, log }: AdminOptions,
  fetch: Fetch,
): Promise<{ bound: string; stop(): Promise<void> }> {
  const error = (thrown: Error) => {
    log.error("admin: a request failed", { error: thrown.stack ?? thrown.message });
    return problem(500, "The request could not be processed; the log says why.");
  };
  const base = { fetch, error, development: false };
  try {
    if (address.kind === "tcp") {
      // Said aloud, because `development: false` alone makes Bun share the port with whoever else listens there.
      const server = Bun.serve({
        ...base,
        hostname: address.host,
        port: address.port,
        idleTimeout: IDLE_SECONDS,
        reusePort: false,
      });
      const host = address.host.includes(":") ? `[${address.host}]` : address.host;
      return { bound: `${host}:${server.port}`, stop: () => server.stop() };
    }
    // One that is in use stays, and the listen below fails.
    await isSocketInUse(address.path);
    const umask = process.umask(SOCKET_UMASK);
    try {
      const server = Bun.serve({ ...base, unix: address.path });
      return { bound: written, stop: () => server.stop() };
    } finally {
      process.umask(umask);
    }
  } catch (cause) {
    throw new Error(
      `cannot listen on ${written} for the admin API: ${explainListenError(cause as NodeJS.ErrnoException)}`,
      { cause },
    );
  }
}

function explainListenError(error: NodeJS.ErrnoException): string {
  switch (error.code) {
    case "EADDRINUSE":
      return "another program, or another Sluice, listens there; choose another admin.address, or turn the API off with `admin: false`";
    case "EADDRNOTAVAIL":
      return "this machine does not have that address";
    case "EACCES":
      return "permission denied (ports below 1024 need rights); choose another admin.address";
    default:
      return error.message;
  }
}

async function answer(request: Request, guard: AdminGuard, backend: AdminBackend, log: Log): Promise<Response> {
  const path = pathOf(request);
  const refusal = guard.refuse(request);
  if (refusal !== null) {
    log.warn("admin: request refused", { method: request.method, path, status: refusal.status, why: refusal.detail });
    return problem(refusal.status, refusal.detail);
  }
  const trusted = guard.isTrusted(request);
  const { endpoint, params, allowed } = find(request.method === "HEAD" ? "GET" : request.method, path);
  if (!trusted && endpoint?.open !== true) {
    return problem(
      401,
      "The admin token is missing or wrong: send it as `Authorization: Bearer TOKEN`.",
      {},
      { "www-authenticate": 'Bearer realm="sluice admin"' },
    );
  }
  if (endpoint !== null) return endpoint.handle({ request, backend, log, trusted, params });
  if (allowed.length === 0) return problem(404, "There is nothing at this address.");
  return problem(405, `Use ${allowed.join(" or ")} here.`, {}, { allow: allowed.join(", ") });
}

/** The path of the target; a request without a Host has no more than that. */
function pathOf(request: Request): string {
  return URL.parse(request.url, "http://localhost")?.pathname ?? "";
}

interface Found {
  readonly endpoint: Endpoint | null;
  readonly params: readonly string[];
  /** The methods of the path when it is known, but not with this method. */
  readonly allowed: readonly string[];
}

function find(method: string, path: string): Found {
  const allowed: string[] = [];
  for (const endpoint of ENDPOINTS) {
    const params = matchPath(endpoint.path, path);
    if (params === null) continue;
    if (endpoint.method === method) return { endpoint, params, allowed: [] };
    allowed.push(...(endpoint.method === "GET" ? ["GET", "HEAD"] : [endpoint.method]));
  }
  return { endpoint: null, params: [], allowed };
}

/** What stands in the place of each `:word` of the pattern, decoded; null when the path is another. */
function matchPath(pattern: string, path: string): string[] | null {
  const wanted = pattern.split("/");
  const given = path.split("/");
  if (wanted.length !== given.length) return null;
  const params: string[] = [];
  for (const [at, segment] of wanted.entries()) {
    const value = given[at]!;
    if (!segment.startsWith(":")) {
      if (segment !== value) return null;
      continue;
    }
    const decoded = decode(value);
    if (decoded === "") return null;
    params.push(decoded);
  }
  return params;
}

/** A segment of a path as it is meant; "" for one that is not valid. */
function decode(segment: string): string {
  try {
    return decodeURIComponent(segment);
  } catch {
    return "";
  }
}
