// What is known of an encrypted connection once its handshake is through.
import type { ClientCertificate } from "../core/client-certificate.ts";
import { type PeerCertificateSource, readClientCertificate } from "./client-certificate.ts";

/** Under which of a listener's terms a handshake was made, where they differ by name. */
export interface HandshakePolicy {
  /** The same for the same terms, whoever else has them. */
  readonly key: string;
  /** Without a valid certificate a client may not go on. */
  readonly needsCertificate: boolean;
}

export interface TlsInfo {
  /** The name that the client asked for (SNI), as it wrote it; null when it named none. */
  readonly serverName: string | null;
  readonly version: TlsVersion;
  /** Name of the cipher suite as in RFC 8446 and the IANA list, e.g. TLS_AES_128_GCM_SHA256. */
  readonly cipher: string;
  /** The protocol agreed on (RFC 7301); null when the client offered none. */
  readonly alpn: string | null;
  /** The session of an earlier connection was taken up again, without certificates. */
  readonly resumed: boolean;
  /** The peer showed a certificate, and it leads to a CA of the listener's or of the dial's. */
  readonly authorized: boolean;
  /** What the client showed, trusted or not; null without. It is read at the first use, while the connection is open. */
  readonly clientCertificate: ClientCertificate | null;
  /** Null where a listener has the same terms for all names. */
  readonly policy: HandshakePolicy | null;
}

export type TlsVersion = "1.2" | "1.3";

/** The calls of the runtime's TLS sockets that tell about the handshake. */
export interface TlsSocket extends PeerCertificateSource {
  readonly authorized: boolean;
  readonly alpnProtocol: string | false | null;
  getServername(): string | undefined;
  getTLSVersion(): string;
  getCipher(): { readonly name: string | null; readonly standardName: string | null };
  isSessionReused(): boolean;
}

/** One copy of each name that thousands of connections have in common; there are about twenty suites. */
const shared = new Map<string, string>();
const SHARED_MAX = 64;
function sharedName(name: string): string {
  const known = shared.get(name);
  if (known !== undefined) return known;
  if (shared.size < SHARED_MAX) shared.set(name, name);
  return name;
}

/** Reads a socket whose handshake is through. */
export function tlsInfoOf(socket: TlsSocket, alpn: string | null, policy: HandshakePolicy | null = null): TlsInfo {
  return new Negotiated(socket, alpn, policy);
}

class Negotiated implements TlsInfo {
  readonly serverName: string | null;
  readonly version: TlsVersion;
  readonly cipher: string;
  readonly alpn: string | null;
  readonly resumed: boolean;
  readonly authorized: boolean;
  readonly policy: HandshakePolicy | null;
  readonly #socket: TlsSocket;
  #certificate: ClientCertificate | null | undefined;

  constructor(socket: TlsSocket, alpn: string | null, policy: HandshakePolicy | null) {
    this.#socket = socket;
    this.policy = policy;
    this.serverName = socket.getServername() ?? null;
    this.version = socket.getTLSVersion() === "TLSv1.3" ? "1.3" : "1.2";
    this.cipher = sharedName(socket.getCipher().standardName ?? "");
    this.alpn = alpn;
    this.resumed = socket.isSessionReused();
    this.authorized = socket.authorized;
  }

  get clientCertificate(): ClientCertificate | null {
    if (this.#certificate === undefined) this.#certificate = readClientCertificate(this.#socket);
    return this.#certificate;
  }
}
