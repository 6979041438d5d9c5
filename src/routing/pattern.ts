// Host, path and value patterns as users write them, read into a form that tables and single tests are made from.
import { domainToASCII } from "node:url";
import { canonicalIp } from "../core/ip.ts";
import { PLACEHOLDERS } from "../core/placeholders.ts";
import { normalizePath } from "../http/path.ts";

export type HostPattern =
  | { readonly kind: "any" }
  | { readonly kind: "exact"; readonly host: string }
  /** Every name that ends in `.suffix`. */
  | { readonly kind: "below"; readonly suffix: string };

/** One segment of a path pattern: text to find as it is, or the name of a parameter. */
export type PathSegment = { readonly text: string } | { readonly param: string };

export type PathPattern =
  | { readonly kind: "exact"; readonly path: string }
  /** `prefix`: anything may follow after a slash, or nothing. */
  | { readonly kind: "segments"; readonly segments: readonly PathSegment[]; readonly prefix: boolean }
  | { readonly kind: "regex"; readonly regex: RegExp };

export type ValuePattern =
  | { readonly kind: "present" }
  | { readonly kind: "equal"; readonly value: string }
  | { readonly kind: "regex"; readonly regex: RegExp };

/** `example.com`, `*.example.com`, `*`, `192.0.2.1` or `[::1]`, any case. Throws RangeError with what is wrong. */
export function parseHostPattern(text: string): HostPattern {
  if (text === "*") return { kind: "any" };
  const below = text.startsWith("*.");
  const name = below ? text.slice(2) : text;
  const address = canonicalIp(name.startsWith("[") && name.endsWith("]") ? name.slice(1, -1) : name);
  if (address !== null && !below) return { kind: "exact", host: address };
  if (name.includes("*")) throw new RangeError(`"${text}": a wildcard may only stand in front, as in *.example.com`);
  if (/:\d+$/.test(name)) throw new RangeError(`"${text}": hosts are matched without their port; leave it out`);
  const host = domainToASCII(name).replace(/\.$/, "");
  if (host === "" || !/^[a-z0-9_.-]+$/.test(host)) throw new RangeError(`"${text}" is not a host name`);
  return below ? { kind: "below", suffix: host } : { kind: "exact", host };
}

/** The one form of a request's host that patterns are compared with: no final dot, addresses canonical and bare. */
export function normalizeHost(host: string): string {
  const last = host.charCodeAt(host.length - 1);
  if (last === 0x5d) return canonicalIp(host.slice(1, -1)) ?? host;
  return last === 0x2e ? host.slice(0, -1) : host;
}

/** `/exact`, `/prefix/*`, `/users/:id`, `/a/:id/*` or `~regex`. Throws RangeError with what is wrong. */
export function parsePathPattern(text: string): PathPattern {
  const pattern = readPathPattern(text);
  for (const name of paramNames(pattern)) {
    if (PLACEHOLDERS.includes(name))
      throw new RangeError(`"${text}": {${name}} means something else already; choose another name`);
  }
  return pattern;
}

function readPathPattern(text: string): PathPattern {
  if (text.startsWith("~")) return { kind: "regex", regex: parseRegex(text) };
  if (!text.startsWith("/")) throw new RangeError(`"${text}": a path begins with "/", a regular expression with "~"`);
  const prefix = text.endsWith("/*");
  const fixed = prefix ? text.slice(0, -2) : text;
  if (fixed.includes("*"))
    throw new RangeError(`"${text}": "*" may only stand at the end, as in /prefix/*; use a ~regex for more`);
  const path = fixed === "" ? "" : normalizePath(fixed);
  if (path === null) throw new RangeError(`"${text}": such a path is refused in requests, so it can never match`);
  const params = path.includes("/:");
  if (!params && !prefix) return { kind: "exact", path };
  const bare = prefix && path.endsWith("/") ? path.slice(0, -1) : path;
  return { kind: "segments", segments: parseSegments(bare, text), prefix };
}

function parseSegments(path: string, text: string): PathSegment[] {
  const seen = new Set<string>();
  return path
    .split("/")
    .slice(1)
    .map((segment) => {
      if (!segment.startsWith(":")) return { text: segment };
      const param = segment.slice(1);
      if (!/^[A-Za-z_]\w*$/.test(param))
        throw new RangeError(`"${text}": "${segment}" is not a parameter; write it like :id`);
      if (seen.has(param)) throw new RangeError(`"${text}": the parameter :${param} stands there twice`);
      seen.add(param);
      return { param };
    });
}

/** The names of the parameters that a path pattern sets, named groups of a regular expression included. */
export function paramNames(pattern: PathPattern): string[] {
  if (pattern.kind === "exact") return [];
  if (pattern.kind === "regex")
    return [...pattern.regex.source.matchAll(/\(\?<([A-Za-z_]\w*)>/g)].map((group) => group[1]!);
  return pattern.segments.flatMap((segment) => ("param" in segment ? [segment.param] : []));
}

/** A value, `~regex`, or `true` for any value at all. Throws RangeError for an invalid regular expression. */
export function parseValuePattern(wanted: string | true): ValuePattern {
  if (wanted === true) return { kind: "present" };
  return wanted.startsWith("~") ? { kind: "regex", regex: parseRegex(wanted) } : { kind: "equal", value: wanted };
}

export function matchesValue(pattern: ValuePattern, value: string): boolean {
  if (pattern.kind === "equal") return value === pattern.value;
  return pattern.kind === "present" || pattern.regex.test(value);
}

function parseRegex(text: string): RegExp {
  try {
    return new RegExp(text.slice(1));
  } catch (error) {
    throw new RangeError(`"${text}": ${error instanceof Error ? error.message : "not a regular expression"}`);
  }
}

/** Whether one host, in the form of `normalizeHost`, fits one pattern. */
export function matchesHost(pattern: HostPattern, host: string): boolean {
  if (pattern.kind === "exact") return host === pattern.host;
  return pattern.kind === "any" || host.endsWith(`.${pattern.suffix}`);
}

/** Whether one normalised path fits one pattern. */
export function matchesPath(pattern: PathPattern, path: string): boolean {
  if (pattern.kind === "exact") return path === pattern.path;
  if (pattern.kind === "regex") return pattern.regex.test(path);
  const parts = path.split("/").slice(1);
  if (pattern.prefix ? parts.length < pattern.segments.length : parts.length !== pattern.segments.length) return false;
  return pattern.segments.every((segment, at) => ("param" in segment ? parts[at] !== "" : parts[at] === segment.text));
}

/** The parameters of a path that fits the pattern, percent-decoded where that gives valid UTF-8; null without any. */
export function extractParams(pattern: PathPattern, path: string): Readonly<Record<string, string>> | null {
  if (pattern.kind === "exact") return null;
  const params: Record<string, string> = Object.create(null);
  let found = false;
  if (pattern.kind === "regex") {
    for (const [name, value] of Object.entries(pattern.regex.exec(path)?.groups ?? {})) {
      params[name] = decode(value ?? "");
      found = true;
    }
  } else {
    const parts = path.split("/");
    pattern.segments.forEach((segment, at) => {
      if (!("param" in segment)) return;
      params[segment.param] = decode(parts[at + 1] ?? "");
      found = true;
    });
  }
  return found ? params : null;
}

function decode(text: string): string {
  if (!text.includes("%")) return text;
  try {
    return decodeURIComponent(text);
  } catch {
    return text; // Not UTF-8: the encoded form is the only one that loses nothing.
  }
}
