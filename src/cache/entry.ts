// What is stored: an answer, and the answers of one address.
import { ageSeconds } from "../engines/cache/age.ts";
import { HIT_STATUS } from "../engines/cache/cache-status.ts";
import { type StoredValidators, validatorsOf } from "../engines/cache/conditional.ts";
import type { UseTimes } from "../engines/cache/freshness.ts";
import type { StoredHead } from "../engines/cache/stored-head.ts";
import { selectVariant, VARIANTS_MAX, type Variant, type VaryRule } from "../engines/cache/vary.ts";
import type { CodingPolicy } from "../engines/compression/coding-policy.ts";
import { pushFields } from "../http/copied-head.ts";
import { HeaderBlock } from "../http/header-block.ts";
import { ID } from "../http/header-names.ts";
import { ResponseHead } from "../http/message.ts";
import type { ContentRange } from "../http/ranges.ts";
import type { CodedBody } from "../pipeline/exchange.ts";
import { Body } from "./body.ts";
import type { Stamp } from "./changes.ts";
import type { SharedAnswer } from "./peers.ts";

const OWN_LINES = `Cache-Status: ${HIT_STATUS}\r\nAge: `;
const OWN_FIELDS = 2;
const STATUS_NAME = "Cache-Status: ".indexOf(":");
const STATUS_VALUE = STATUS_NAME + 2;
const AGE_DIGITS_MAX = 10; // 2^31
/** They lie behind the stored fields. */
const OWN_BYTES = OWN_LINES.length + AGE_DIGITS_MAX + 2;
/**
 * What an entry takes beside head and content: its objects, the marks of its fields, and what the heap keeps free for
 * them, as measured with 40,000 entries.
 */
const ENTRY_BYTES = 4096;

/** An answer as it goes out on a route where `compress` alone may change it, ready for `deliverPlain`. */
export interface Forms {
  /** For whose routes it was made. */
  readonly policy: CodingPolicy;
  /** For clients that take no coding; null where each answer has to be looked at. */
  readonly plain: Entry | null;
  /** Whether clients that take a coding get it so. */
  readonly isCoded: boolean;
  zstd: Entry | null;
  br: Entry | null;
  gzip: Entry | null;
}

/** One stored answer. */
export class Entry implements Variant {
  /** What beside the address and Vary tells it from others: the rest of the key. */
  readonly extra: string;
  readonly rule: VaryRule;
  readonly key: string;
  readonly encoding: string;
  readonly language: string;
  /** What purges may name it by. */
  readonly tags: readonly string[];
  /** For whom nothing has changed it is still what the server said. */
  readonly stamp: Stamp;
  times: UseTimes;
  readonly validators: StoredValidators;
  readonly body: Body;
  /** Which bytes of the whole these are; null for all of them. */
  part: ContentRange | null = null;
  /** Null while nobody has asked for one. */
  forms: Forms | null = null;
  /** Of a form with a coding, what is counted of each answer; else null. */
  count: CodedBody | null = null;
  /**
   * As it is given out on a hit: all that is stored, Cache-Status and Age. One for all hits, so that a hit makes none;
   * who may change its head takes a copy.
   */
  readonly #head: ResponseHead;
  readonly #ageAt: number;
  #age = -1;

  constructor(
    extra: string,
    variant: Variant,
    tags: readonly string[],
    stamp: Stamp,
    times: UseTimes,
    stored: StoredHead,
    body: Body,
  ) {
    this.tags = tags;
    this.stamp = stamp;
    this.extra = extra;
    this.rule = variant.rule;
    this.key = variant.key;
    this.encoding = variant.encoding;
    this.language = variant.language;
    this.times = times;
    this.validators = validatorsOf(stored.headers, times.bornAt);
    this.body = body;
    const head = new ResponseHead((stored.room ?? 0) >= OWN_BYTES ? stored.headers : withRoom(stored.headers));
    const { headers } = head;
    const at = headers.end;
    headers.bytes.latin1Write(OWN_LINES, at);
    head.status = stored.status;
    head.reason = stored.reason;
    head.lineAt = 0;
    const ageLine = at + OWN_LINES.indexOf("Age");
    headers.push(0, at, at + STATUS_NAME, at + STATUS_VALUE, ageLine - 2, ageLine);
    headers.push(ID.age, ageLine, ageLine + 3, ageLine + 5, ageLine + 5, ageLine + 7);
    this.#ageAt = ageLine + 5;
    this.#head = head;
  }

  get status(): number {
    return this.#head.status;
  }

  /** Memory that it takes, in bytes. */
  get bytes(): number {
    const { forms } = this;
    return this.body.bytes + this.#ownBytes + (forms === null ? 0 : this.#formsBytes(forms));
  }

