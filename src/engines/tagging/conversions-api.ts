// Meta's Conversions API: what its collection endpoint for servers takes.
import { createHash } from "node:crypto";
import type { TagEvent } from "./event.ts";

/** Events in one request at most, as Meta has it. */
export const CAPI_EVENTS_MAX = 1000;
/** What happened longer ago Meta does not take: 7 days. */
export const CAPI_AGE_MAX_MS = 7 * 86_400_000;

/** Its names for events that have a name of GA4's; others keep theirs. */
const NAMES: Readonly<Record<string, string>> = {
  page_view: "PageView",
  view_item: "ViewContent",
  search: "Search",
  add_to_cart: "AddToCart",
  add_to_wishlist: "AddToWishlist",
  begin_checkout: "InitiateCheckout",
  add_payment_info: "AddPaymentInfo",
  purchase: "Purchase",
  generate_lead: "Lead",
  sign_up: "CompleteRegistration",
};

const sha256 = (text: string): string => createHash("sha256").update(text.trim().toLowerCase()).digest("hex");

/** The body of one request. The token stands in it rather than in the query, where logs would have it. */
export function conversionsBody(events: readonly TagEvent[], accessToken: string, testCode: string): string {
  return JSON.stringify({
    data: events.map(dataOf),
    access_token: accessToken,
    ...(testCode === "" ? {} : { test_event_code: testCode }),
  });
}

function dataOf(event: TagEvent): Record<string, unknown> {
  const { id, name, time, url, referrer, userId, ip, userAgent, place, params, items } = event;
  const browser = params.fbp;
  const click = params.fbc;
  return {
    event_name: Object.hasOwn(NAMES, name) ? NAMES[name] : name,
    event_time: Math.floor(time / 1000),
    event_id: id,
    action_source: "website",
    ...(url === "" ? {} : { event_source_url: url }),
    ...(referrer === "" ? {} : { referrer_url: referrer }),
    user_data: {
      ...(ip === "" ? {} : { client_ip_address: ip }),
      ...(userAgent === "" ? {} : { client_user_agent: userAgent }),
      ...(userId === "" ? {} : { external_id: sha256(userId) }),
      ...(place.country === "" ? {} : { country: sha256(place.country) }),
      ...(typeof browser === "string" ? { fbp: browser } : {}),
      ...(typeof click === "string" ? { fbc: click } : {}),
    },
    custom_data: {
      ...Object.fromEntries(Object.entries(params).filter(([key]) => key !== "fbp" && key !== "fbc")),
      ...(items.length === 0 ? {} : { contents: items.map(contentOf), content_type: "product" }),
    },
  };
}

const contentOf = (item: TagEvent["items"][number]): Record<string, unknown> => ({
  id: item.item_id ?? item.item_name ?? "",
  quantity: item.quantity ?? 1,
  ...(item.price === undefined ? {} : { item_price: item.price }),
});
