// What passes between pages and vendors on the site's own address: requests with no more than the vendor may know,
// answers with no more than it may set, scripts that ask the site instead of the vendor.
import { createHash } from "node:crypto";
import type { TaggingConfig } from "../config/schema-tagging.ts";
import { fault } from "../core/faults.ts";
import { combined, missing, settled } from "../engines/tagging/consent/consent.ts";
import { consentOfGcd, consentOfGcs } from "../engines/tagging/consent/google.ts";
import type { Place } from "../engines/tagging/event.ts";
import type { HitCleaner, HitConsent } from "../engines/tagging/hit-clean.ts";
import { reducedAddress } from "../engines/tagging/privacy/address.ts";
import type { Replacement } from "../engines/tagging/script-rewrite.ts";
import { firstQueryValue } from "../http/query.ts";
import type { Exchange, FilterResult } from "../pipeline/exchange.ts";
import { requestBody } from "../pipeline/held-body.ts";
import { reply } from "../pipeline/reply.ts";
import type { Held } from "../pipeline/shared.ts";
import { replaceBody } from "../pipeline/transforms.ts";
import type { ConsentReader } from "./consent-reader.ts";
import { cleanBody } from "./hit-body.ts";
import { kindOf, type Preset, type RelayKind, type Vendor, vendorFor } from "./presets.ts";
import { type FieldRules, isPreview, toldPlace, vendorFields } from "./relay-fields.ts";
import { rewriteScript } from "./rewritten-script.ts";
import { CookieNames, vendorCookie } from "./vendor-cookies.ts";

export interface RelayParts {
  readonly config: TaggingConfig;
  readonly preset: Preset;
  readonly consent: ConsentReader;
  readonly cleaner: HitCleaner;
  /** The part of the path that is below the route; null for a path that is not. */
  below(path: string): string | null;
  /** The name of a vendor's upstream, or that of its preview. */
  upstreamOf(vendor: Vendor, isPreview: boolean): string;
  placeOf(ip: string): Place;
  /** Is told of a hit that was not passed on for want of consent. */
  refused(): void;
}

/** What a request was for, until its answer comes. */
class Relayed implements Held {
  readonly next: Held | null;
  readonly relay: Relay;
  readonly kind: RelayKind;
  readonly vendor: Vendor;
  /** Whether anything that tells visitors apart may pass. */
  readonly isMeasured: boolean;
  readonly isPreview: boolean;
  /** What comes before paths below the route, on this host. */
  readonly base: string;

  constructor(
    relay: Relay,
    kind: RelayKind,
    vendor: Vendor,
    isMeasured: boolean,
    preview: boolean,
    base: string,
    next: Held | null,
  ) {
    this.relay = relay;
    this.kind = kind;
    this.vendor = vendor;
    this.isMeasured = isMeasured;
    this.isPreview = preview;
    this.base = base;
    this.next = next;
  }
  leave(): void {
    // Nothing is held but what is known of it.
  }
}

export class Relay {
  readonly #parts: RelayParts;
  readonly #rules: FieldRules;
  readonly #fromVendor: CookieNames;

  constructor(parts: RelayParts) {
    this.#parts = parts;
    const { privacy, cookies } = parts.config;
    this.#rules = { privacy, preset: parts.preset, toVendor: new CookieNames(cookies.toVendor) };
    this.#fromVendor = new CookieNames(cookies.fromVendor);
  }

  /** The upstream of a request that `request` has let through. */
  pick(x: Exchange): string {
    const relayed = this.#relayedOf(x);
    return relayed === null ? "" : this.#parts.upstreamOf(relayed.vendor, relayed.isPreview);
  }

