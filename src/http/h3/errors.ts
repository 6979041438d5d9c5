// The error codes of HTTP/3 that we send or look at (RFC 9114 §8.1). They belong to streams and connections alike.
import { ERROR as H2 } from "../h2/frames.ts";

export const ERROR = {
  none: 0x100,
  internal: 0x102,
  excessiveLoad: 0x107,
  requestRejected: 0x10b,
  requestCancelled: 0x10c,
  message: 0x10e,
  connect: 0x10f,
} as const;

const BY_H2: Readonly<Record<number, number>> = {
  [H2.none]: ERROR.none,
  [H2.protocol]: ERROR.message,
  [H2.refusedStream]: ERROR.requestRejected,
  [H2.cancel]: ERROR.requestCancelled,
  [H2.connect]: ERROR.connect,
  [H2.enhanceYourCalm]: ERROR.excessiveLoad,
};

/** The code that says here what a code of RFC 9113 §7 says there: exchanges name the reason in its words. */
export const fromH2 = (code: number): number => BY_H2[code] ?? ERROR.internal;
