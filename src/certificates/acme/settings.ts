// What a configuration says about automatic certificates, in the shape that the engine takes.

export type ChallengeKind = "http-01" | "tls-alpn-01" | "dns-01";
export type AcmeKeyType = "ecdsa-p256" | "ecdsa-p384" | "rsa-2048" | "rsa-4096";

/** One `acme` block. Each domain gets a certificate of its own, so that one that fails holds up no other. */
export interface AcmeSettings {
  /** DNS names in any case, `*.name` with dns-01. */
  readonly domains: readonly string[];
  /** Addresses of directories (https): the first is asked first, the others when it fails. */
  readonly directories: readonly string[];
  /** Where the authority may write to; using the engine means agreement to its terms of service. */
  readonly email?: string;
  readonly challenge: ChallengeKind;
  readonly keyType: AcmeKeyType;
  /** For dns-01. */
  readonly dns?: DnsSettings;
  /** External account binding (RFC 8555 §7.3.4). With several directories, for those alone that ask for one. */
  readonly eab?: { readonly kid: string /** base64url */; readonly hmacKey: string };
  /** Certificates for names that are not in `domains`, when somebody asks for them. */
  readonly onDemand?: OnDemandSettings;
  /** PEM of the roots to trust when talking to the directories, in place of those of the system. */
  readonly ca?: string;
}

/** At least one of the two: nobody may make us order certificates for names of their choice. */
export type OnDemandSettings =
  | { readonly ask: URL; readonly allow?: readonly string[] }
  /** Names and `*.name` (one label) that are allowed without asking. */
  | { readonly ask?: URL; readonly allow: readonly string[] };

export type DnsSettings = DnsProviderSettings & {
  /** How to find out that the world can see the record. */
  readonly propagation?: PropagationSettings;
};

export type DnsProviderSettings =
  | ({ readonly provider: "rfc2136" } & Rfc2136Settings)
  | {
      readonly provider: "exec";
      /** Program and arguments; `present` or `cleanup`, the record's name and its value are added. */
      readonly command: readonly [string, ...string[]];
      /** Default 60000. */
      readonly timeoutMs?: number;
    };

export interface Rfc2136Settings {
  /** `ip` or `ip:port` of the primary server. */
  readonly server: string;
  /** Asked from the server when absent. */
  readonly zone?: string;
  readonly key?: { readonly name: string /** base64, HMAC-SHA256 */; readonly secret: string };
}

export interface PropagationSettings {
  /** `ip` or `ip:port` of servers that must know the record; the zone's authoritative servers when absent. */
  readonly servers?: readonly string[];
  /** Resolvers that find the authoritative servers; those of the system when absent. */
  readonly resolvers?: readonly string[];
  /** How long they may take. Default 120000; 0 does not wait at all. */
  readonly timeoutMs?: number;
}

export interface AcmeLimits {
  /** Orders of this process at a time. */
  readonly ordersInFlight: number;
  /** New orders of the whole cluster at one directory and account, in any period of `perMs`. */
  readonly ordersPerDirectory: { readonly count: number; readonly perMs: number };
  /** Names that on-demand may bring in: questions to the `ask` endpoint, and names kept in memory. */
  readonly asksPerSecond: number;
  readonly onDemandNamesMax: number;
}

export const DEFAULT_LIMITS: AcmeLimits = {
  ordersInFlight: 4,
  // Let's Encrypt allows 300 in three hours for each account; others allow more.
  ordersPerDirectory: { count: 250, perMs: 3 * 3_600_000 },
  asksPerSecond: 10,
  onDemandNamesMax: 10_000,
};