  request(x: Exchange): FilterResult {
    const { preset, below: belowOf, config } = this.#parts;
    const path = x.path ?? "";
    const below = belowOf(path);
    const vendor = below === null ? null : vendorFor(preset, below);
    if (vendor === null || below === null) return fault("route.none", path);
    const kind = kindOf(preset, vendor, below, x.query);
    const place = this.#placeOf(x);
    const consent = this.#consentOf(x, place);
    const { isMeasured } = consent;
    if (kind === "hit" && !isMeasured && config.consent.mode === "basic") {
      this.#parts.refused();
      return reply(204, "", { "cache-control": "no-store" });
    }
    const preview = preset.hasPreview && isPreview(x);
    const base = path.slice(0, path.length - below.length);
    x.held = new Relayed(this, kind, vendor, isMeasured, preview, base, x.held);
    const isShared = kind === "script" && !preview;
    x.uncached = !isShared;
    vendorFields(x, this.#rules, { isMeasured, isPreview: preview, isShared, place });
    this.#target(x, vendor, below, kind, consent);
    if (kind === "script") this.#askForScript(x, base);
    if (kind !== "hit" || x.request.body === "none") return undefined;
    return requestBody(x, config.limits.body).then((body) =>
      x.over ? undefined : body === null ? fault("request.body_too_large", "events") : this.#body(x, body, consent),
    );
  }

  #placeOf(x: Exchange): Place {
    const place = this.#parts.placeOf(x.ip);
    return place.country !== "" ? place : (toldPlace(x) ?? place);
  }

