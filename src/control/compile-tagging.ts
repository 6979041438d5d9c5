// From the `tagging` action of a route to what takes events of pages and passes requests on to vendors.
import { createHmac, randomInt } from "node:crypto";
import { isbot } from "isbot";
import { CompileError, within } from "../config/compile-error.ts";
import { CACHE_DEFAULTS, UPSTREAM_DEFAULTS } from "../config/defaults.ts";
import type { PolicyConfig, RouteConfig, UpstreamConfig } from "../config/schema.ts";
import type { PrivacyConfig, TaggingConfig } from "../config/schema-tagging.ts";
import { fault } from "../core/faults.ts";
import { byteCount, millis } from "../core/units.ts";
import { NOWHERE, type Place } from "../engines/tagging/event.ts";
import { HitCleaner } from "../engines/tagging/hit-clean.ts";
import { saltPeriod } from "../engines/tagging/privacy/pseudonym.ts";
import { Scrubber } from "../engines/tagging/privacy/scrub.ts";
import type { Policies } from "../filters/definition.ts";
import type { Action, Exchange, Filter } from "../pipeline/exchange.ts";
import { Places } from "../pipeline/places.ts";
import type { Shared } from "../pipeline/shared.ts";
import { compileConditions } from "../routing/conditions.ts";
import type { PathPattern } from "../routing/pattern.ts";
import { Collector, type EventSink } from "../tagging/collector.ts";
import { ConsentReader } from "../tagging/consent-reader.ts";
import { guardScript } from "../tagging/guard-script.ts";
import { Handing } from "../tagging/handing.ts";
import { OpaquePaths } from "../tagging/opaque-paths.ts";
import { PAGE_SCRIPT } from "../tagging/page-script.ts";
import { finderOf } from "../tagging/personal.ts";
import { presetOf, type Vendor } from "../tagging/presets.ts";
import { Relay } from "../tagging/relay.ts";
import { PLACE_FIELDS } from "../tagging/relay-fields.ts";
import { readTroubles, TROUBLES } from "../tagging/troubles.ts";
import { VisitorCookie } from "../tagging/visitor-cookie.ts";
import type { cacheSettings } from "./compile-cache.ts";

export interface TaggingParts {
  readonly filter: Filter;
  readonly action: Action;
  /** The upstreams of its vendors. */
  readonly upstreams: readonly { readonly name: string }[];
}

/** Nobody reads pages so fast: ten requests a second of one address in the long run. */
const RATE = { count: 600, perMs: millis(60_000) };
const BURST = 200;

/** The policies of a route; where it collects events and has no limit of its own, one address may send so much. */
export function withTaggingLimits(policies: Policies, { tagging, rateLimit }: RouteConfig): Policies {
  if (tagging === undefined || rateLimit === false || policies.rateLimit !== undefined) return policies;
  const limit = {
    name: "tagging",
    rate: tagging.limits.rate ?? RATE,
    burst: BURST,
    key: "ip",
    cost: 1,
    clients: 100_000,
    scope: "machine",
    onStoreError: "local",
    headers: false,
  } as const;
  return { ...policies, rateLimit: limit };
}

