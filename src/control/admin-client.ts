// Talks to the admin API of a running proxy.
import { request } from "node:http";
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

/** Sends one request, with `sent` as JSON where there is something to send. Throws AdminClientError unless the answer is 2xx or 422, which carries diagnostics. */
export async function askAdmin(
  options: AdminClientOptions,
  method: "GET" | "POST" | "PUT" | "PATCH" | "DELETE",
  path: string,
  sent?: unknown,
): Promise<AdminAnswer> {
  const address = addressOf(options);
  const { status, text } = await send(address, options, method, path, sent === undefined ? "" : JSON.stringify(sent));
  const body = jsonOf(text);
  if (body === undefined) {
    throw new AdminClientError(
      "refused",
      `what listens on ${options.address} is not the admin API of Sluice (status ${status})`,
    );
  }
  if ((status >= 200 && status < 300) || status === 422) return { status, body };
  throw refusal(options, status, body);
}

/**
 * Follows a stream of events until it ends, and gives the data of each. Throws AdminClientError where it does not
 * begin, or breaks off.
 */
export async function followAdmin(
  options: AdminClientOptions,
  path: string,
  tell: (data: string) => void,
): Promise<void> {
  const address = addressOf(options);
  return new Promise((resolve, reject) => {
    const outgoing = request({ ...requestTo(address, options), path }, (incoming) => {
      let text = "";
      incoming.setEncoding("utf8");
      incoming.on("data", (chunk: string) => {
        text += chunk;
        if (incoming.statusCode !== 200) return;
        const lines = text.split("\n");
        text = lines.pop() ?? "";
        for (const line of lines) if (line.startsWith(DATA)) tell(line.slice(DATA.length));
      });
      incoming.on("end", () =>
        incoming.statusCode === 200 ? resolve() : reject(refusal(options, incoming.statusCode ?? 0, jsonOf(text))),
      );
      incoming.on("error", (error) => reject(unreachable(options.address, error)));
    });
    outgoing.on("error", (error) => reject(unreachable(options.address, error)));
    outgoing.end();
  });
}

/** Begins the lines of a stream that say something (HTML, section 9.2.5). */
const DATA = "data: ";

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function addressOf(options: AdminClientOptions): Address {
  const address = parseListen(options.address);
  if (address === null)
    throw new AdminClientError("usage", `"${options.address}" is not an address: write host:port or unix:/path.sock`);
  return address;
}

function refusal({ address }: AdminClientOptions, status: number, body: unknown): AdminClientError {
  if (status === 401)
    return new AdminClientError("usage", `${address} wants the admin token: give --token, or set SLUICE_ADMIN_TOKEN`);
  const detail = typeof body === "object" && body !== null && "detail" in body ? String(body.detail) : "";
  return new AdminClientError("refused", `${address} answered ${status}${detail === "" ? "" : `: ${detail}`}`);
}

/** Through node:http, as `fetch` would go by way of the proxy that the environment names (`http_proxy`). */
function send(
  address: Address,
  options: AdminClientOptions,
  method: string,
  path: string,
  json: string,
): Promise<{ status: number; text: string }> {
  const { headers, ...target } = requestTo(address, options);
  if (json !== "") {
    headers["content-type"] = "application/json";
    headers["content-length"] = String(Buffer.byteLength(json));
  }
  return new Promise((resolve, reject) => {
    const outgoing = request(
      { ...target, method, path, headers, signal: AbortSignal.timeout(TIMEOUT_MS) },
      (incoming) => {
        const chunks: Buffer[] = [];
        incoming.on("data", (chunk: Buffer) => chunks.push(chunk));
        incoming.on("end", () => resolve({ status: incoming.statusCode ?? 0, text: Buffer.concat(chunks).toString() }));
        incoming.on("error", (error) => reject(unreachable(options.address, error)));
      },
    );
    outgoing.on("error", (error) => reject(unreachable(options.address, error)));
    outgoing.end(json);
  });
}

/** Where a request goes, and what all have. */
function requestTo(address: Address, { token }: AdminClientOptions) {
  const headers: Record<string, string> = { host: "localhost", connection: "close" };
  if (token !== undefined) headers.authorization = `Bearer ${token}`;
  const place =
    address.kind === "unix" ? { socketPath: address.path } : { host: reachable(address.host), port: address.port };
  return { ...place, agent: false as const, headers };
}

function unreachable(written: string, { code, name, message }: NodeJS.ErrnoException): AdminClientError {
  if (name === "AbortError" || name === "TimeoutError")
    return new AdminClientError("unreachable", `${written} did not answer within ${TIMEOUT_MS / 1000} s`);
  const nobody = code === "ECONNREFUSED" || code === "ENOENT";
  const why = nobody ? "nothing listens there; is the proxy running, and is this its admin.address?" : message;
  return new AdminClientError("unreachable", `cannot reach the admin API on ${written}: ${why}`);
}

/** What to connect to; a listener on every address is reached over the loopback one. */
const reachable = (host: string): string => (host === "::" || host === "0.0.0.0" ? "127.0.0.1" : host);
