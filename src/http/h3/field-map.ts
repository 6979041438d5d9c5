// The fields of a message as the runtime takes and gives them: an object of names and values, several values of one
// name as a list. QPACK is the runtime's business.
import { type HeaderBlock, HOP_BY_HOP, type SkipSet, skipSet } from "../header-block.ts";
import { ID, idOf } from "../header-names.ts";

export type FieldMap = Record<string, string | string[]>;

/** Lines that the runtime can send in one section (Bun 1.4.5): it refuses more. */
const LINES_MAX = 128;
/**
 * Bytes of one name and value, and of a whole section. The runtime's limit for one field is 65,535 bytes, and a client
 * that is sent more closes the connection with all that is under way on it.
 */
const FIELD_BYTES_MAX = 60_000;
const SECTION_BYTES_MAX = 65_536;

// Framing and the connection are the codec's alone, whatever an edit says.
const NEVER_ADDED = skipSet(...HOP_BY_HOP, ID["content-length"]);

/** Gathers one section to be sent; what an HpackEncoder is for HTTP/2. */
export class FieldCollector {
  map: FieldMap = Object.create(null) as FieldMap;
  /** Of an answer; 0 for trailers. */
  statusCode = 0;
  #lines = 0;
  #bytes = 0;
  #tooLong = false;

  begin(): void {
    this.map = Object.create(null) as FieldMap;
    this.statusCode = 0;
    this.#lines = 0;
    this.#bytes = 0;
    this.#tooLong = false;
  }

  get isEmpty(): boolean {
    return this.#lines === 0;
  }

  /** The runtime can send what has been gathered. */
  get fits(): boolean {
    return this.#lines <= LINES_MAX && this.#bytes <= SECTION_BYTES_MAX && !this.#tooLong;
  }

  status(code: number): void {
    this.statusCode = code;
    this.field(":status", String(code));
  }

  /** What stands of the block, names in lower case; fields of the connection and those in `skip` stay behind. */
  fields(block: HeaderBlock, skip: SkipSet): void {
    const { ids, removed, count } = block;
    for (let at = 0; at < count; at += 1) {
      const id = ids[at]!;
      if (skip.table[id] === 1 || removed[at] === 1) continue;
      this.field(block.nameAt(at).toLowerCase(), block.valueAt(at));
    }
    if (block.added === null) return;
    for (const { name, value } of block.added) {
      const lower = name.toLowerCase();
      if (NEVER_ADDED.table[idOf(lower)] === 0) this.field(lower, value);
    }
  }

  /** One more field. The name is lower-case, the value Latin-1 text without CR, LF or NUL. */
  field(name: string, value: string): void {
    const bytes = name.length + value.length;
    this.#lines += 1;
    this.#bytes += bytes;
    if (bytes > FIELD_BYTES_MAX) this.#tooLong = true;
    const before = this.map[name];
    if (before === undefined) this.map[name] = value;
    // The runtime throws for a second value of these, and one line of both says the same (RFC 9110 §5.3).
    else if (typeof before === "string" && SINGLE.has(name)) this.map[name] = `${before}, ${value}`;
    else if (typeof before === "string") this.map[name] = [before, value];
    else before.push(value);
  }
}

const SINGLE: ReadonlySet<string> = new Set([
  "access-control-allow-credentials",
  "access-control-max-age",
  "access-control-request-method",
  "age",
  "authorization",
  "content-encoding",
  "content-language",
  "content-length",
  "content-location",
  "content-md5",
  "content-range",
  "content-type",
  "date",
  "dnt",
  "etag",
  "expires",
  "from",
  "host",
  "if-match",
  "if-modified-since",
  "if-none-match",
  "if-range",
  "if-unmodified-since",
  "last-modified",
  "location",
  "max-forwards",
  "proxy-authorization",
  "range",
  "referer",
  "retry-after",
  "tk",
  "upgrade-insecure-requests",
  "user-agent",
  "x-content-type-options",
]);
