// What a request that changes something makes invalid (RFC 9111 §4.4).
import type { HeaderBlock } from "../../http/header-block.ts";
import { ID } from "../../http/header-names.ts";
import type { RequestHead } from "../../http/message.ts";
import { normalizePath } from "../../http/path.ts";

const SAFE: ReadonlySet<string> = new Set(["GET", "HEAD", "OPTIONS", "TRACE"]);

/** Whether the method may change something: every one that is not known to be safe (RFC 9110 §9.2.1). */
export const isUnsafe = (method: string): boolean => !SAFE.has(method);

/**
 * The targets at the request's own authority whose stored answers an answer of this status to an unsafe request makes
 * invalid: its own, and those in Location and Content-Location. Empty for errors. Others' addresses are never among
 * them: a server must not be able to empty another's cache.
 */
export function invalidated(
  scheme: string,
  request: RequestHead,
  status: number,
  response: HeaderBlock,
): readonly string[] {
  if (status < 200 || status > 399 || !isUnsafe(request.method) || request.path === null) return [];
  const targets = new Set([request.queryAt < 0 ? request.path : `${request.path}?${request.query}`]);
  const base = `${scheme}://${request.authority}${request.target}`;
  for (const field of [response.getById(ID.location), response.get("content-location")]) {
    const target = field === null ? null : sameOriginTarget(field, base);
    if (target !== null) targets.add(target);
  }
  return [...targets];
}

function sameOriginTarget(reference: string, base: string): string | null {
  if (!URL.canParse(base) || !URL.canParse(reference, base)) return null;
  const url = new URL(reference, base);
  if (url.origin !== new URL(base).origin) return null;
  const path = normalizePath(url.pathname);
  return path === null ? null : path + url.search;
}