  #consentOf(x: Exchange, { country }: Place): HitConsent {
    const { consent, config } = this.#parts;
    const google = combined(
      consentOfGcs(firstQueryValue(x.query, "gcs") ?? ""),
      consentOfGcd(firstQueryValue(x.query, "gcd") ?? ""),
    );
    const chosen = settled(combined(consent.of(x), google), consent.defaultIn(country));
    const { clickIds } = config.privacy;
    return {
      isMeasured: missing(chosen, ["analytics"]) === null,
      keepsClicks: clickIds === "keep" || (clickIds === "consent" && chosen.ads === "granted"),
    };
  }

  #target(x: Exchange, vendor: Vendor, below: string, kind: RelayKind, consent: HitConsent): void {
    const query = kind === "hit" ? this.#cleanQuery(x.query, consent) : x.query;
    const added = kind === "hit" ? this.#added(x) : "";
    // As the client wrote it, byte for byte, where there is nothing to change about it.
    if (vendor.keepsPrefix && query === x.query && added === "") return;
    const path = vendor.keepsPrefix ? x.request.rawPath : vendor.base === "" ? below : vendor.base;
    const whole = [query, added].filter((part) => part !== "").join("&");
    const from = path === "" ? "/" : path;
    x.rewrittenTarget = whole === "" ? from : `${from}${from.includes("?") ? "&" : "?"}${whole}`;
  }

  #cleanQuery(query: string, consent: HitConsent): string {
    const clean = this.#parts.cleaner.query(query, consent);
    // Nobody but this proxy may say whose hit it is.
    return this.#isMatomo ? withoutToken(clean) : clean;
  }

  get #isMatomo(): boolean {
    return this.#parts.config.preset === "matomo";
  }

  /** What Matomo wants to be told by a proxy, with the right to say so. */
  #added(x: Exchange): string {
    const { token } = this.#parts.config;
    const ip = this.#isMatomo && token !== undefined ? this.#address(x) : "";
    return ip === "" ? "" : `cip=${encodeURIComponent(ip)}&token_auth=${encodeURIComponent(token!)}`;
  }

  #address(x: Exchange): string {
    const { ip } = this.#parts.config.privacy;
    return reducedAddress(x.ip, ip === "full" && this.#relayedOf(x)?.isMeasured !== true ? "truncated" : ip);
  }

  async #body(x: Exchange, body: Buffer, consent: HitConsent): Promise<ReturnType<typeof fault> | undefined> {
    const { cleaner, config } = this.#parts;
    const coding = x.request.headers.get("content-encoding") ?? "";
    const clean = await cleanBody(body, coding, config.limits.body, (text) => {
      const made = cleaner.text(text, consent);
      return this.#isMatomo ? withAddress(made, this.#address(x), config.token) : made;
    });
    if (x.over) return undefined;
    if (typeof clean === "string") return fault("tagging.event", clean);
    if (clean !== body) replaceBody(x, clean);
    return undefined;
  }

  /** It has to come as a whole and as it is, and by the tag that the vendor knows it by. */
  #askForScript({ request: { headers } }: Exchange, base: string): void {
    headers.set("accept-encoding", "identity");
    headers.remove("range");
    headers.remove("if-range");
    const tags = headers.get("if-none-match");
    if (tags === null) return;
    const known = [...tags.matchAll(OWN_TAG)].filter(([, , mark]) => mark === this.#markOf(base));
    headers.remove("if-none-match");
    if (known.length > 0) headers.set("if-none-match", known.map(([, tag]) => `"${tag}"`).join(", "));
    else headers.remove("if-modified-since"); // what it has was rewritten in another way
  }

  response(x: Exchange): FilterResult {
    const relayed = this.#relayedOf(x);
    if (relayed === null) return undefined;
    const { headers } = x.response;
    const lines = headers.getAll("set-cookie");
    headers.remove("set-cookie");
    if (relayed.isMeasured && relayed.kind !== "script")
      for (const line of lines) {
        const kept = vendorCookie(line, this.#fromVendor);
        if (kept !== null) headers.add("set-cookie", kept);
      }
    if (relayed.isPreview) headers.set("cache-control", "private, no-store");
    if (relayed.kind === "script") return this.#script(x, relayed.base);
    return undefined;
  }

  #script(x: Exchange, base: string): FilterResult {
    const { hosts } = this.#parts.preset;
    const { headers, status } = x.response;
    const tag = /^(?:W\/)?"([^"]*)"$/.exec(headers.get("etag") ?? "")?.[1];
    if (tag === undefined) headers.remove("etag");
    else headers.set("etag", `W/"${tag}-${this.#markOf(base)}"`);
    if (status !== 200 || hosts.length === 0) return undefined;
    const site = `${x.scheme}://${x.request.authority}${base}`;
    const replacements: Replacement[] = hosts.map(([host, path]) => ({ host, by: site + path }));
    return rewriteScript(x, replacements);
  }

  /** Tells rewritings apart: the same script below another path is another one. */
  #markOf(base: string): string {
    const known = this.#marks.get(base);
    if (known !== undefined) return known;
    const { hosts } = this.#parts.preset;
    const mark = createHash("sha256")
      .update(`${base}\n${JSON.stringify(hosts)}`)
      .digest("hex")
      .slice(0, 8);
    if (this.#marks.size < MARKS_MAX) this.#marks.set(base, mark);
    return mark;
  }
  readonly #marks = new Map<string, string>();

  #relayedOf(x: Exchange): Relayed | null {
    for (let held = x.held; held !== null; held = held.next)
      if (held instanceof Relayed && held.relay === this) return held;
    return null;
  }
}

/** A route has few paths. */
const MARKS_MAX = 64;
const OWN_TAG = /"([^"]*)-([0-9a-f]{8})"/g;

const withoutToken = (query: string): string =>
  query
    .split("&")
    .filter((part) => !/^(?:cip|token_auth)=/.test(part))
    .join("&");

/** Many hits at once, each of which says by itself whose it is (Matomo's bulk tracking). */
function withAddress(body: string, ip: string, token: string | undefined): string {
  if (!body.trimStart().startsWith("{")) return body.includes("=") ? withoutToken(body) : body;
  let bulk: unknown;
  try {
    bulk = JSON.parse(body);
  } catch {
    return body;
  }
  const { requests, token_auth: _none, ...others } = bulk as { requests?: unknown; token_auth?: unknown };
  if (!Array.isArray(requests)) return body;
  const told = token === undefined || ip === "" ? "" : `&cip=${encodeURIComponent(ip)}`;
  const hits = requests.map((hit: unknown) =>
    typeof hit === "string" ? `?${withoutToken(hit.replace(/^\?/, ""))}${told}` : hit,
  );
  return JSON.stringify({ ...others, requests: hits, ...(told === "" ? {} : { token_auth: token }) });
}
