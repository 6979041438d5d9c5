// The fields of a request as a vendor gets it: those that say what is asked, and nothing of who asks but what the route
// lets through.
import type { TaggingConfig } from "../config/schema-tagging.ts";
import type { Place } from "../engines/tagging/event.ts";
import { reducedAddress } from "../engines/tagging/privacy/address.ts";
import { cleanAddress, originOf } from "../engines/tagging/privacy/page-address.ts";
import { reducedUserAgent } from "../engines/tagging/privacy/user-agent.ts";
import { firstCookie, receivedCookies } from "../http/cookies.ts";
import type { HeaderBlock } from "../http/header-block.ts";
import type { Exchange } from "../pipeline/exchange.ts";
import type { Preset } from "./presets.ts";
import type { CookieNames } from "./vendor-cookies.ts";

/** What a browser says that a vendor needs, and what the connection itself is about. All else stays here. */
const KEPT_FIELDS: ReadonlySet<string> = new Set([
  ..."host connection keep-alive proxy-connection transfer-encoding te trailer upgrade expect via".split(" "),
  ..."content-type content-length content-encoding content-language accept accept-language accept-encoding".split(" "),
  ..."origin referer user-agent cookie range if-none-match if-modified-since if-range cache-control pragma".split(" "),
  ..."dnt x-requested-with access-control-request-method access-control-request-headers priority".split(" "),
  ..."x-forwarded-proto x-forwarded-host".split(" "),
]);
/** `sec-`: what kind of request it is, hints of the browser, and Sec-GPC. */
const KEPT_BEGINNINGS = ["sec-", "x-umami-", "x-posthog-"];
/** Fields of the browser that say more than its User-Agent. */
const CLIENT_HINTS = [
  "sec-ch-ua-full-version-list",
  "sec-ch-ua-full-version",
  "sec-ch-ua-model",
  "sec-ch-ua-platform-version",
  "sec-ch-ua-arch",
  "sec-ch-ua-bitness",
];
const PREVIEW_FIELD = "x-gtm-server-preview";
const PREVIEW_COOKIES = ["gtm_auth", "gtm_preview", "gtm_debug"];

/** By which proxies in front tell where a visitor is; believed of `trustedProxies` alone. */
const COUNTRY_FIELDS = ["cf-ipcountry", "cloudfront-viewer-country", "x-vercel-ip-country", "x-appengine-country"];
const REGION_FIELDS = [
  "cf-region-code",
  "cloudfront-viewer-country-region",
  "x-vercel-ip-country-region",
  "x-appengine-region",
];

/** Where a trusted proxy says that the visitor is; null where it does not. */
export function toldPlace({ trusted, request }: Exchange): Place | null {
  if (!trusted) return null;
  const said = (names: readonly string[]): string =>
    names.map((name) => request.headers.get(name)?.trim().toUpperCase() ?? "").find((each) => each !== "") ?? "";
  const country = said(COUNTRY_FIELDS);
  if (!/^[A-Z]{2}$/.test(country) || country === "XX" || country === "ZZ") return null;
  const region = said(REGION_FIELDS);
  return { country, region: /^[A-Z0-9]{1,3}$/.test(region) ? region : "", city: "" };
}

/** Whether somebody tries the tags out: what he gets is for nobody else. */
export function isPreview({ request, query }: Exchange): boolean {
  if (request.headers.has(PREVIEW_FIELD)) return true;
  if (query.includes("gtm_") && /(?:^|&)gtm_(?:auth|preview|debug)=/.test(query)) return true;
  const field = receivedCookies(request.headers);
  return field?.includes("gtm_") === true && PREVIEW_COOKIES.some((name) => firstCookie(field, name) !== null);
}

export interface FieldRules {
  readonly privacy: TaggingConfig["privacy"];
  readonly preset: Preset;
  readonly toVendor: CookieNames;
}

