// Talks to the admin API of a running proxy.
import { type Address, parseListen } from "../config/address.ts";

export interface AdminClientOptions {
  /** As in `admin.address`. */
  readonly address: string;
  readonly token?: string | undefined;
}

/** The proxy cannot be asked, or says no; the message tells people what to do. */
export class AdminClientError extends Error {
  readonly reason: "usage" | "unreachable" | "refused";
  constructor(reason: "usage" | "unreachable" | "refused", message: string) {
    super(message);
    this.name = "AdminClientError";
    this.reason = reason;
  }
}

export interface AdminAnswer {
  readonly status: number;
  /** The JSON of the body. */
  readonly body: unknown;
}

/** A reload of 10,000 routes takes seconds; a proxy that says nothing for longer is stuck. */
const TIMEOUT_MS = 60_000;

/** Sends one request. Throws AdminClientError unless the answer is 2xx or 422, which carries diagnostics. */
export async function askAdmin(
  options: AdminClientOptions,
  method: "GET" | "POST",
  path: string,
): Promise<AdminAnswer> {
  const address = parseListen(options.address);
  if (address === null)
    throw new AdminClientError("usage", `"${options.address}" is not an address: write host:port or unix:/path.sock`);
  const response = await send(address, options, method, path);
  const text = await response.text();
  let body: unknown;
  try {
    body = JSON.parse(text);
  } catch {
    throw new AdminClientError(
      "refused",
      `what listens on ${options.address} is not the admin API of Sluice (status ${response.status})`,
    );
  }
  if (response.ok || response.status === 422) return { status: response.status, body };
  if (response.status === 401) {
    throw new AdminClientError(
      "usage",
      `${options.address} wants the admin token: give --token, or set SLUICE_ADMIN_TOKEN`,
    );
  }
  const detail = typeof body === "object" && body !== null && "detail" in body ? String(body.detail) : "";
  throw new AdminClientError(
    "refused",
    `${options.address} answered ${response.status}${detail === "" ? "" : `: ${detail}`}`,
  );
}

async function send(
  address: Address,
  { address: written, token }: AdminClientOptions,
  method: string,
  path: string,
): Promise<Response> {
  const init: BunFetchRequestInit = { method, redirect: "manual", signal: AbortSignal.timeout(TIMEOUT_MS), proxy: "" };
  if (token !== undefined) init.headers = { authorization: `Bearer ${token}` };
  try {
    return await (address.kind === "unix"
      ? fetch(`http://localhost${path}`, { ...init, unix: address.path })
      : fetch(`http://${hostOf(address)}${path}`, init));
  } catch (error) {
    const { code, name, message } = error as NodeJS.ErrnoException;
    if (name === "TimeoutError")
      throw new AdminClientError("unreachable", `${written} did not answer within ${TIMEOUT_MS / 1000} s`);
    const nobody = code === "ECONNREFUSED" || code === "ConnectionRefused" || code === "ENOENT";
    const why = nobody ? "nothing listens there; is the proxy running, and is this its admin.address?" : message;
    throw new AdminClientError("unreachable", `cannot reach the admin API on ${written}: ${why}`);
  }
}

/** What to connect to; a listener on every address is reached over the loopback one. */
function hostOf({ host, port }: { readonly host: string; readonly port: number }): string {
  if (host === "::" || host === "0.0.0.0") return `127.0.0.1:${port}`;
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}
