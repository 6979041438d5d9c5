// GA4's Measurement Protocol: what Google's collection endpoint for servers takes.
import type { Choice, Consent } from "./consent/consent.ts";
import type { Params, TagEvent } from "./event.ts";

/** Events in one request at most, as Google has it. */
export const MP_EVENTS_MAX = 25;
/** What happened longer ago Google does not take: 72 hours. */
export const MP_AGE_MAX_MS = 72 * 3_600_000;

/**
 * The body of one request for events of one browser. They must share `clientId`, `userId` and consent
 * (`sameSender`), and
 * be no more than MP_EVENTS_MAX.
 */
export function measurementBody(events: readonly TagEvent[]): string {
  const [first] = events;
  if (first === undefined) throw new RangeError("no events");
  const { clientId, userId, consent, ip, userAgent, place } = first;
  return JSON.stringify({
    client_id: clientId,
    ...(userId === "" ? {} : { user_id: userId }),
    ...(Object.keys(first.user).length === 0 ? {} : { user_properties: propertiesOf(first.user) }),
    consent: { ad_user_data: said(consent.adUserData), ad_personalization: said(consent.adPersonalization) },
    ...(ip === "" ? {} : { ip_override: ip }),
    ...(userAgent === "" ? {} : { user_agent: userAgent }),
    ...(ip !== "" || place.country === "" ? {} : { user_location: locationOf(place) }),
    events: events.map((event) => ({
      name: event.name,
      timestamp_micros: event.time * 1000,
      params: paramsOf(event),
    })),
  });
}

/** Whether two events can go in one request. */
export const sameSender = (a: TagEvent, b: TagEvent): boolean =>
  a.clientId === b.clientId &&
  a.userId === b.userId &&
  a.ip === b.ip &&
  a.userAgent === b.userAgent &&
  sameConsent(a.consent, b.consent);

const sameConsent = (a: Consent, b: Consent): boolean =>
  a.adUserData === b.adUserData && a.adPersonalization === b.adPersonalization;

const said = (choice: Choice): string => (choice === "granted" ? "GRANTED" : "DENIED");

const propertiesOf = (user: Params): Record<string, { value: unknown }> =>
  Object.fromEntries(Object.entries(user).map(([name, value]) => [name, { value }]));

function locationOf({ country, region, city }: TagEvent["place"]): Record<string, string> {
  return {
    country_id: country,
    ...(region === "" ? {} : { region_id: `${country}-${region}` }),
    ...(city === "" ? {} : { city }),
  };
}

function paramsOf(event: TagEvent): Record<string, unknown> {
  const { sessionId, url, title, referrer, language, screen, items } = event;
  const params: Record<string, unknown> = {};
  const add = (name: string, value: string): void => {
    if (value !== "") params[name] = value;
  };
  add("session_id", sessionId);
  add("page_location", url);
  add("page_title", title);
  add("page_referrer", referrer);
  add("language", language);
  add("screen_resolution", screen);
  Object.assign(params, event.params);
  // Google counts an event towards a session only where somebody was there for a while.
  params.engagement_time_msec ??= 1;
  params.event_id = event.id;
  if (items.length > 0) params.items = items;
  return params;
}
