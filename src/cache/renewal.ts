// What a 304 makes of the stored answers that the server was asked about.
import type { Admission } from "../engines/cache/storing.ts";
import { confirmed, freshen } from "../engines/cache/validation.ts";
import { type Variant, variantOf } from "../engines/cache/vary.ts";
import type { RequestHead, ResponseHead } from "../http/message.ts";
import type { Stamp } from "./changes.ts";
import { Entry } from "./entry.ts";
import { OF_THE_CLIENT } from "./refusals.ts";
import type { RouteCache } from "./route-cache.ts";

/** What becomes of one of them. */
export interface Renewal {
  readonly before: Entry;
  /** With the fields of the 304 worked in. */
  readonly after: Entry;
  /** `stored` in place of the one before; `once`: for this request alone, and what is stored stays or goes. */
  readonly fate: "stored" | "once" | "once-and-gone";
  /** It is the one that the request was for. */
  readonly isFirst: boolean;
}

/**
 * Works the head of a 304 into the answers that it is about. `request` is the one that was sent at `requestTime` about
 * the `asked` ones, the first of which was selected for it; times are milliseconds since 1970.
 */
export function renewals(
  request: RequestHead,
  asked: readonly Entry[],
  head: ResponseHead,
  requestTime: number,
  now: number,
  { policy }: RouteCache,
  stamp: Stamp,
): Renewal[] {
  const validators = asked.map((entry) => entry.validators);
  return confirmed(validators, head.headers, now).map((index) => {
    const before = asked[index]!;
    const length = before.hasContent ? before.body.length : -1;
    const news = freshen(request, before.stored, head, length, requestTime, now, policy);
    const { admission } = news;
    const isFirst = index === 0;
    const isAdmitted = !("refusal" in admission);
    const variant = isAdmitted ? variantAfter(request, before, admission, news.head.headers, isFirst) : before;
    const times = isAdmitted ? admission.times : before.times;
    const after = new Entry(before.extra, variant ?? before, before.tags, stamp, times, news.head, before.body);
    if (isAdmitted) return { before, after, fate: variant === null ? "once-and-gone" : "stored", isFirst };
    // What comes of one client's cookies or credentials says nothing of what is stored.
    return { before, after, fate: OF_THE_CLIENT.has(admission.refusal) ? "once" : "once-and-gone", isFirst };
  });
}

/**
 * What a renewed answer is selected by. Where the 304 has other names in Vary, that is known of the request that it
 * answers alone, which the first answer was selected for; the others have to go: null.
 */
function variantAfter(
  request: RequestHead,
  before: Entry,
  { vary }: Admission,
  headers: ResponseHead["headers"],
  isFirst: boolean,
): Variant | null {
  if (vary.text === before.rule.text) return before;
  return isFirst ? variantOf(vary, request.headers, headers) : null;
}
