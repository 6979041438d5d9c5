// What Google's tags send to `/g/collect`: parameters in the query, and either none or one event a line in the body.
import { combined } from "./consent/consent.ts";
import { consentOfGcd, consentOfGcs } from "./consent/google.ts";
import { cut, LIMITS, type Params, ParamsBuilder } from "./event.ts";
import type { Told } from "./told.ts";

/** Names and values of a query or a line, `+` as a space; more than LIMITS allow are not looked at. */
function* pairs(text: string): Generator<readonly [name: string, value: string]> {
  let count = 0;
  for (let at = 0; at < text.length && count < PAIRS_MAX; count += 1) {
    const amp = text.indexOf("&", at);
    const end = amp < 0 ? text.length : amp;
    const equals = text.indexOf("=", at);
    const split = equals < 0 || equals > end ? end : equals;
    if (end > at) yield [decoded(text.slice(at, split)), split === end ? "" : decoded(text.slice(split + 1, end))];
    at = end + 1;
  }
}

/** An event with all the parameters and products that are let through, twice over. */
const PAIRS_MAX = 1000;

function decoded(text: string): string {
  if (!text.includes("%") && !text.includes("+")) return text;
  const spaced = text.replaceAll("+", " ");
  try {
    return decodeURIComponent(spaced);
  } catch {
    return spaced; // half an escape is no reason to lose the event
  }
}

/** Null for a query that is no hit of GA4 (`v=2` and `tid`), else its events: one, or as many as there are lines. */
export function readGa4(query: string, body: string): Told[] | null {
  const shared = new Map(pairs(query));
  if (shared.get("v") !== "2" || !shared.has("tid")) return null;
  const lines = body.split("\n", LIMITS.events + 1).filter((line) => line.trim() !== "");
  if (lines.length === 0) return [readHit(shared)];
  return lines.slice(0, LIMITS.events).map((line) => readHit(new Map([...shared, ...pairs(line.trim())])));
}

function readHit(fields: ReadonlyMap<string, string>): Told {
  const of = (name: string, max: number = LIMITS.value): string => cut(fields.get(name) ?? "", max);
  const params = new ParamsBuilder();
  const user = new ParamsBuilder();
  const items: Params[] = [];
  for (const [name, value] of fields) {
    if (name.startsWith("ep.")) params.add(name.slice(3), value);
    else if (name.startsWith("epn.")) params.addNumber(name.slice(4), value);
    else if (name.startsWith("up.")) user.add(name.slice(3), value);
    else if (name.startsWith("upn.")) user.addNumber(name.slice(4), value);
    else if (items.length < LIMITS.items && isItem(name)) items.push(readItem(value));
    else if (Object.hasOwn(PARAMS, name)) params.addNumber(PARAMS[name]!, value);
  }
  return {
    id: "",
    name: of("en", LIMITS.name) || "page_view",
    time: 0,
    clientId: of("cid"),
    sessionId: of("sid"),
    userId: of("uid"),
    url: of("dl", LIMITS.url),
    title: of("dt"),
    referrer: of("dr", LIMITS.url),
    language: of("ul", LIMITS.name),
    screen: of("sr", LIMITS.name),
    params: params.done(),
    user: user.done(),
    items,
    consent: combined(consentOfGcs(of("gcs")), consentOfGcd(of("gcd"))),
    tag: of("tid", LIMITS.name),
    visit: of("cid"),
  };
}

/** Fields of the hit that the Measurement Protocol has as parameters of the event. */
const PARAMS: Readonly<Record<string, string>> = {
  cu: "currency",
  _et: "engagement_time_msec",
  sct: "session_number",
};

const isItem = (name: string): boolean => /^pr\d{1,3}$/.test(name);

/** Product fields by their codes; the rest are the site's own (`k0` its name, `v0` its value). */
const ITEM_TEXTS: Readonly<Record<string, string>> = {
  id: "item_id",
  nm: "item_name",
  br: "item_brand",
  ca: "item_category",
  c2: "item_category2",
  c3: "item_category3",
  c4: "item_category4",
  c5: "item_category5",
  va: "item_variant",
  cp: "coupon",
  ln: "item_list_name",
  li: "item_list_id",
  pi: "promotion_id",
  pn: "promotion_name",
  cn: "creative_name",
  cs: "creative_slot",
  lo: "location_id",
  af: "affiliation",
};
const ITEM_NUMBERS: Readonly<Record<string, string>> = { pr: "price", qt: "quantity", ds: "discount", lp: "index" };

/** `idSKU1~nmShirt~pr19.5~qt2~k0color~v0red` */
function readItem(text: string): Params {
  const item = new ParamsBuilder();
  const names = new Map<string, string>();
  for (const part of text.split("~", LIMITS.params)) {
    const code = part.slice(0, 2);
    const value = part.slice(2);
    if (Object.hasOwn(ITEM_TEXTS, code)) item.add(ITEM_TEXTS[code]!, value);
    else if (Object.hasOwn(ITEM_NUMBERS, code)) item.addNumber(ITEM_NUMBERS[code]!, value);
    else if (/^k\d$/.test(code)) names.set(code[1]!, value);
    else if (/^v\d$/.test(code)) item.add(names.get(code[1]!) ?? "", value);
  }
  return item.done();
}
