// What happens while requests are served and is told at once: to those who watch, and to those who ask about it later.

/** A rule of the firewall that matched. Texts are cut, and secrets are taken out of them. */
export interface WafMatch {
  readonly rule: number;
  readonly phase: number;
  readonly message: string;
  /** 0 emergency … 7 debug; -1 for none. */
  readonly severity: number;
  readonly tags: readonly string[];
  /** `ARGS:q`: what matched, and its value after the transformations of the rule. */
  readonly variable: string;
  readonly value: string;
  /** How many values matched, and in which variables; of many, some. */
  readonly count: number;
  readonly variables: readonly string[];
  /** What the rule has found in the value; empty where it does not keep that. */
  readonly matched: string;
  readonly data: string;
  /** What it added to the score. */
  readonly score: number;
  /** It is only tried: it neither decides nor counts. */
  readonly dry: boolean;
}

/** `detect`: it would have been refused, if the firewall blocked, or by what is only tried. */
export type WafDecision = "block" | "detect" | "pass";

/** A request in which rules of the firewall matched. */
export interface WafRecord {
  readonly requestId: string;
  readonly route: string;
  readonly ip: string;
  readonly method: string;
  readonly host: string;
  readonly target: string;
  /** Of the answer; 0 for none. */
  readonly status: number;
  readonly decision: WafDecision;
  /** The rule that decided, or would have; 0 for none. */
  readonly rule: number;
  /** What it says. */
  readonly reason: string;
  /** What counts towards the threshold, and with all that is only tried. */
  readonly score: number;
  readonly triedScore: number;
  readonly threshold: number;
  readonly matches: readonly WafMatch[];
}

/** So much of a quota is used that somebody wants to know. */
export interface QuotaNotice {
  /** Whose it is: a consumer's name, else a user's, else an address. */
  readonly consumer: string;
  readonly plan: string;
  /** The limit as clients are told of it: `gold-day`. */
  readonly limit: string;
  readonly unit: "requests" | "tokens";
  readonly period: "minute" | "hour" | "day" | "month";
  readonly used: number;
  readonly of: number;
  /** The threshold in percent. */
  readonly share: number;
}

export type ProxyEvent =
  | ({ readonly kind: "waf" } & WafRecord)
  | ({ readonly kind: "quota" } & QuotaNotice)
  | {
      readonly kind: "ban";
      readonly route: string;
      readonly ip: string;
      readonly scope: "everywhere" | "route";
      readonly seconds: number;
      readonly why: string;
    }
  | {
      readonly kind: "request";
      readonly requestId: string;
      readonly route: string;
      readonly ip: string;
      readonly method: string;
      readonly host: string;
      /** Without the query, in which there may be secrets. */
      readonly path: string;
      readonly status: number;
      readonly ms: number;
      readonly upstream: string;
      readonly fault: string;
      /** The name of the consumer; "" for nobody who is one. */
      readonly consumer: string;
    }
  | {
      readonly kind: "health";
      readonly upstream: string;
      readonly server: string;
      readonly up: boolean;
      readonly reason: string;
    }
  | {
      readonly kind: "consumer";
      readonly consumer: string;
      readonly change: ConsumerChange;
      /** The id of the credential that it is about; "" for none. */
      readonly credential: string;
    }
  /** An event of a page, as it is written down (engines/tagging/event.ts). */
  | { readonly kind: "tagging"; readonly route: string; readonly event: object }
  | { readonly kind: "reload"; readonly ok: boolean; readonly problems: readonly string[] };

/** What an operator, or a consumer himself, has done. */
export type ConsumerChange =
  | "created"
  | "changed"
  | "removed"
  | "credential-added"
  | "credential-changed"
  | "credential-rotated"
  | "credential-revoked";

export const EVENT_KINDS = ["waf", "quota", "ban", "request", "health", "consumer", "tagging", "reload"] as const;
