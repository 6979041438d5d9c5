// What is known of one file that has been served: its state when it was looked at, the fields that it goes out with,
// and its bytes where they are worth keeping.
import { CODINGS } from "../http/content-codings.ts";
import { HeaderBlock } from "../http/header-block.ts";
import { formatHttpDate, NO_DATE } from "../http/http-date.ts";
import { layOut } from "../http/laid-out.ts";
import { ResponseHead } from "../http/message.ts";
import type { Reply } from "../pipeline/reply.ts";
import { SUFFIXES } from "./codings.ts";
import { mediaTypeOf } from "./media-type.ts";
import type { FileState, OpenedFile } from "./open.ts";
import type { Site } from "./site.ts";

type Fields = readonly (readonly [name: string, value: string])[];

/** A change within the same tick of the system's clock leaves no trace, so what has just changed is not relied on. */
const YOUNG_MS = 1000;
/** Times before this are no times: archives that are to come out the same always have such (1980-01-02, as zip's). */
const REAL_TIME_MS = 315_619_200_000;
/** Fields of a 304 (RFC 9110 §15.4.5). */
const OF_304: ReadonlySet<string> = new Set([
  "cache-control",
  "content-location",
  "etag",
  "expires",
  "last-modified",
  "vary",
]);

export class FileEntry {
  readonly name: string;
  readonly state: FileState;
  /** It changed so shortly before that it may change again unseen: it must not be kept. */
  readonly young: boolean;
  readonly etag: string;
  /** In milliseconds, to the second; NO_DATE where it means nothing. */
  readonly lastModified: number;
  readonly type: string;
  /** The fields of the whole file, without its length. */
  readonly fields: Fields;
  /** The bytes; null while they are not kept. */
  content: Buffer | null = null;
  /** The whole file as an answer, once its bytes are there. */
  reply: Reply | null = null;
  #notModified: Reply | null = null;
  #described: HeaderBlock | null = null;
  readonly hints: ResponseHead | null;
  /** Compressed copies beside it, in the order of CODINGS. */
  copies: readonly (FileEntry | null)[] | null = null;
  /** On the monotonic clock: when its state was compared last, and when its path was resolved. */
  checkedAt: number;
  resolvedAt: number;
  /** Somebody has asked for it since it was last thought of giving it up. */
  used = false;
  loading = false;
  /** Still open, for whoever has asked first; closed once that one is answered. */
  opened: OpenedFile | null = null;
  /** Bytes that it takes of the memory for files. */
  cost = 0;

  /** `coding` is the place in CODINGS of a compressed copy, -1 for the file itself. Times as in the fields. */
  constructor(site: Site, name: string, state: FileState, coding: number, varies: boolean, wall: number, turn: number) {
    this.name = name;
    this.state = state;
    this.young = wall - state.ctimeMs < YOUNG_MS;
    this.etag = etagOf(state, this.young);
    this.lastModified = lastModifiedOf(state, wall);
    const plain = coding < 0 ? name : name.slice(0, -SUFFIXES[coding]!.length);
    this.fields = fieldsOf(this, site.fieldsOf(plain), mediaTypeOf(plain), coding, varies);
    this.type = this.fields.find(([name]) => name.toLowerCase() === "content-type")![1];
    const hints = site.hintsOf(plain);
    this.hints = hints.length === 0 ? null : hintsHead(hints);
    this.checkedAt = turn;
    this.resolvedAt = turn;
  }

  get size(): number {
    return this.state.size;
  }

  /** Takes the bytes of the whole file. */
  fill(content: Buffer): void {
    this.content = content;
    this.reply = { status: 200, headers: layOut(new HeaderBlock(), 200, "OK", this.fields), body: content };
  }

  get notModified(): Reply {
    this.#notModified ??= bodiless(304, this.#validating());
    return this.#notModified;
  }

  /** What the whole answer says, for those who look at a 304. */
  get described(): HeaderBlock {
    this.#described ??= HeaderBlock.of(this.fields);
    return this.#described;
  }

  #validating(): Fields {
    return this.fields.filter(([name]) => OF_304.has(name.toLowerCase()));
  }
}

const EMPTY = Buffer.alloc(0);

/** An answer without content. */
export function bodiless(status: number, fields: Fields): Reply {
  return { status, headers: layOut(new HeaderBlock(), status, "", fields), body: EMPTY };
}

/**
 * Strong, as it names one state of one file: size, time of change to the microsecond, and the inode, as files that are
 * put in place of others may bring their times along.
 */
function etagOf({ ino, size, mtimeMs }: FileState, young: boolean): string {
  const micros = Math.round(mtimeMs * 1000);
  return `${young ? "W/" : ""}"${ino.toString(36)}-${size.toString(36)}-${micros.toString(36)}"`;
}

/** A time that is still to come is not told (RFC 9110 §8.8.2.1). */
function lastModifiedOf({ mtimeMs }: FileState, wall: number): number {
  const seconds = Math.floor(mtimeMs / 1000) * 1000;
  return seconds < REAL_TIME_MS || seconds > wall ? NO_DATE : seconds;
}

function fieldsOf(entry: FileEntry, rules: Fields, type: string, coding: number, varies: boolean): Fields {
  const fields: (readonly [string, string])[] = [["Content-Type", type]];
  if (coding >= 0) fields.push(["Content-Encoding", CODINGS[coding]!]);
  const names = rules.map(([name]) => name.toLowerCase());
  const own = fields.filter(([name]) => !names.includes(name.toLowerCase()));
  const always: (readonly [string, string])[] = [
    ["ETag", entry.etag],
    ["Accept-Ranges", "bytes"],
  ];
  if (!Number.isNaN(entry.lastModified)) always.push(["Last-Modified", formatHttpDate(entry.lastModified)]);
  if (varies) always.push(["Vary", "Accept-Encoding"]);
  return names.includes("content-type") ? [...rules, ...own, ...always] : [...own, ...rules, ...always];
}

function hintsHead(links: Fields): ResponseHead {
  const head = new ResponseHead();
  head.status = 103;
  head.reason = "Early Hints";
  head.own = true;
  layOut(head.headers, 103, head.reason, links);
  return head;
}