/** Null for a route without one; throws CompileError. */
export function compileTagging(
  { tagging }: RouteConfig,
  route: string,
  paths: readonly PathPattern[],
  upstreams: Map<string, UpstreamConfig>,
  shared: Shared,
): TaggingParts | null {
  if (tagging === undefined) return null;
  return within("tagging", () => {
    const { privacy, cookies, geo } = tagging;
    if (privacy.ids === "hash" && privacy.secret === undefined)
      within("privacy", () => {
        throw new RangeError('`ids: hash` needs a `secret`, or "day" or "week"');
      });
    const prefixes = prefixesOf(paths);
    const preset = presetOf(tagging);
    const names = new Map(preset.vendors.map((vendor) => [vendor, vendorUpstream(vendor.to, upstreams)]));
    const preview = tagging.preview === undefined ? null : previewUpstream(tagging, upstreams);
    const consent = new ConsentReader(tagging.consent);
    const troubles = shared.live(TROUBLES, readTroubles);
    const placeOf = placesOf(geo, shared);
    const find = within("privacy", () => finderOf(privacy));
    const known = new Set(privacy.parameters.map((name) => name.toLowerCase()));
    const blocked = (why: string, count: number): void => {
      for (let at = 0; at < count; at += 1) shared.count("sluice_tagging_blocked_total", [route, why]);
    };
    const collector = new Collector({
      config: tagging,
      prefixes,
      consent,
      cookie: cookies.id === false ? null : new VisitorCookie(cookies.id.name, cookies.id.maxAge),
      sink: sinkOf(route, shared),
      scripts: new Map([
        ["/t.js", PAGE_SCRIPT],
        ["/guard.js", guardScript(preset.hosts)],
      ]),
      placeOf,
      isBot: (userAgent) => userAgent === "" || isbot(userAgent),
      now: () => shared.wallNow(),
      blocked,
      trouble: () => troubles.current.get(route) ?? null,
      collectsHits: preset.vendors.every(({ below }) => !"/g/collect".startsWith(below)),
    });
    const relay = new Relay({
      config: tagging,
      preset,
      consent,
      cleaner: new HitCleaner({
        scrubber: new Scrubber({ find, replacement: privacy.replacement, names: known }),
        format: preset.hits,
        names: known,
        replacement: privacy.replacement,
        campaigns: privacy.campaigns,
        salt: saltOf(privacy, shared),
        fresh: () => `${randomInt(1, 2 ** 31)}.${Math.floor(shared.wallNow() / 1000)}`,
      }),
      below: (path) => belowOf(path, prefixes),
      upstreamOf: (vendor: Vendor, isPreview) => (isPreview ? preview : null) ?? names.get(vendor) ?? "",
      placeOf,
      refused: () => blocked("consent", 1),
    });
    const opaque = tagging.opaque === undefined ? null : new OpaquePaths(tagging.opaque, route, preset.hosts);
    // The vendor's own health is what his tools ask for.
    const hasHealth = preset.vendors.some(({ below }) => below === "/healthy");
    const filter: Filter = Object.freeze({
      name: "tagging",
      request(x: Exchange) {
        const below = belowOf(x.path ?? "", prefixes) ?? "";
        const answer = opaque?.request(x, below, shared.wallNow());
        if (answer !== undefined) return answer;
        return hasHealth && below === "/healthy" ? relay.request(x) : (collector.handle(x) ?? relay.request(x));
      },
      response: (x: Exchange) => relay.response(x),
    });
    const action: Action =
      names.size === 0
        ? { kind: "reply", reply: (x) => fault("route.none", x.path ?? "") }
        : { kind: "forward", pick: (x) => relay.pick(x) };
    const asked = new Set([...names.values(), ...(preview === null ? [] : [preview])]);
    return { filter, action, upstreams: [...asked].map((name) => ({ name })) };
  });
}

function previewUpstream({ preset, preview }: TaggingConfig, upstreams: Map<string, UpstreamConfig>): string {
  if (preset !== "sgtm") throw new CompileError("the preset has no preview", ["preview"]);
  return within("preview", () => vendorUpstream(preview ?? "", upstreams));
}

/** Pseudonyms of ids that pass on the way, as events get them; those of a day or a week end with the program too. */
function saltOf({ ids, secret }: PrivacyConfig, shared: Shared): () => Uint8Array | null {
  if (ids === "keep") return () => null;
  if (ids === "hash") {
    const key = Buffer.from(secret ?? "");
    return () => key;
  }
  let known = -1;
  let salt: Buffer | null = null;
  return () => {
    const period = saltPeriod(shared.wallNow(), ids);
    if (period !== known) salt = createHmac("sha256", shared.secret).update(`${ids} ${period}`).digest();
    known = period;
    return salt;
  };
}

