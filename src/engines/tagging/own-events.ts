// Sluice's own format: one event or a list of them as JSON, or one in the query of a pixel.

import type { Choice, Consent, Purpose } from "./consent/consent.ts";
import { combined, PURPOSES, UNSET } from "./consent/consent.ts";
import { cut, LIMITS, type Params, ParamsBuilder } from "./event.ts";
import type { Told } from "./told.ts";

/** Events, or what is wrong with the text. */
export type Read = { readonly events: readonly Told[] } | { readonly wrong: string };

type Json = Readonly<Record<string, unknown>>;

const isObject = (value: unknown): value is Json =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** Undefined for what is not JSON. */
function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/**
 * `{"name":"signup","params":{…}}`, a list of such, or `{"events":[…]}` with what they share beside it (`clientId`,
 * `url`,
 * `consent`, …). Unknown keys are let be: pages are older than proxies.
 */
export function readOwnEvents(text: string): Read {
  const parsed = parse(text);
  if (parsed === undefined) return { wrong: "the body is not JSON" };
  const shared = isObject(parsed) && Array.isArray(parsed.events) ? parsed : {};
  const list: unknown = shared === parsed ? shared.events : Array.isArray(parsed) ? parsed : [parsed];
  const events = list as readonly unknown[];
  if (events.length === 0) return { wrong: "there are no events" };
  if (events.length > LIMITS.events) return { wrong: `more than ${LIMITS.events} events at once` };
  const told: Told[] = [];
  for (const [at, event] of events.entries()) {
    if (!isObject(event)) return { wrong: `event ${at} is no object` };
    const read = readEvent({ ...shared, ...event });
    if (read === null) return { wrong: `event ${at} has no name` };
    told.push(read);
  }
  return { events: told };
}

function readEvent(event: Json): Told | null {
  const of = (key: string, max: number = LIMITS.value): string => {
    const value = Object.hasOwn(event, key) ? event[key] : undefined;
    return typeof value === "string" ? cut(value, max) : typeof value === "number" ? String(value) : "";
  };
  const name = of("name", LIMITS.name);
  if (name === "") return null;
  const { time, params, user, items, consent } = event;
  const at = typeof time === "string" ? Date.parse(time) : time;
  return {
    id: of("id", LIMITS.name),
    name,
    time: typeof at === "number" && Number.isFinite(at) && at > 0 ? at : 0,
    clientId: of("clientId"),
    sessionId: of("sessionId"),
    userId: of("userId"),
    url: of("url", LIMITS.url),
    title: of("title"),
    referrer: of("referrer", LIMITS.url),
    language: of("language", LIMITS.name),
    screen: of("screen", LIMITS.name),
    params: readParams(params),
    user: readParams(user),
    items: Array.isArray(items) ? items.slice(0, LIMITS.items).map(readParams) : [],
    consent: readConsent(consent),
    tag: of("tag", LIMITS.name),
    visit: of("visit", LIMITS.name),
  };
}

/** Of values only texts, numbers and booleans: what lies deeper no vendor takes. */
function readParams(value: unknown): Params {
  const params = new ParamsBuilder();
  if (!isObject(value)) return params.done();
  for (const key of Object.keys(value)) {
    const one = value[key];
    if (typeof one === "string" || typeof one === "boolean") params.add(key, one);
    else if (typeof one === "number" && Number.isFinite(one)) params.add(key, one);
  }
  return params.done();
}

/** `{"visit":"…","consent":{"analytics":true}}`: what a visitor has chosen; null for anything else. */
export function readChoice(text: string): { readonly visit: string; readonly consent: Consent } | null {
  const parsed = parse(text);
  if (!isObject(parsed)) return null;
  const { visit, consent } = parsed;
  if (typeof visit !== "string" || visit === "" || visit.length > LIMITS.name || !isObject(consent)) return null;
  return { visit, consent: readConsent(consent) };
}

/** `{"analytics":true,"ads":"denied"}`; what is neither a yes nor absent is a no. */
function readConsent(value: unknown): Consent {
  if (!isObject(value)) return UNSET;
  const consent: Record<Purpose, Choice> = { ...UNSET };
  for (const purpose of PURPOSES) {
    const choice = value[purpose];
    if (choice === true || choice === "granted") consent[purpose] = "granted";
    else if (choice !== undefined && choice !== null && choice !== "unset") consent[purpose] = "denied";
  }
  return combined(UNSET, consent);
}

/** `?name=page_view&url=…&param.plan=gold`: what a picture can send. Null without a name. */
export function readPixel(query: string): Told | null {
  const event: Record<string, unknown> = Object.create(null) as Record<string, unknown>;
  const params: Record<string, unknown> = Object.create(null) as Record<string, unknown>;
  for (const [name, value] of new URLSearchParams(query)) {
    if (name.startsWith("param.")) params[name.slice("param.".length)] ??= value;
    else event[name] ??= value;
  }
  return readEvent({ ...event, params, user: undefined, items: undefined, consent: undefined });
}
