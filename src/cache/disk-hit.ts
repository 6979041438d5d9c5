// A hit of the disk tier the cheapest way: the record is read into a buffer that is used again and again, and goes out
// from there. No entry, no body and no block of fields are made of it, which would cost twice what reading it does.
import { ageSeconds } from "../engines/cache/age.ts";
import type { RequestDirectives } from "../engines/cache/cache-control.ts";
import { HIT_STATUS } from "../engines/cache/cache-status.ts";
import { reuse } from "../engines/cache/reuse.ts";
import { RecordView } from "../engines/storage/record.ts";
import { ID } from "../http/header-names.ts";
import { ResponseHead } from "../http/message.ts";
import type { Exchange } from "../pipeline/exchange.ts";
import { isPlain, ROOM_FROM } from "./delivery.ts";
import { type TimesInto, viewHead, viewTimes } from "./disk-answer.ts";
import type { DiskCache } from "./disk-cache.ts";
import type { Place } from "./place.ts";
import type { RouteCache } from "./route-cache.ts";

const STATUS_LINE = `Cache-Status: ${HIT_STATUS}\r\n`;
const STATUS_NAME = "Cache-Status".length;
const AGE_NAME = "Age".length;
/** What comes behind the stored fields: that line, and Age with up to ten digits. */
const OWN_BYTES = STATUS_LINE.length + "Age: 2147483648\r\n".length;
/** Heads up to this are laid out where the one before was. */
const HEAD_BYTES = 8192;

const view = new RecordView();
const times: TimesInto = {
  bornAt: 0,
  freshUntil: 0,
  refreshUntil: 0,
  errorUntil: 0,
  downUntil: 0,
  mayBeStale: false,
  immutable: false,
};
const sharedHead = new ResponseHead();
const sharedBytes = Buffer.allocUnsafeSlow(HEAD_BYTES);

/**
 * Answers a request from its record, where that is fresh and can go out as it is. False: nothing has been done, and
 * `DiskCache.find` may have something.
 */
export function deliverFromDisk(
  x: Exchange,
  disk: DiskCache,
  rules: RouteCache,
  place: Place,
  wants: RequestDirectives,
  now: number,
): boolean {
  if (rules.coding !== null || !isPlain(x, 0, rules.idleFilters)) return false;
  // HTTP/1 sends everything in this call, or copies it. Streams may have to wait for their clients.
  const isOwn = x.request.version >= 20;
  if (!disk.view(place, isOwn, view)) return false;
  const count = viewTimes(view, times);
  if (count < 0 || count !== disk.changesOf(place.address) >>> 0 || reuse(times, wants, now) !== "hit") return false;
  const head = headOf(isOwn, now);
  if (head === null) return false;
  disk.used();
  x.cacheResult = "hit";
  send(x, head);
  return true;
}

function headOf(isOwn: boolean, now: number): ResponseHead | null {
  const head = isOwn ? new ResponseHead() : sharedHead;
  const stored = view.headEnd - view.metaEnd;
  const bytes = isOwn || stored + OWN_BYTES > HEAD_BYTES ? Buffer.allocUnsafeSlow(stored + OWN_BYTES) : sharedBytes;
  if (!viewHead(view, head, bytes)) return null;
  const { headers } = head;
  const at = stored;
  const ageAt = at + bytes.latin1Write(STATUS_LINE, at);
  const end = ageAt + bytes.latin1Write(`Age: ${ageSeconds(times.bornAt, now)}\r\n`, ageAt);
  headers.push(0, at, at + STATUS_NAME, at + STATUS_NAME + 2, ageAt - 2, ageAt);
  headers.push(ID.age, ageAt, ageAt + AGE_NAME, ageAt + AGE_NAME + 2, end - 2, end);
  const length = view.bodyEnd - view.headEnd;
  head.body = length === 0 ? "none" : "length";
  head.length = length;
  return head;
}

function send(x: Exchange, head: ResponseHead): void {
  const { downstream } = x;
  const { bytes, headEnd, bodyEnd } = view;
  x.response = head;
  downstream.head(head);
  // Before the content lies what is of no use any more.
  if (x.request.method === "GET" && bodyEnd > headEnd)
    downstream.data(bytes, headEnd, bodyEnd, false, bodyEnd - headEnd >= ROOM_FROM);
  downstream.end(null);
}
