// Errors of the runtime's TLS in plain words.

/** Why a handshake did not come about: few enough to be a label of metrics. */
export type HandshakeReason =
  | "closed"
  | "no common version"
  | "no common cipher"
  | "no common protocol"
  | "no certificate for the name"
  | "no rule for the name"
  | "too many handshakes"
  | "plain HTTP"
  | "not TLS"
  | "client does not trust us"
  | "broken";

/** By BoringSSL's names, which end the message of the runtime's error. */
const REASONS: Readonly<Record<string, HandshakeReason>> = {
  UNSUPPORTED_PROTOCOL: "no common version",
  NO_SHARED_CIPHER: "no common cipher",
  NO_SHARED_GROUP: "no common cipher",
  NO_COMMON_SIGNATURE_ALGORITHMS: "no common cipher",
  NO_APPLICATION_PROTOCOL: "no common protocol",
  NO_CERTIFICATE_SET: "no certificate for the name",
  CONNECTION_REJECTED: "no certificate for the name",
  HTTP_REQUEST: "plain HTTP",
  HTTPS_PROXY_REQUEST: "plain HTTP",
  WRONG_VERSION_NUMBER: "not TLS",
  TLSV1_ALERT_UNKNOWN_CA: "client does not trust us",
  SSLV3_ALERT_BAD_CERTIFICATE: "client does not trust us",
  SSLV3_ALERT_CERTIFICATE_UNKNOWN: "client does not trust us",
  SSLV3_ALERT_CERTIFICATE_EXPIRED: "client does not trust us",
  SSLV3_ALERT_UNSUPPORTED_CERTIFICATE: "client does not trust us",
  // OpenSSL's clients say so of TLS 1.3 in clear text where the runtime awaits a record, and no record is that short.
  BAD_PACKET_LENGTH: "client does not trust us",
};

interface RuntimeError {
  readonly code?: string;
  readonly message?: string;
}

/** Why the runtime gave up the handshake of a client. */
export function reasonOf(error: unknown): HandshakeReason {
  const { code, message = "" } = (error ?? {}) as RuntimeError;
  if (code === "ECONNRESET") return "closed";
  return REASONS[message.slice(message.lastIndexOf(":") + 1)] ?? "broken";
}

/** A server that could not be talked to. `code` is the runtime's, e.g. CERT_HAS_EXPIRED. */
export class TlsError extends Error {
  readonly code: string;
  constructor(code: string, message: string) {
    super(message);
    this.name = "TlsError";
    this.code = code;
  }
}

const UNKNOWN_ISSUER = "its certificate comes from an issuer that is not trusted";
/** What is wrong with a server's certificate, by the runtime's codes (those of X509_verify_cert). */
const VERDICTS: Readonly<Record<string, string>> = {
  CERT_HAS_EXPIRED: "its certificate has expired",
  CERT_NOT_YET_VALID: "its certificate is not valid yet",
  CERT_REVOKED: "its certificate was revoked",
  DEPTH_ZERO_SELF_SIGNED_CERT: "its certificate is self-signed, and not trusted",
  SELF_SIGNED_CERT_IN_CHAIN: UNKNOWN_ISSUER,
  UNABLE_TO_GET_ISSUER_CERT: UNKNOWN_ISSUER,
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: UNKNOWN_ISSUER,
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: UNKNOWN_ISSUER,
  INVALID_PURPOSE: "its certificate is not meant for servers",
};

/** What servers say when they end a handshake, by the end of BoringSSL's names. */
const ALERTS: Readonly<Record<string, string>> = {
  TLSV1_ALERT_PROTOCOL_VERSION: "no version of TLS in common",
  UNSUPPORTED_PROTOCOL: "no version of TLS in common",
  SSLV3_ALERT_HANDSHAKE_FAILURE: "it refuses the handshake: no cipher in common, or it wants a certificate",
  TLSV1_ALERT_NO_APPLICATION_PROTOCOL: "it speaks none of the protocols that we offer",
  TLSV1_UNRECOGNIZED_NAME: "it does not know the name that we ask for",
  TLSV1_ALERT_UNRECOGNIZED_NAME: "it does not know the name that we ask for",
  TLSV1_ALERT_UNKNOWN_CA: "it does not trust our certificate",
  TLSV1_ALERT_CERTIFICATE_REQUIRED: "it wants a certificate of ours",
  SSLV3_ALERT_BAD_CERTIFICATE: "it does not accept our certificate",
  WRONG_VERSION_NUMBER: "it does not speak TLS",
};

/** Whether a handshake broke off, other than by a verdict on the certificate. */
export function brokeOff(error: unknown): boolean {
  const code = (error as RuntimeError | null | undefined)?.code;
  return code === undefined || code === "EPROTO" || code === "ECONNRESET" || /^ERR_(SSL|OSSL)_/.test(code);
}

/** The runtime's error about a server in plain words. */
export function tlsError(error: unknown, serverName: string): TlsError {
  const { code, message = "" } = (error ?? {}) as RuntimeError;
  const name = message.slice(message.lastIndexOf(":") + 1);
  if (code === "ERR_TLS_CERT_ALTNAME_INVALID")
    return new TlsError(code, `TLS: its certificate is not for ${serverName}`);
  if (code === undefined || code === "ECONNRESET")
    return new TlsError("ECONNRESET", "TLS: it closed the connection during the handshake");
  const verdict = VERDICTS[code] ?? ALERTS[name];
  return new TlsError(code, `TLS: ${verdict ?? (name === "" ? code : name.toLowerCase().replaceAll("_", " "))}`);
}
