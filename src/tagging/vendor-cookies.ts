// Cookies between browsers and vendors: what is on a list passes, all else stays where it is.
import { wallClock } from "../core/clock.ts";
import { MAX_AGE_MAX_S } from "./visitor-cookie.ts";

/** Names, `*` at the end for all that begin so. */
export class CookieNames {
  readonly #exact: ReadonlySet<string>;
  readonly #beginnings: readonly string[];

  constructor(patterns: readonly string[]) {
    this.#exact = new Set(patterns.filter((pattern) => !pattern.endsWith("*")));
    this.#beginnings = patterns.filter((pattern) => pattern.endsWith("*")).map((pattern) => pattern.slice(0, -1));
  }

  has(name: string): boolean {
    return this.#exact.has(name) || this.#beginnings.some((beginning) => name.startsWith(beginning));
  }
}

/**
 * A vendor's Set-Cookie as the site's own: without Domain, with Secure and SameSite, no longer than browsers keep
 * it. Null for one that may not pass.
 */
export function vendorCookie(field: string, allowed: CookieNames): string | null {
  const [pair = "", ...attributes] = field.split(";");
  const equals = pair.indexOf("=");
  if (equals <= 0) return null;
  const name = pair.slice(0, equals).trim();
  if (!allowed.has(name)) return null;
  const kept = [`${name}=${pair.slice(equals + 1).trim()}`, "Path=/"];
  for (const attribute of attributes) {
    const [key = "", value = ""] = attribute.split("=", 2).map((part) => part.trim());
    switch (key.toLowerCase()) {
      case "max-age": {
        const seconds = Number(value);
        if (!Number.isFinite(seconds)) break;
        kept.push(`Max-Age=${Math.min(Math.trunc(seconds), MAX_AGE_MAX_S)}`);
        break;
      }
      case "expires":
        // Max-Age goes before Expires (RFC 6265 section 5.3); where there is none the date says no more than it may.
        if (!attributes.some((other) => /^\s*max-age\s*=/i.test(other))) {
          kept.push(expiry(value));
        }
        break;
      case "httponly":
        kept.push("HttpOnly");
    }
  }
  return [...kept, "Secure", "SameSite=Lax"].join("; ");
}

function expiry(date: string): string {
  const seconds = Math.floor((Date.parse(date) - wallClock()) / 1000);
  return `Max-Age=${Number.isFinite(seconds) ? Math.min(Math.max(seconds, 0), MAX_AGE_MAX_S) : MAX_AGE_MAX_S}`;
}
