// Addresses as users write them: where to listen, and where servers are.
import { isIPv4, isIPv6 } from "node:net";

export interface TcpAddress {
  readonly kind: "tcp";
  /** A host name or an IP address, IPv6 without brackets. `::` stands for every address, IPv4 included. */
  readonly host: string;
  /** 0 lets the system choose (listeners only). */
  readonly port: number;
}

export interface UnixAddress {
  readonly kind: "unix";
  /** Absolute path of the socket. */
  readonly path: string;
}

export type Address = TcpAddress | UnixAddress;

/** sun_path holds 108 bytes with its final NUL (unix(7)). */
const UNIX_PATH_BYTES_MAX = 107;
const HOST_NAME_MAX = 253; // RFC 1035 §2.3.4
const DEFAULT_HTTP_PORT = 80;
const DEFAULT_HTTPS_PORT = 443;

/** `host:port`, `:port`, `[::1]:port` or `unix:/path.sock`; null when it is none of them. */
export function parseListen(text: string): Address | null {
  if (text.startsWith("unix:")) return unixAddress(text.slice(5));
  const parts = splitHostPort(text);
  if (parts === null || parts.port === null) return null;
  if (parts.host === "") return { kind: "tcp", host: "::", port: parts.port };
  return { kind: "tcp", host: parts.host, port: parts.port };
}

/**
 * `host:port`, `host`, `unix:/path.sock`, or `host:port` behind `http://`, `https://`, `h2c://` or `h2://` (port 80, or
 * 443 with TLS, when none is given); null for anything else.
 */
export function parseServer(text: string): Address | null {
  if (text.startsWith("unix:")) return unixAddress(text.slice(5));
  const scheme = /^(?:https?|h2c?):\/\//i.exec(text)?.[0] ?? "";
  let authority = text.slice(scheme.length);
  if (scheme !== "" && authority.endsWith("/")) authority = authority.slice(0, -1);
  const parts = splitHostPort(authority);
  if (parts === null || parts.host === "" || parts.port === 0) return null;
  const port = parts.port ?? (speaksTls(text) ? DEFAULT_HTTPS_PORT : DEFAULT_HTTP_PORT);
  return { kind: "tcp", host: parts.host, port };
}

/** Whether the address itself says that its server is spoken to over TLS. */
const speaksTls = (server: string): boolean => /^(?:https|h2):\/\//i.test(server);
/** Whether the address itself says that its server speaks nothing but HTTP/2. */
const speaksHttp2 = (server: string): boolean => /^h2c?:\/\//i.test(server);

/** What a server is spoken to in: HTTP/1.1, whichever of the two it chooses in the TLS handshake, or HTTP/2. */
export type ServerHttp = "1.1" | "either" | "2";

export interface ServerTerms {
  readonly tls: boolean;
  readonly http: ServerHttp;
}

/** How a server is spoken to: as its address says, and where that says nothing, as its upstream does. */
export function serverTerms(
  server: string,
  upstream: { readonly tls?: unknown; readonly http2: boolean | "only" },
): ServerTerms {
  const isPlain = /^h2c:\/\//i.test(server) || server.startsWith("unix:");
  const tls = !isPlain && (upstream.tls !== undefined || speaksTls(server));
  if (speaksHttp2(server) || upstream.http2 === "only") return { tls, http: "2" };
  return { tls, http: tls && upstream.http2 ? "either" : "1.1" };
}

/** Whether a route's `to` is meant as an address (`http://…`, `unix:/…`) and not as an upstream's name. */
export function looksLikeUrl(text: string): boolean {
  return /^[a-z][a-z0-9+.-]*:\/\//i.test(text) || text.startsWith("unix:");
}

function unixAddress(path: string): UnixAddress | null {
  if (!path.startsWith("/") || path.includes("\0") || Buffer.byteLength(path) > UNIX_PATH_BYTES_MAX) return null;
  return { kind: "unix", path };
}

function splitHostPort(text: string): { host: string; port: number | null } | null {
  const parts = /^(?:\[([^\]]*)\]|([^:[\]]*))(?::(\d{1,5}))?$/.exec(text);
  if (parts === null) return null;
  const port = parts[3] === undefined ? null : Number(parts[3]);
  if (port !== null && port > 65_535) return null;
  const bracketed = parts[1];
  if (bracketed !== undefined) return isIPv6(bracketed) ? { host: bracketed, port } : null;
  const host = parts[2] ?? "";
  return host === "" || isHostName(host) ? { host: host.toLowerCase(), port } : null;
}

/** RFC 1123 §2.1 with underscores, which container networks use; all-digit names must be IPv4 addresses. */
function isHostName(host: string): boolean {
  if (/^[\d.]+$/.test(host)) return isIPv4(host);
  if (host.length > HOST_NAME_MAX) return false;
  return /^[a-z0-9_](?:[a-z0-9_-]{0,62})(?:\.[a-z0-9_][a-z0-9_-]{0,62})*\.?$/i.test(host);
}
