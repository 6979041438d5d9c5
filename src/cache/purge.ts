// What an operator wants to be forgotten.
import { addressKey } from "../engines/cache/key.ts";
import { normalizePath } from "../http/path.ts";

/** Threads send it to each other. */
export interface Purge {
  readonly kind: "url" | "prefix" | "tag" | "all";
  /** A URL, the beginning of one, or a tag; "" for all. */
  readonly value: string;
  /** What is stored counts as stale, and may be given out as such, instead of being forgotten. */
  readonly soft: boolean;
}

/** An address with scheme, host and the target as keys have them. */
export interface PurgeAddress {
  readonly scheme: string;
  readonly authority: string;
  readonly path: string;
  /** With its `?`; "" without one. */
  readonly query: string;
}

/** The parts of a URL of `http:` or `https:`; null when it is none. */
export function purgeAddress(text: string): PurgeAddress | null {
  if (!URL.canParse(text)) return null;
  const url = new URL(text);
  if (url.protocol !== "http:" && url.protocol !== "https:") return null;
  const path = normalizePath(url.pathname);
  if (path === null || url.username !== "" || url.password !== "") return null;
  return { scheme: url.protocol.slice(0, -1), authority: url.host, path, query: url.search };
}

/** What the keys of all addresses begin with that begin like this one. */
export function keyPrefix({ scheme, authority, path, query }: PurgeAddress): string {
  return addressKey(scheme, authority, path + query).slice(0, -1);
}
