// What the engine tells the rest of the program.
import { issueLeaf } from "../issue.ts";
import type { Served } from "./managed.ts";

/** A certificate to serve from now on, in place of an earlier one for the name. */
export interface AcmeCertificate {
  /** What was asked for. */
  readonly name: string;
  /** What it is for. */
  readonly names: readonly string[];
  readonly chainPem: string;
  readonly keyPem: string;
  /** Milliseconds since 1970. */
  readonly notAfterMs: number;
  /** Self-signed, until there is a real one: better than no handshake at all. */
  readonly placeholder: boolean;
}

export type AcmeEvent =
  | {
      readonly kind: "obtained" | "renewed";
      readonly name: string;
      readonly directory: string;
      readonly notAfterMs: number;
    }
  /** Ordered by another node. */
  | { readonly kind: "shared"; readonly name: string; readonly notAfterMs: number }
  | { readonly kind: "failed"; readonly name: string; readonly error: string; readonly nextTryMs: number }
  /** On-demand said no. */
  | { readonly kind: "refused"; readonly name: string; readonly why: string };

export type OnDemandAnswer =
  | { readonly kind: "certificate"; readonly certificate: AcmeCertificate }
  | { readonly kind: "refused"; readonly why: string };

const PLACEHOLDER_MS = 7 * 86_400_000;
/** A clock that is a little wrong must not make a new certificate a future one. */
const BACKDATED_MS = 3_600_000;

/** A self-signed certificate that lasts for a week from `nowMs`. */
export function placeholder(name: string, nowMs: number): AcmeCertificate {
  const seconds = Math.floor(nowMs / 1000) * 1000;
  const validity = { notBeforeMs: seconds - BACKDATED_MS, notAfterMs: seconds + PLACEHOLDER_MS };
  const { certPem, keyPem, notAfterMs } = issueLeaf([name], validity, null);
  return { name, names: [name], chainPem: certPem, keyPem, notAfterMs, placeholder: true };
}

export const toServe = ({ record, certificate }: Served): AcmeCertificate => ({
  name: record.name,
  names: certificate.names,
  chainPem: certificate.chainPem,
  keyPem: certificate.keyPem,
  notAfterMs: certificate.notAfterMs,
  placeholder: false,
});
