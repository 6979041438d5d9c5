// What pages send events to: `/collect` for own events, `/pixel.gif` for pictures, `/g/collect` for Google's tags. The
// answer does not wait for anything but the body.
import type { TaggingConfig } from "../config/schema-tagging.ts";
import { fault } from "../core/faults.ts";
import { uuidV7 } from "../core/request-id.ts";
import { type Consent, combined, missing, settled } from "../engines/tagging/consent/consent.ts";
import type { Place } from "../engines/tagging/event.ts";
import { readGa4 } from "../engines/tagging/ga4-hit.ts";
import { readChoice, readOwnEvents, readPixel } from "../engines/tagging/own-events.ts";
import type { Told } from "../engines/tagging/told.ts";
import type { Exchange, FilterResult, Outcome } from "../pipeline/exchange.ts";
import { requestBody } from "../pipeline/held-body.ts";
import { reply } from "../pipeline/reply.ts";
import type { ConsentReader } from "./consent-reader.ts";
import type { RawEvent } from "./raw-event.ts";
import { scriptReply } from "./script-reply.ts";
import type { Trouble } from "./troubles.ts";
import type { VisitorCookie } from "./visitor-cookie.ts";
import { keptCookies } from "./visitor-cookie.ts";

/** Where events go, and what becomes known of choices. Never waits. */
export interface EventSink {
  take(events: readonly RawEvent[]): void;
  decide(visit: string, consent: Consent): void;
}

/** Why events were not taken, for the metrics. */
export type Blocked = "bot" | "invalid" | "origin";

export interface CollectorParts {
  readonly config: TaggingConfig;
  /** Paths that the route begins with; what follows says what is meant. */
  readonly prefixes: readonly string[];
  readonly consent: ConsentReader;
  /** Null where there is none. */
  readonly cookie: VisitorCookie | null;
  readonly sink: EventSink;
  /** Scripts that pages take, by their path below the route. */
  readonly scripts: ReadonlyMap<string, Buffer>;
  /** Hits of Google's tags are taken here, not passed on. */
  readonly collectsHits: boolean;
  placeOf(ip: string): Place;
  isBot(userAgent: string): boolean;
  now(): number;
  blocked(why: Blocked, count: number): void;
  /** Why events cannot be kept now; null while they can. */
  trouble(): Trouble | null;
}

/** An event that is older than this, or of the future, has a clock that is wrong. */
const PAST_MAX_MS = 72 * 3_600_000;
const FUTURE_MAX_MS = 300_000;

const PIXEL = Buffer.from("R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7", "base64");
const NO_STORE = { "cache-control": "no-store" };

export class Collector {
  readonly #parts: CollectorParts;
  readonly #origins: ReadonlySet<string>;

  constructor(parts: CollectorParts) {
    this.#parts = parts;
    this.#origins = new Set(parts.config.origins);
  }

  /** What the request is answered; undefined for a path that is none of the collector's. */
  handle(x: Exchange): FilterResult {
    const what = this.#below(x.path ?? "");
    const { method } = x.request;
    const script = this.#parts.scripts.get(what);
    if (script !== undefined && (method === "GET" || method === "HEAD")) return scriptReply(script);
    if (what === "/healthy") return this.#health();
    if (!OWN_PATHS.has(what) && (what !== HITS || !this.#parts.collectsHits)) return undefined;
    if (!this.#isWelcome(x)) {
      this.#parts.blocked("origin", 1);
      return fault("access.denied", "another origin");
    }
    if (method === "OPTIONS") return this.#preflight(x);
    if (what === "/pixel.gif") return method === "GET" ? this.#pixel(x) : methodFault();
    if (what === HITS && method === "GET") return this.#hits(x, "");
    if (method !== "POST") return methodFault();
    return requestBody(x, this.#parts.config.limits.body).then((body) => {
      if (x.over) return undefined;
      if (body === null) return fault("request.body_too_large", "events");
      const text = body.toString();
      if (what === HITS) return this.#hits(x, text);
      return what === "/consent" ? this.#chosen(x, text) : this.#own(x, text);
    });
  }

  #health(): Outcome {
    const trouble = this.#parts.trouble();
    return trouble === null ? reply(200, "ok", NO_STORE) : reply(503, `events cannot be kept: ${trouble}`, NO_STORE);
  }

  #below(path: string): string {
    for (const prefix of this.#parts.prefixes)
      if (path.startsWith(prefix) && path.charCodeAt(prefix.length) === SLASH) return path.slice(prefix.length);
    return "";
  }

