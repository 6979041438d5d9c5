// Where a login or logout leads to in the end: a path of the same origin, or an address of one that is listed. Anything
// that some browser could read as another host is refused (CWE-601).

/** Longer ones lead to the start page: the address travels through the provider. */
const LENGTH_MAX = 2048;

/**
 * The address as an absolute URL, for the origin that it was asked at; null for one that nobody may be led to.
 *
 * @param allowed origins beside `own` that are listed
 */
export function returnUrl(text: string, own: string, allowed: ReadonlySet<string>): string | null {
  if (text.length === 0 || text.length > LENGTH_MAX || !isPlain(text)) return null;
  if (text.startsWith("/")) {
    if (text.startsWith("//") || hasOddSegment(text)) return null;
    // What is left to a parser must not become another origin by it.
    const url = URL.parse(text, own);
    return url !== null && url.origin === own && `${url.pathname}${url.search}${url.hash}`.startsWith("/")
      ? checked(url, own)
      : null;
  }
  if (!/^https?:\/\/[^/]/.test(text)) return null;
  const url = URL.parse(text);
  if (url === null || url.username !== "" || url.password !== "") return null;
  if (url.origin !== own && !allowed.has(url.origin)) return null;
  // As it is written, so that nothing was made out of it that differs (`https://a\@b`, `https:///a`).
  const rest = text.slice(url.origin.length);
  if (!text.startsWith(url.origin) || (rest !== "" && !/^[/?#]/.test(rest)) || hasOddSegment(rest)) return null;
  return checked(url, url.origin);
}

const checked = (url: URL, origin: string): string | null =>
  url.pathname.startsWith("//") ? null : `${origin}${url.pathname}${url.search}${url.hash}`;

/** Visible ASCII without what browsers turn into slashes or leave out. */
const isPlain = (text: string): boolean => /^[!-~]+$/.test(text) && !/[\\<>"`{}|^]/.test(text);

/** Dots and empty segments at the start move what stands behind them to the front: `/./\host`, `/.//host`. */
function hasOddSegment(text: string): boolean {
  const path = text.split(/[?#]/, 1)[0]!;
  return /^\/(?:\.|%2e)*\//i.test(path) || /%(?:5c|0[0-9a-f]|1[0-9a-f]|7f)/i.test(path) || /^\/(?:%2f)/i.test(path);
}