/** What a route stores of vendors' scripts: for as long as they say, and long beyond it while the vendor is down. */
export function taggingCache(
  { cache, tagging }: RouteConfig,
  { cache: byDefault }: PolicyConfig,
): CacheSettings | null {
  if (cache === false || tagging === undefined) return null;
  // The scripts of a site are a few, and short.
  const own: CacheSettings = { ...CACHE_DEFAULTS, memory: byteCount(16_777_216), maxSize: byteCount(8_388_608) };
  const settings = cache === undefined || cache === true ? own : cache;
  const shared = typeof byDefault === "object" ? byDefault.memory : CACHE_DEFAULTS.memory;
  const { staleIfError = SCRIPT_STALE } = settings;
  return {
    ...settings,
    memory: byDefault === undefined || byDefault === false ? settings.memory : shared,
    staleIfError,
    requestDirectives: false, // a reload of a page has no business with the vendor
    setCookie: "strip",
    key: { ...settings.key, headers: [...settings.key.headers, ...PLACE_FIELDS] },
  };
}

type CacheSettings = ReturnType<typeof cacheSettings>;

/** An old script measures better than none: a week, in which somebody will have seen that the vendor is down. */
const SCRIPT_STALE = millis(604_800_000);

/**
 * By which path pages take a script of a `tagging` route now: another one than its own where the route is opaque. Null
 * for a path that is none of theirs.
 */
export function shownPaths(routes: readonly RouteConfig[]): (path: string) => ((nowMs: number) => string) | null {
  return (path) => {
    for (const [at, { name, match, tagging }] of routes.entries()) {
      if (tagging?.opaque === undefined) continue;
      const what = path.endsWith("/t.js") ? "t" : path.endsWith("/guard.js") ? "guard" : null;
      const base = path.slice(0, path.lastIndexOf("/"));
      if (what === null || !taggingPrefixes(match).includes(base)) continue;
      const opaque = new OpaquePaths(tagging.opaque, name ?? `route-${at + 1}`, presetOf(tagging).hosts);
      return (nowMs) => base + opaque.script(what, nowMs);
    }
    return null;
  };
}

/** What paths of a route begin with; throws RangeError where none goes on. */
export const taggingPrefixes = (match: RouteConfig["match"]): readonly string[] =>
  prefixesOf(compileConditions(match).paths ?? []);

/** What paths of the route begin with: what follows says what is asked for. */
function prefixesOf(paths: readonly PathPattern[]): string[] {
  const prefixes: string[] = [];
  for (const pattern of paths) {
    if (pattern.kind !== "segments" || !pattern.prefix) continue;
    const texts = pattern.segments.flatMap((segment) => ("text" in segment ? [segment.text] : []));
    if (texts.length === pattern.segments.length) prefixes.push(texts.map((text) => `/${text}`).join(""));
  }
  if (prefixes.length === 0) throw new RangeError("its route needs a path that goes on, such as /metrics/*");
  return prefixes;
}

function belowOf(path: string, prefixes: readonly string[]): string | null {
  for (const prefix of prefixes)
    if (path.startsWith(prefix) && (path.length === prefix.length || path[prefix.length] === "/"))
      return path.slice(prefix.length);
  return null;
}

/** The upstream of a vendor's server, who wants to be asked by his own name. */
function vendorUpstream(to: string, upstreams: Map<string, UpstreamConfig>): string {
  if (upstreams.has(to)) return to;
  if (!/^https?:\/\//.test(to)) throw new RangeError(`there is no upstream named "${to}"`);
  const name = `vendor ${to}`;
  if (!upstreams.has(name)) upstreams.set(name, { servers: [to], ...UPSTREAM_DEFAULTS, hostHeader: "upstream" });
  return name;
}

function placesOf(geo: string | undefined, shared: Shared): (ip: string) => Place {
  if (geo === undefined) return () => NOWHERE;
  const places = shared.live(`database ${geo}`, (memory) => new Places(memory));
  return (ip) => {
    const record = places.current.of(ip);
    if (record === null) return NOWHERE;
    return {
      country: record.country?.iso_code ?? "",
      region: record.subdivisions?.[0]?.iso_code ?? "",
      city: record.city?.names?.en ?? "",
    };
  };
}

function sinkOf(route: string, shared: Shared): EventSink {
  const handing = new Handing(route, (what) => shared.handOver(what));
  shared.onEnd(() => handing.flush());
  return handing;
}