  get #ownBytes(): number {
    return this.#head.headers.bytes.length + ENTRY_BYTES;
  }

  /** Their content is counted with this one's. */
  #formsBytes({ plain, zstd, br, gzip }: Forms): number {
    let bytes = plain === null || plain === this ? 0 : plain.#ownBytes;
    for (const form of [zstd, br, gzip]) if (form !== null) bytes += form.#ownBytes;
    return bytes;
  }

  /** Whether content goes with this status. */
  get hasContent(): boolean {
    return this.status !== 204;
  }

  /** From now on it is stale. */
  expire(now: number): void {
    if (this.times.freshUntil > now) this.times = { ...this.times, freshUntil: now };
  }

  /** The head for a hit at this time, the same object for all: to be written at once and not to be changed. */
  hitHead(now: number): ResponseHead {
    const head = this.#head;
    const age = ageSeconds(this.times.bornAt, now);
    if (age !== this.#age) this.#writeAge(age);
    const { length } = this.body;
    head.body = length === 0 ? "none" : "length";
    head.length = length;
    return head;
  }

  #writeAge(age: number): void {
    const { headers } = this.#head;
    const end = this.#ageAt + headers.bytes.latin1Write(String(age), this.#ageAt);
    headers.bytes.latin1Write("\r\n", end);
    headers.marks[headers.count * 4 - 1] = end;
    headers.end = end + 2;
    this.#age = age;
  }

  /** A head of its own for one answer, without Cache-Status and Age; `body` and `length` are still to be set. */
  freshHead(): ResponseHead {
    const head = new ResponseHead();
    head.status = this.#head.status;
    head.reason = this.#head.reason;
    head.lineAt = 0;
    this.#storedInto(head.headers);
    return head;
  }

  /** The head as it was stored. */
  get stored(): StoredHead {
    const headers = new HeaderBlock();
    this.#storedInto(headers);
    return { status: this.#head.status, reason: this.#head.reason, headers };
  }

  /** The same to be looked at: the first `storedFields` of these fields, with what lies before them. */
  get storedHeaders(): HeaderBlock {
    return this.#head.headers;
  }
  get storedFields(): number {
    return this.#head.headers.count - OWN_FIELDS;
  }
  get reason(): string {
    return this.#head.reason;
  }

  /** As another worker can have it; `pieces` are none where the content is still to come. */
  share(pieces: readonly SharedArrayBuffer[] = this.body.shared()): SharedAnswer {
    const { headers, status, reason } = this.#head;
    const count = headers.count - OWN_FIELDS;
    return {
      status,
      reason,
      head: headers.bytes.slice(0, headers.lineStart(count)),
      marks: headers.marks.slice(0, count * 4),
      ids: headers.ids.slice(0, count),
      rule: this.rule,
      key: this.key,
      encoding: this.encoding,
      language: this.language,
      times: this.times,
      stamp: this.stamp,
      tags: this.tags,
      pieces,
      length: this.body.length,
    };
  }

  /** What another worker has shared, with its own content or one that comes later. */
  static shared(extra: string, answer: SharedAnswer, content?: Body): Entry {
    const { status, reason, head, marks, ids, rule, key, encoding, language } = answer;
    const headers = new HeaderBlock();
    headers.reset(Buffer.from(head.buffer, head.byteOffset, head.length));
    for (let at = 0; at < ids.length; at += 1) {
      const m = at * 4;
      const end = at + 1 < ids.length ? marks[m + 4]! : head.length;
      headers.push(ids[at]!, marks[m]!, marks[m + 1]!, marks[m + 2]!, marks[m + 3]!, end);
    }
    const variant = { rule, key, encoding, language };
    const body = content ?? Body.of(answer.pieces.map((piece) => Buffer.from(piece)));
    return new Entry(extra, variant, answer.tags, answer.stamp, answer.times, { status, reason, headers }, body);
  }

  #storedInto(headers: HeaderBlock): void {
    headers.reset(this.#head.headers.bytes);
    pushFields(this.#head.headers, headers, this.#head.headers.count - OWN_FIELDS, 0);
  }
}

/** A copy with room for the lines of an entry. */
function withRoom(stored: HeaderBlock): HeaderBlock {
  const end = stored.count === 0 ? stored.bytes.length : stored.end;
  const bytes = Buffer.allocUnsafeSlow(end + OWN_BYTES);
  stored.bytes.copy(bytes, 0, 0, end);
  const headers = new HeaderBlock();
  headers.reset(bytes);
  pushFields(stored, headers, stored.count, 0);
  headers.end = end;
  return headers;
}

/** The answers of one address, those that came last behind the others. */
export class Address {
  readonly variants: Entry[] = [];

  /** The answer that fits a request; null when none does. */
  select(extra: string, request: HeaderBlock): Entry | null {
    const { variants } = this;
    if (variants.length === 1) {
      const only = variants[0]!;
      if (only.extra !== extra) return null;
      if (only.rule.names.length === 0) return only;
    }
    const own = this.of(extra);
    const at = selectVariant(own, request);
    return at < 0 ? null : own[at]!;
  }

  /** The answers with the same rest of the key. */
  of(extra: string): readonly Entry[] {
    const { variants } = this;
    for (const entry of variants) if (entry.extra !== extra) return variants.filter((each) => each.extra === extra);
    return variants;
  }

  /** Puts an answer in place of the one for the same requests. */
  add(entry: Entry): void {
    const { variants } = this;
    if (!this.removeLike(entry) && variants.length >= VARIANTS_MAX) variants.shift();
    variants.push(entry);
  }

  /** Removes the answer for the same requests. Whether there was one. */
  removeLike(entry: Entry): boolean {
    const { variants } = this;
    const same = variants.findIndex((each) => each.extra === entry.extra && isSameVariant(each, entry));
    if (same >= 0) variants.splice(same, 1);
    return same >= 0;
  }

  /** Whether it was there. */
  remove(entry: Entry): boolean {
    const at = this.variants.findIndex((each) => isSameAnswer(each, entry));
    if (at >= 0) this.variants.splice(at, 1);
    return at >= 0;
  }

  get bytes(): number {
    let bytes = 0;
    for (const entry of this.variants) bytes += entry.bytes;
    return bytes;
  }
}

/** Whether two are one answer: it may have been packed and unpacked meanwhile. */
export const isSameAnswer = (a: Entry, b: Entry): boolean =>
  a === b || (a.extra === b.extra && isSameVariant(a, b) && a.times.bornAt === b.times.bornAt);

/** Whether two answers are for the same requests: the newer one takes the older one's place. */
function isSameVariant(a: Variant, b: Variant): boolean {
  return a.key === b.key && a.rule.text === b.rule.text;
}