  /** Pages of the site itself, of listed origins, and programs that say no origin. */
  #isWelcome(x: Exchange): boolean {
    const origin = x.request.header("origin") ?? originOfReferrer(x.request.header("referer"));
    return origin === null || this.#isSame(x, origin) || this.#origins.has(origin);
  }

  #isSame(x: Exchange, origin: string): boolean {
    const at = origin.indexOf("://");
    return at > 0 && origin.slice(at + 3).toLowerCase() === x.request.authority.toLowerCase();
  }

  #preflight(x: Exchange): Outcome {
    const answer = this.#answer(x, 204, Buffer.alloc(0));
    answer.headers.set("access-control-allow-methods", "POST, GET");
    answer.headers.set("access-control-allow-headers", "content-type");
    answer.headers.set("access-control-max-age", "86400");
    return answer;
  }

  /** An answer with the cookies that were set, and what pages of other origins need. */
  #answer(x: Exchange, status: number, body: Buffer, type = ""): ReturnType<typeof reply> {
    const answer = reply(status, body, type === "" ? NO_STORE : { ...NO_STORE, "content-type": type });
    const origin = x.request.header("origin");
    if (origin !== null && this.#origins.has(origin)) {
      answer.headers.set("access-control-allow-origin", origin);
      answer.headers.set("access-control-allow-credentials", "true");
    }
    if (this.#origins.size > 0) answer.headers.set("vary", "Origin");
    for (const cookie of x.setCookies ?? []) answer.headers.add("set-cookie", cookie);
    return answer;
  }

  #pixel(x: Exchange): Outcome {
    const told = readPixel(x.query);
    if (told === null) this.#parts.blocked("invalid", 1);
    else this.#take(x, [told]);
    return this.#answer(x, 200, PIXEL, "image/gif");
  }

  #hits(x: Exchange, body: string): Outcome {
    const told = readGa4(x.query, body);
    if (told === null) return this.#invalid("no hit of GA4");
    this.#take(x, told);
    return this.#answer(x, 204, Buffer.alloc(0));
  }

  #own(x: Exchange, text: string): Outcome {
    const read = readOwnEvents(text);
    if ("wrong" in read) return this.#invalid(read.wrong);
    this.#take(x, read.events);
    return this.#answer(x, 204, Buffer.alloc(0));
  }

  #invalid(why: string): Outcome {
    this.#parts.blocked("invalid", 1);
    return fault("tagging.event", why);
  }

  /** `{"visit":"…","consent":{…}}` */
  #chosen(x: Exchange, text: string): Outcome {
    const choice = readChoice(text);
    if (choice === null) return this.#invalid("`visit` and `consent` are missing");
    const { visit, consent } = choice;
    const chosen = combined(this.#parts.consent.of(x), consent);
    this.#parts.sink.decide(visit, chosen);
    if (chosen.analytics === "denied") this.#parts.cookie?.forget(x);
    return this.#answer(x, 204, Buffer.alloc(0));
  }

  #take(x: Exchange, told: readonly Told[]): void {
    const { consent: reader, cookie, config, sink, now, isBot, placeOf, blocked } = this.#parts;
    const userAgent = x.request.header("user-agent") ?? "";
    const bot = config.bots !== "keep" && isBot(userAgent);
    if (bot && config.bots === "drop") return blocked("bot", told.length);
    const place = placeOf(x.ip);
    const byDefault = reader.defaultIn(place.country);
    const said = reader.of(x);
    const time = now();
    const chosen = combined(said, told[0]!.consent);
    const measured = missing(settled(chosen, byDefault), ["analytics"]) === null;
    const visitor = measured && cookie !== null ? cookie.meet(x, time) : null;
    if (measured) keptCookies(x, config.cookies.keep);
    else if (chosen.analytics === "denied") cookie?.forget(x);
    sink.take(
      told.map((event) => {
        const consent = combined(said, event.consent);
        return {
          ...event,
          id: event.id === "" ? uuidV7() : event.id,
          time: event.time > time - PAST_MAX_MS && event.time < time + FUTURE_MAX_MS ? event.time : time,
          clientId: event.clientId === "" ? (visitor?.id ?? "") : event.clientId,
          sessionId: event.sessionId === "" && visitor !== null ? String(visitor.session) : event.sessionId,
          consent: consent.analytics === "unset" && config.consent.wait > 0 ? consent : settled(consent, byDefault),
          ip: x.ip,
          userAgent,
          place,
          isBot: bot,
          undecided: consent.analytics === "unset" && config.consent.wait > 0,
        };
      }),
    );
  }
}

const SLASH = 0x2f;
const OWN_PATHS: ReadonlySet<string> = new Set(["/collect", "/consent", "/pixel.gif"]);
const HITS = "/g/collect";

const methodFault = (): Outcome => fault("access.method", "events are sent by POST");

function originOfReferrer(referrer: string | null): string | null {
  if (referrer === null) return null;
  const found = /^[a-z]+:\/\/[^/?#]+/i.exec(referrer);
  return found === null ? null : found[0];
}
