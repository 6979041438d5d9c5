// How destinations are told: what is sent where, and what their answers mean.
import { createHmac } from "node:crypto";
import { CAPI_AGE_MAX_MS, CAPI_EVENTS_MAX, conversionsBody } from "../engines/tagging/conversions-api.ts";
import type { TagEvent } from "../engines/tagging/event.ts";
import { MP_AGE_MAX_MS, MP_EVENTS_MAX, measurementBody, sameSender } from "../engines/tagging/measurement-protocol.ts";
import { DONE, type Sent } from "./delivery.ts";

/** One request to a vendor. */
export interface Outgoing {
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

/** What a kind of destination makes of events. */
export interface Format {
  /** Events at a time, and requests under way at a time, unless the configuration says otherwise. */
  readonly batch: number;
  readonly parallel: number;
  /** What happened longer ago it does not take; Infinity where that does not matter. */
  readonly ageMaxMs: number;
  /** What can go in one request each. */
  group(events: readonly TagEvent[]): (readonly TagEvent[])[];
  request(group: readonly TagEvent[]): Outgoing;
}

const JSON_TYPE = "application/json";

const asOne = (events: readonly TagEvent[]): (readonly TagEvent[])[] => [events];

export interface Ga4Target {
  readonly measurementId: string;
  readonly apiSecret: string;
  /** `https://www.google-analytics.com` unless it is somewhere else. */
  readonly url: string;
}

export function ga4({ measurementId, apiSecret, url }: Ga4Target): Format {
  const query = `measurement_id=${encodeURIComponent(measurementId)}&api_secret=${encodeURIComponent(apiSecret)}`;
  const target = `${url}/mp/collect?${query}`;
  return {
    batch: 100,
    parallel: 8,
    ageMaxMs: MP_AGE_MAX_MS,
    group: bySender,
    request: (group) => ({ url: target, headers: { "content-type": JSON_TYPE }, body: measurementBody(group) }),
  };
}

/** Groups of what one browser has sent, none too long, in the order in which they begin. */
function bySender(events: readonly TagEvent[]): TagEvent[][] {
  const groups: TagEvent[][] = [];
  for (const event of events) {
    const group = groups.find((each) => each.length < MP_EVENTS_MAX && sameSender(each[0]!, event));
    if (group === undefined) groups.push([event]);
    else group.push(event);
  }
  return groups;
}

export interface MetaTarget {
  readonly pixelId: string;
  readonly accessToken: string;
  readonly testCode: string;
  /** `https://graph.facebook.com/v21.0` unless it is somewhere else. */
  readonly url: string;
}

export function meta({ pixelId, accessToken, testCode, url }: MetaTarget): Format {
  return {
    batch: CAPI_EVENTS_MAX,
    parallel: 2,
    ageMaxMs: CAPI_AGE_MAX_MS,
    group: asOne,
    request: (group) => ({
      url: `${url}/${encodeURIComponent(pixelId)}/events`,
      headers: { "content-type": JSON_TYPE },
      body: conversionsBody(group, accessToken, testCode),
    }),
  };
}

export interface WebhookTarget {
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  /** Signs bodies; "" for none. */
  readonly secret: string;
  readonly format: "json" | "ndjson" | "kafka";
}

const WEBHOOK_TYPES = {
  json: JSON_TYPE,
  ndjson: "application/x-ndjson",
  kafka: "application/vnd.kafka.json.v2+json",
} as const;

export function webhook({ url, headers, secret, format }: WebhookTarget): Format {
  return {
    batch: 500,
    parallel: 2,
    ageMaxMs: Number.POSITIVE_INFINITY,
    group: asOne,
    request(group) {
      const body = bodyOf(group, format);
      const signature = secret === "" ? {} : { "x-sluice-signature": signatureOf(body, secret) };
      return { url, headers: { "content-type": WEBHOOK_TYPES[format], ...headers, ...signature }, body };
    },
  };
}

const signatureOf = (body: string, secret: string): string =>
  `sha256=${createHmac("sha256", secret).update(body).digest("hex")}`;

function bodyOf(events: readonly TagEvent[], format: WebhookTarget["format"]): string {
  if (format === "ndjson") return linesOf(events);
  if (format === "json") return JSON.stringify({ events });
  return JSON.stringify({ records: events.map((event) => ({ key: event.clientId || event.id, value: event })) });
}

export const linesOf = (events: readonly TagEvent[]): string =>
  events.map((event) => `${JSON.stringify(event)}\n`).join("");

/** What an answer means (RFC 9110 section 15): whether it is worth to try again, and when. */
export function judged(status: number, retryAfter: string | null, nowMs: number): Sent {
  if (status >= 200 && status < 300) return DONE;
  const why = `status ${status}`;
  // 401 and 403 are about our key, not about the event: somebody will put it right.
  const isLater =
    status >= 500 || status === 408 || status === 425 || status === 429 || status === 401 || status === 403;
  return isLater ? { kind: "later", afterMs: waitOf(retryAfter, nowMs), why } : { kind: "never", why };
}

/** Nobody is waited for longer than an hour, whatever he says. */
const RETRY_AFTER_MAX_MS = 3_600_000;

function waitOf(field: string | null, nowMs: number): number {
  if (field === null) return 0;
  const ms = /^\d{1,9}$/.test(field.trim()) ? Number(field) * 1000 : Date.parse(field) - nowMs;
  return Number.isFinite(ms) ? Math.min(Math.max(ms, 0), RETRY_AFTER_MAX_MS) : 0;
}
