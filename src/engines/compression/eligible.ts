// Which answers are encoded at all, and what has to change in their heads.
import type { Coding } from "../../http/content-codings.ts";
import type { HeaderBlock } from "../../http/header-block.ts";
import { ID } from "../../http/header-names.ts";
import { varyBy } from "../../http/vary.ts";

/** Taken only where it is named: `text/*` does not mean it. */
const EVENT_STREAM = "text/event-stream";
/** Values of Content-Type that are remembered; a server has few. */
const REMEMBERED_MAX = 64;

/** A set of media types, in which `*` stands for any characters of the subtype or for a whole part. */
export class MediaTypes {
  readonly #exact = new Set<string>();
  /** Patterns as what stands before and behind their `*`. */
  readonly #patterns: (readonly [head: string, tail: string])[] = [];
  readonly #known = new Map<string, boolean>();

  constructor(types: readonly string[]) {
    for (const type of types) {
      const lower = type.toLowerCase();
      const star = lower.indexOf("*");
      if (star < 0) this.#exact.add(lower);
      else if (lower === "*/*") this.#patterns.push(["", ""]);
      else this.#patterns.push([lower.slice(0, star), lower.slice(star + 1)]);
    }
  }

  /** Whether a value of Content-Type is one of them; its parameters do not matter. */
  has(contentType: string): boolean {
    const known = this.#known.get(contentType);
    if (known !== undefined) return known;
    const found = this.#find(contentType.split(";", 1)[0]!.trim().toLowerCase());
    if (this.#known.size >= REMEMBERED_MAX) this.#known.clear();
    this.#known.set(contentType, found);
    return found;
  }

  #find(type: string): boolean {
    if (this.#exact.has(type)) return true;
    // A call that streams both ways must not wait for a coder, and gRPC has compression of its own.
    if (type === EVENT_STREAM || type.startsWith("application/grpc") || !type.includes("/")) return false;
    return this.#patterns.some(
      ([head, tail]) => type.length >= head.length + tail.length && type.startsWith(head) && type.endsWith(tail),
    );
  }
}

/** What is looked at of an answer. */
export interface Answer {
  readonly status: number;
  readonly headers: HeaderBlock;
}

/** Answers without content of their own, parts of one, and 304, which is about another (RFC 9110 §15). */
const isWhole = (status: number): boolean =>
  status >= 200 && status !== 204 && status !== 205 && status !== 206 && status !== 304;

/** Whether somebody forbids to change the content (RFC 9111 §5.2.1.6, §5.2.2.6). */
export function mayTransform(request: HeaderBlock, answer: HeaderBlock): boolean {
  return !forbids(request.getById(ID["cache-control"])) && !forbids(answer.getById(ID["cache-control"]));
}

const forbids = (cacheControl: string | null): boolean =>
  cacheControl !== null && /(?:^|,)[ \t]*no-transform[ \t]*(?:,|$)/i.test(cacheControl);

/** Whether the content is whole and not encoded: what could be compressed, if its type and size are right. */
export function isPlain({ status, headers }: Answer): boolean {
  return isWhole(status) && codingOf(headers) === "" && headers.get("content-range") === null;
}

/** Whether the content is whole, so that its coding could be undone. */
export const isDecodable = ({ status, headers }: Answer): boolean =>
  isWhole(status) && headers.get("content-range") === null;

/** The lower-case content coding of an answer; "" for none, and several joined as they stand. */
export function codingOf(headers: HeaderBlock): string {
  const field = headers.getById(ID["content-encoding"]);
  if (field === null) return "";
  const lower = field.trim().toLowerCase();
  return lower === "identity" ? "" : lower === "x-gzip" ? "gzip" : lower;
}

/**
 * Fields that speak of the bytes as the server sent them, or of parts of them: none holds for other bytes (RFC 9530,
 * RFC 3230, RFC 9110 §14.3). Content-Length is the writer's.
 */
const OF_THE_BYTES = ["content-md5", "digest", "repr-digest", "content-digest", "accept-ranges", "content-length"];

/** Marks the head of an answer whose content gets this coding; "" where one is undone. */
export function markEncoded(headers: HeaderBlock, coding: Coding | ""): void {
  for (const name of OF_THE_BYTES) headers.remove(name);
  headers.remove("content-encoding");
  if (coding !== "") headers.add("content-encoding", coding);
  weakenTag(headers);
}

/** A strong ETag promises the same bytes, so that of other bytes has to be weak (RFC 9110 §8.8.1). */
function weakenTag(headers: HeaderBlock): void {
  const tag = headers.get("etag");
  if (tag?.startsWith('"') === true) headers.set("etag", `W/${tag}`);
}

const ACCEPT_ENCODING = ["Accept-Encoding"];

/** Says that the answer depends on Accept-Encoding, beside what it says already. */
export const addVary = (headers: HeaderBlock): void => varyBy(headers, ACCEPT_ENCODING);

/** The fields of trailers that no longer hold. */
export function markTrailers(trailers: HeaderBlock): void {
  for (const name of OF_THE_BYTES) trailers.remove(name);
}

/**
 * A 304 is about what the client has stored. If that is an answer whose tag was weakened, the same must be done here:
 * a cache may not update what it has by a strong tag that none of its answers bears (RFC 9111 §4.3.4).
 */
export function matchTag(request: HeaderBlock, headers: HeaderBlock): void {
  const tag = headers.getById(ID.etag);
  if (tag === null || !tag.startsWith('"')) return;
  if (request.getById(ID["if-none-match"])?.includes(`W/${tag}`) !== true) return;
  headers.set("etag", `W/${tag}`);
  addVary(headers);
}
