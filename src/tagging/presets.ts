// Which addresses of which vendors a route stands for, by its preset.
import type { TaggingConfig } from "../config/schema-tagging.ts";
import type { HitFormat } from "../engines/tagging/hit-clean.ts";

/** `script`: kept, and rewritten. `hit`: what is known of a visitor. `other`: passed on. */
export type RelayKind = "script" | "hit" | "other";

export interface Vendor {
  /** The first path below the route that it is for; the longest that fits counts. `""` for all. */
  readonly below: string;
  /** Its server: an upstream's name, or the beginning of an address (`https://host`). */
  readonly to: string;
  readonly kind: RelayKind;
  /** Put before the path below the route, as the vendor has it. */
  readonly base: string;
  /** The whole path goes to the vendor, the route's own beginning included. */
  readonly keepsPrefix: boolean;
}

export interface Preset {
  readonly vendors: readonly Vendor[];
  /** Hosts in scripts that are reached by way of the route, and the path below it. */
  readonly hosts: readonly (readonly [host: string, path: string])[];
  /** Fields by which the vendor wants to be told where a visitor is. */
  readonly geo: "google-gateway" | "sgtm" | "none";
  /** Debugging goes by Google's cookies and fields. */
  readonly hasPreview: boolean;
  readonly hits: HitFormat;
}

const vendor = (below: string, to: string, kind: RelayKind, base = ""): Vendor => ({
  below,
  to,
  kind,
  base,
  keepsPrefix: false,
});

const GOOGLE_HOSTS: Preset["hosts"] = [
  ["www.googletagmanager.com", ""],
  ["www.google-analytics.com", ""],
  ["region1.google-analytics.com", ""],
  ["analytics.google.com", ""],
];

const words = (text: string): readonly string[] => text.split(" ");
const dropped = (names: string): HitFormat["ids"] => new Map(words(names).map((name) => [name, "drop"]));
const fresh = (names: string): HitFormat["ids"] => new Map(words(names).map((name) => [name, "fresh"]));

/** Google's tags: https://developers.google.com/tag-platform/tag-manager/server-side, fields of `v=2`. */
const GOOGLE_HITS: HitFormat = {
  protocol: new Set(
    words(
      "v tid gtm _p _z _s _ss _nsi _fv _ee _et _eu _dbg en cid sid sct seg sr ul gcs gcd npa dma dma_cps tag_exp tfd",
    ),
  ),
  ids: new Map([...fresh("cid"), ...dropped("uid user_id ecid _fplc _gid jid gjid auiddc")]),
};
const PLAUSIBLE_HITS: HitFormat = { protocol: new Set(words("n name d domain v h e sd")), ids: new Map() };
/** https://developer.matomo.org/api-reference/tracking-api */
const MATOMO_HITS: HitFormat = {
  protocol: new Set(words("idsite rec apiv rand send_image res h m s cs pv_id token_auth cip _idts _idvc _viewts")),
  ids: dropped("_id uid cid"),
};
const POSTHOG_HITS: HitFormat = {
  protocol: new Set(
    words(
      "token api_key event event_name uuid $insert_id $lib $lib_version timestamp sent_at offset ver _ ip compression",
    ),
  ),
  ids: fresh(
    "distinct_id $distinct_id $anon_distinct_id $device_id $session_id $window_id $user_id alias $identified_id",
  ),
};
const UMAMI_HITS: HitFormat = { protocol: new Set(words("type name website screen tag")), ids: dropped("id") };
const OTHER_HITS: HitFormat = { protocol: new Set(), ids: new Map() };

/** What Google's tag gateway answers that is about no visitor; all else are hits. */
const GATEWAY_SCRIPTS = ["/gtm.js", "/gtag/", "/static/", "/_/service_worker/"];

