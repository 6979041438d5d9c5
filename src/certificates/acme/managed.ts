// What the engine knows about one name, and how that looks to others.
import type { Certificate } from "../certificate.ts";
import type { AcmeSettings, ChallengeKind } from "./settings.ts";
import type { AttemptRecord, CertificateRecord, RenewalRecord } from "./vault.ts";

/** A certificate of the engine that is served, or was. */
export interface Served {
  readonly record: CertificateRecord;
  readonly certificate: Certificate;
  /** RFC 9773; null when it has none. */
  readonly certificateId: string | null;
}

export interface ManagedName {
  readonly name: string;
  settings: AcmeSettings;
  /** Came by a handshake, not by the configuration. */
  readonly onDemand: boolean;
  served: Served | null;
  renewal: RenewalRecord | null;
  attempt: AttemptRecord | null;
  /** What keeps it from being ordered at all, such as a wildcard without dns-01. */
  readonly impossible: string | null;
  /** The work under way, be it an order or a question about renewal. */
  running: Promise<void> | null;
  isOrdering: boolean;
  /** Not to be worked on before; ms since 1970. */
  notBeforeMs: number;
}

/** For the admin API. Times in ms since 1970. */
export interface AcmeNameState {
  readonly name: string;
  /**
   * `pending`: no certificate yet, an order comes; `ordering`: an order, or its renewal, is under way; `failing`: the
   * last try failed and another comes; `valid`: all is well; `impossible`: no order can be made as it is configured.
   */
  readonly status: "pending" | "ordering" | "failing" | "valid" | "impossible";
  readonly challenge: ChallengeKind;
  readonly onDemand: boolean;
  readonly directory: string | null;
  readonly notBeforeMs: number | null;
  readonly notAfterMs: number | null;
  readonly renewAtMs: number | null;
  /** Whether the authority chose the time of renewal. */
  readonly renewalBy: "authority" | "lifetime" | null;
  readonly failures: number;
  readonly error: string | null;
  readonly nextTryMs: number | null;
}

/** A certificate must not be renewed later than this part of its life, whatever anybody says. */
const LIFE_LAST = 0.95;
const ADVISED_LIFE_MIN_MS = 3_600_000;

/** Whether the authority's word on renewal is about this very certificate. */
const advised = ({ served, renewal }: ManagedName): RenewalRecord | null =>
  served !== null && renewal !== null && renewal.certificateId === served.certificateId ? renewal : null;

/** When its certificate is to be replaced; 0 for at once. */
export function renewAtMs(managed: ManagedName): number {
  const { served, settings } = managed;
  if (served === null || !settings.directories.includes(served.record.directory)) return 0;
  const { notBeforeMs, notAfterMs } = served.certificate;
  const advice = advised(managed);
  // An authority that calls every new certificate late must not make us order without end.
  const wanted =
    advice === null
      ? served.record.renewAtMs
      : Math.max(advice.renewAtMs, served.record.issuedAtMs + ADVISED_LIFE_MIN_MS);
  return Math.min(wanted, notBeforeMs + (notAfterMs - notBeforeMs) * LIFE_LAST);
}

/** When an order is to be begun; infinity for never. */
export function dueAtMs(managed: ManagedName): number {
  // A name that came by a handshake and failed is tried again by the next handshake.
  if (managed.impossible !== null || (managed.onDemand && managed.served === null)) return Number.POSITIVE_INFINITY;
  return Math.max(renewAtMs(managed), managed.attempt?.nextTryMs ?? 0, managed.notBeforeMs);
}

/** When the authority is to be asked about renewal again; infinity for never. */
export function adviceDueAtMs(managed: ManagedName): number {
  const id = managed.served?.certificateId ?? null;
  if (id === null) return Number.POSITIVE_INFINITY;
  return Math.max(managed.renewal?.certificateId === id ? managed.renewal.askAtMs : 0, managed.notBeforeMs);
}

export function stateOf(managed: ManagedName): AcmeNameState {
  const { served, attempt, impossible } = managed;
  return {
    name: managed.name,
    status: statusOf(managed),
    challenge: managed.settings.challenge,
    onDemand: managed.onDemand,
    directory: served?.record.directory ?? null,
    notBeforeMs: served?.certificate.notBeforeMs ?? null,
    notAfterMs: served?.certificate.notAfterMs ?? null,
    renewAtMs: served === null ? null : renewAtMs(managed),
    renewalBy: served === null ? null : advised(managed)?.byAuthority ? "authority" : "lifetime",
    failures: attempt?.failures ?? 0,
    error: impossible ?? attempt?.error ?? null,
    nextTryMs: attempt?.nextTryMs ?? null,
  };
}

function statusOf({ impossible, isOrdering, attempt, served }: ManagedName): AcmeNameState["status"] {
  if (impossible !== null) return "impossible";
  if (isOrdering) return "ordering";
  if (attempt !== null) return "failing";
  return served === null ? "pending" : "valid";
}

/** A name of which nothing is known yet. */
export const blank = (name: string, settings: AcmeSettings, onDemand: boolean): ManagedName => ({
  name,
  settings,
  onDemand,
  served: null,
  renewal: null,
  attempt: null,
  impossible: null,
  running: null,
  isOrdering: false,
  notBeforeMs: 0,
});

/** Why no order can be made for the name as it is configured; null when one can. */
export function impossibility(name: string, { challenge, dns, directories }: AcmeSettings): string | null {
  if (directories.length === 0) return "there is no directory";
  if (challenge === "dns-01") return dns === undefined ? "dns-01 needs a provider: dns: { … }" : null;
  return name.startsWith("*.") ? `a wildcard needs challenge: dns-01, not ${challenge}` : null;
}
