// Certificates and settings of TLS in the form that the runtime uses. Making one parses keys: do it once, and keep it.
import { createSecureContext, createServer, type SecureContext, type SecureContextOptions } from "node:tls";

/** A certificate with its chain, leaf first, and its key. */
export interface CertificatePair {
  readonly certPem: string;
  readonly keyPem: string;
}

/** What is served to the clients of one name. */
export interface TlsContext {
  /** The runtime's own object. */
  readonly native: unknown;
}

/** What holds for all connections of a listener, whatever name they ask for, but for TlsTerms (see makeTlsContext). */
export interface TlsSettings {
  /**
   * Certificates for clients that name no host, or one that `select` does not know. Null refuses them: such a
   * handshake fails with the alert internal_error, as the runtime cannot send unrecognized_name.
   */
  readonly fallback: readonly CertificatePair[] | null;
  readonly minVersion: "1.2" | "1.3";
  /** Suites of TLS 1.2 in OpenSSL's names, with colons between; those of TLS 1.3 are the runtime's, and all are good. */
  readonly ciphers?: string;
  /**
   * Asks clients for a certificate, which they may refuse: who needs one looks at `authorized`. That one leads to a CA
   * in `clientCa` and is in none of the lists of `clientCrl`.
   */
  readonly requestClientCertificate: boolean;
  /** PEM. */
  readonly clientCa?: string;
  /** PEM; several lists may follow each other. */
  readonly clientCrl?: string;
}

/** Mozilla's "intermediate" suites, guidelines 5.8: forward secrecy and authenticated encryption only. */
const INTERMEDIATE_CIPHERS = [
  "ECDHE-ECDSA-AES128-GCM-SHA256",
  "ECDHE-RSA-AES128-GCM-SHA256",
  "ECDHE-ECDSA-AES256-GCM-SHA384",
  "ECDHE-RSA-AES256-GCM-SHA384",
  "ECDHE-ECDSA-CHACHA20-POLY1305",
  "ECDHE-RSA-CHACHA20-POLY1305",
].join(":");

/** The native part, which node's types leave out. */
export const nativeOf = (context: SecureContext): unknown => (context as { context?: unknown }).context;

const certificatesOf = (pairs: readonly CertificatePair[]): SecureContextOptions => ({
  cert: pairs.map(({ certPem }) => certPem),
  key: pairs.map(({ keyPem }) => keyPem),
});

/** What holds for the clients of one name in place of what its listener says; the meanings are those of TlsSettings. */
export type TlsTerms = Pick<TlsSettings, "ciphers" | "clientCa" | "clientCrl">;

const clientTerms = ({ clientCa, clientCrl }: TlsTerms): SecureContextOptions => ({
  ...(clientCa === undefined ? {} : { ca: clientCa }),
  ...(clientCrl === undefined ? {} : { crl: clientCrl }),
});

/**
 * Prepares the certificates of one name: one pair of each kind of key (ECDSA, RSA), of which every client gets the one
 * that it can use. `terms` are not inherited from the listener: a client that asks for the name is verified against
 * these CAs alone. Throws the runtime's error when a PEM is damaged or a key does not belong to its certificate.
 */
export function makeTlsContext(pairs: readonly CertificatePair[], terms: TlsTerms = {}): TlsContext {
  const { ciphers = INTERMEDIATE_CIPHERS } = terms;
  return { native: nativeOf(createSecureContext({ ...certificatesOf(pairs), ciphers, ...clientTerms(terms) })) };
}

/** Throws an Error when a text (PEM) has no certificate: the runtime takes it, and would trust nobody or others. */
export function checkCa(pem: string): void {
  if (!/-----BEGIN (?:X509 |TRUSTED )?CERTIFICATE-----/.test(pem)) throw new Error("there is no certificate in it");
}

/** Throws an Error when clients cannot be verified with these texts (PEM). */
export function checkClientTrust(ca: string, crl: string | undefined): void {
  checkCa(ca);
  createSecureContext(clientTerms({ clientCa: ca, ...(crl === undefined ? {} : { clientCrl: crl }) }));
}

const optionsOf = (settings: TlsSettings) => ({
  ...(settings.fallback === null ? {} : certificatesOf(settings.fallback)),
  minVersion: settings.minVersion === "1.3" ? ("TLSv1.3" as const) : ("TLSv1.2" as const),
  ciphers: settings.ciphers ?? INTERMEDIATE_CIPHERS,
  ...clientTerms(settings),
  requestCert: settings.requestClientCertificate,
  rejectUnauthorized: false,
});

/** Prepares what a listener starts with. Throws as makeTlsContext does. */
export function makeListenerContext(settings: TlsSettings): unknown {
  return nativeOf(createSecureContext(optionsOf(settings)));
}

/**
 * Gives a listener that is open other settings; connections and handshakes under way keep theirs, and sessions of
 * before cannot be resumed any more. Throws as makeTlsContext does, and then nothing has changed.
 */
export function replaceListenerContext(listener: object, settings: TlsSettings): void {
  // The runtime has the call only inside of node:tls, whose servers wrap the same kind of listener.
  const options = optionsOf(settings);
  const server = createServer(options);
  const wrapper = server as unknown as { _handle: object | null };
  wrapper._handle = listener;
  try {
    server.setSecureContext(options);
  } finally {
    wrapper._handle = null;
  }
}