/** Throws RangeError in plain words where a preset lacks something. */
export function presetOf(config: TaggingConfig): Preset {
  const { preset, id, to, scripts, destinations } = config;
  const none: Preset = { vendors: [], hosts: [], geo: "none", hasPreview: false, hits: OTHER_HITS };
  const google: Preset = { ...none, hosts: GOOGLE_HOSTS, hits: GOOGLE_HITS };
  switch (preset) {
    case "google-tag-gateway": {
      if (id === undefined) throw new RangeError("`google-tag-gateway` needs the tag's `id`, such as G-ABC123");
      const gateway = to ?? `https://${id.toLowerCase()}.fps.goog`;
      const whole = (below: string, kind: RelayKind): Vendor => ({
        ...vendor(below, gateway, kind),
        keepsPrefix: true,
      });
      const vendors = [
        whole("", "hit"),
        whole("/healthy", "other"),
        ...GATEWAY_SCRIPTS.map((below) => whole(below, "script")),
      ];
      // It knows the path itself, so its scripts are right as they are.
      return { ...google, vendors, hosts: [], geo: "google-gateway", hasPreview: true };
    }
    case "sgtm": {
      if (to === undefined) throw new RangeError("`sgtm` needs `to`: where the tagging server is");
      const vendors = [
        vendor("", to, "hit"),
        ...["/healthy", "/gtm/", "/_/"].map((below) => vendor(below, to, "other")),
        vendor("/gtm.js", to, "script"),
        vendor("/gtag/", to, "script"),
      ];
      return { ...google, vendors, geo: "sgtm", hasPreview: true };
    }
    case "ga4": {
      const manager = to ?? "https://www.googletagmanager.com";
      const vendors = [vendor("/gtag/", manager, "script"), vendor("/gtm.js", manager, "script")];
      // With destinations the hits are taken here.
      if (Object.keys(destinations).length === 0)
        vendors.push(vendor("/g/collect", to ?? "https://www.google-analytics.com", "hit"));
      return { ...google, vendors };
    }
    case "plausible": {
      const server = to ?? "https://plausible.io";
      return {
        ...none,
        vendors: [vendor("/js/", server, "script"), vendor("/api/event", server, "hit")],
        hosts: [["plausible.io", ""]],
        hits: PLAUSIBLE_HITS,
      };
    }
    case "matomo": {
      if (to === undefined) throw new RangeError("`matomo` needs `to`: where Matomo is");
      const hits = ["/matomo.php", "/piwik.php"].map((path) => vendor(path, to, "hit"));
      const files = ["/matomo.js", "/piwik.js", "/js/"].map((path) => vendor(path, to, "script"));
      return { ...none, vendors: [...hits, ...files], hosts: hostOf(to), hits: MATOMO_HITS };
    }
    case "posthog": {
      const server = to ?? "https://us.i.posthog.com";
      const assets = to ?? "https://us-assets.i.posthog.com";
      return {
        ...none,
        vendors: [vendor("/static/", assets, "script"), vendor("/array/", assets, "script"), vendor("", server, "hit")],
        hosts: [
          ["us.i.posthog.com", ""],
          ["us-assets.i.posthog.com", ""],
        ],
        hits: POSTHOG_HITS,
      };
    }
    case "umami": {
      const script = to ?? "https://cloud.umami.is";
      return {
        ...none,
        vendors: [vendor("/script.js", script, "script"), vendor("/api/send", to ?? "https://gateway.umami.is", "hit")],
        hosts: [
          ["cloud.umami.is", ""],
          ["gateway.umami.is", ""],
        ],
        hits: UMAMI_HITS,
      };
    }
    case "custom":
      return { ...none, vendors: scripts.map(({ path, from }) => scriptVendor(path, from)) };
  }
}

/** The host of a vendor that the site runs itself; none where an upstream's name stands for it. */
function hostOf(to: string): Preset["hosts"] {
  return URL.canParse(to) ? [[new URL(to).host.toLowerCase(), ""]] : [];
}

function scriptVendor(path: string, from: string): Vendor {
  const { origin, pathname, search } = new URL(from);
  return { below: path, to: origin, kind: "script", base: pathname + search, keepsPrefix: false };
}

/** The vendor that a path below the route is for; null for none. The longest beginning counts. */
export function vendorFor({ vendors }: Preset, below: string): Vendor | null {
  let best: Vendor | null = null;
  for (let at = 0; at < vendors.length; at += 1) {
    const each = vendors[at]!;
    if (below.startsWith(each.below) && (best === null || each.below.length > best.below.length)) best = each;
  }
  return best;
}

/** What a request is for: at Google's tag gateway the path alone does not say it. */
export function kindOf({ geo }: Preset, { kind }: Vendor, below: string, query: string): RelayKind {
  if (geo !== "google-gateway" || (below !== "" && below !== "/")) return kind;
  if (/(?:^|&)validate_geo=/.test(query)) return "other";
  return /(?:^|&)id=/.test(query) ? "script" : kind;
}