export interface FieldFacts {
  readonly isMeasured: boolean;
  readonly isPreview: boolean;
  /** It is stored and given to others: nothing in it is of this visitor. */
  readonly isShared: boolean;
  readonly place: Place;
}

/** Leaves what a vendor may have. */
export function vendorFields(x: Exchange, rules: FieldRules, facts: FieldFacts): void {
  const { headers } = x.request;
  for (const [name] of headers.entries()) {
    const lower = name.toLowerCase();
    if (headers.hasAdded(lower) || KEPT_FIELDS.has(lower)) continue; // what the route itself has set is meant
    if (KEPT_BEGINNINGS.some((beginning) => lower.startsWith(beginning))) continue;
    if (lower === PREVIEW_FIELD && rules.preset.hasPreview) continue;
    headers.remove(name);
  }
  cookies(headers, rules, facts);
  address(x, rules, facts);
  placeFields(headers, rules.preset, facts.place);
  browser(headers, rules.privacy);
  referrer(headers, rules.privacy, facts.isShared);
}

function cookies(headers: HeaderBlock, { toVendor, preset }: FieldRules, facts: FieldFacts): void {
  const field = receivedCookies(headers);
  if (field === null) return;
  headers.remove("cookie");
  if (field.includes(",")) return; // a pair behind a comma counts as a cookie to some
  const isKnown = facts.isMeasured && !facts.isShared;
  const isTried = facts.isPreview && preset.hasPreview;
  const kept = field
    .split(";")
    .map((pair) => pair.trim())
    .filter((pair) => {
      const name = pair.slice(0, pair.indexOf("=")).trim();
      return (isKnown && toVendor.has(name)) || (isTried && PREVIEW_COOKIES.includes(name));
    });
  if (kept.length > 0) headers.add("cookie", kept.join("; "));
}

/** Set in any case: what is not there would be made of the client's address. */
function address(x: Exchange, { privacy }: FieldRules, { isMeasured, isShared }: FieldFacts): void {
  const detail = isShared ? "none" : isMeasured || privacy.ip === "none" ? privacy.ip : "truncated";
  const ip = reducedAddress(x.ip, detail);
  x.request.headers.set("x-forwarded-for", ip === "" ? "unknown" : ip);
}

function placeFields(headers: HeaderBlock, preset: Preset, { country, region }: Place): void {
  if (preset.geo === "none" || country === "") return;
  if (preset.geo === "sgtm") {
    headers.set("x-gclb-country", country);
    if (region !== "") headers.set("x-gclb-region", region);
    return;
  }
  if (region !== "") {
    headers.set("x-forwarded-countryregion", `${country}-${region}`);
    headers.set("x-forwarded-region", region);
  }
  headers.set("x-forwarded-country", country);
}

/** Which of these an answer depends on, for its key. */
export const PLACE_FIELDS = ["x-gclb-country", "x-gclb-region", "x-forwarded-country", "x-forwarded-region"];

function browser(headers: HeaderBlock, { userAgent }: TaggingConfig["privacy"]): void {
  if (userAgent === "full") return;
  const agent = headers.get("user-agent") ?? "";
  headers.set("user-agent", userAgent === "none" ? "" : reducedUserAgent(agent));
  for (const name of CLIENT_HINTS) headers.remove(name);
}

function referrer(headers: HeaderBlock, privacy: TaggingConfig["privacy"], isShared: boolean): void {
  const said = headers.get("referer");
  if (said === null) return;
  if (isShared || privacy.referrer === "none") return headers.remove("referer");
  const { replacement, parameters } = privacy;
  const redact = new Set(parameters.map((name) => name.toLowerCase()));
  headers.set(
    "referer",
    // What is behind the `?` may be anything of the visitor; his page is in the hit itself.
    privacy.referrer === "full"
      ? cleanAddress(said.split("?", 1)[0]!, { redact, remove: NONE, replacement })
      : originOf(said),
  );
}

const NONE: ReadonlySet<string> = new Set();
