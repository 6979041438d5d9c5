// How TLS says that a handshake ends: the alerts of RFC 8446 §6.2 and RFC 6066 §9 that we answer with ourselves.

export const ALERT = {
  unexpectedMessage: 10,
  recordOverflow: 22,
  illegalParameter: 47,
  decodeError: 50,
  protocolVersion: 70,
  internalError: 80,
  unrecognizedName: 112,
} as const;
export type Alert = (typeof ALERT)[keyof typeof ALERT];

const RECORD_ALERT = 21;
const LEVEL_FATAL = 2;

/** The record that ends a handshake in which nothing was agreed on yet, so that it is not encrypted (RFC 8446 §5.1, §6). */
export function alertRecord(alert: Alert): Buffer {
  return Buffer.from([RECORD_ALERT, 3, 3, 0, 2, LEVEL_FATAL, alert]);
}
