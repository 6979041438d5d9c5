// The version of an API that a request is for: where it says so, and whether that is the one that a route serves.
import { CompileError, within } from "../config/compile-error.ts";
import type { VersionMatch } from "../config/schema-version.ts";
import { queryValues } from "../http/query.ts";
import type { RouteSubject } from "./subject.ts";

/** Longer texts are no versions. */
const TEXT_MAX = 64;

/** `3`, `1.12`; or a day. Other texts are equal or not, and neither more nor less than others. */
const NUMBERS = /^\d{1,9}(?:\.\d{1,9}){0,7}$/;
const DATE = /^\d{4}-\d\d-\d\d$/;

/** What a request says in one place; "" for nothing. */
type Place = (subject: RouteSubject) => string;

/** Whether a request is for a version, and for which one it is. */
export interface VersionTest {
  readonly wanted: readonly string[];
  test(subject: RouteSubject): boolean;
  /** Null where it says none. */
  got(subject: RouteSubject): string | null;
}

/** Compiles `match.version`. Throws CompileError for what cannot be matched. */
export function versionTest(config: VersionMatch): VersionTest {
  const from = listOf(config.from);
  const places = from.map((text) => placeOf(text));
  const wanted = listOf(config.is);
  const tests = wanted.map((text, at) =>
    within("is", () => (typeof config.is === "string" ? testOf(text) : within(at, () => testOf(text)))),
  );
  const aliases = new Map(
    Object.entries(config.aliases).map(([name, version]) => [name.toLowerCase(), plain(version)]),
  );
  const none = config.default === undefined ? "" : plain(config.default);
  const versionOf = (subject: RouteSubject): string => {
    for (const place of places) {
      const said = place(subject);
      if (said !== "") return versionIn(said, aliases);
    }
    return none;
  };
  return {
    wanted,
    test(subject) {
      const version = versionOf(subject);
      return version !== "" && tests.some((test) => test(version));
    },
    got: (subject) => versionOf(subject) || null,
  };
}

/** The fields that the version of a request may depend on, lower-case, for Vary and for keys of caches. */
export function versionFields({ from }: VersionMatch): string[] {
  const names = listOf(from).flatMap((place) => {
    if (place === "mediaType") return ["accept", "content-type"];
    return place.startsWith("header:") ? [place.slice("header:".length).toLowerCase()] : [];
  });
  return [...new Set(names)];
}

const listOf = (value: string | readonly string[]): readonly string[] => (typeof value === "string" ? [value] : value);

function versionIn(said: string, aliases: ReadonlyMap<string, string>): string {
  if (said.length > TEXT_MAX) return said;
  const lower = said.toLowerCase();
  return aliases.get(lower) ?? plain(lower);
}

/** Lower-case, and without the `v` of `v2`. */
function plain(text: string): string {
  const lower = text.toLowerCase();
  return isDigit(lower.charCodeAt(1)) && lower.charCodeAt(0) === V ? lower.slice(1) : lower;
}

const V = 0x76;
const isDigit = (code: number): boolean => code >= 0x30 && code <= 0x39;

// ——— Where requests say it

function placeOf(text: string): Place {
  if (text === "path") return ({ path }) => (path === null ? "" : versionInPath(path));
  if (text === "mediaType")
    return (subject) => versionInMedia(subject.header("accept")) || versionInMedia(subject.header("content-type"));
  const name = text.slice(text.indexOf(":") + 1);
  if (text.startsWith("header:")) return (subject) => subject.header(name)?.trim() ?? "";
  return ({ query }) => (query === "" ? "" : (queryValues(query, name)[0]?.trim() ?? ""));
}

/** The first segment that is a `v` and numbers, or a day. */
function versionInPath(path: string): string {
  for (let at = 0; at >= 0; at = path.indexOf("/", at + 1)) {
    const first = path.charCodeAt(at + 1);
    if (!isDigit(first) && !((first | 0x20) === V && isDigit(path.charCodeAt(at + 2)))) continue;
    const end = path.indexOf("/", at + 1);
    const segment = path.slice(at + 1, end < 0 ? path.length : end);
    if (isDigit(first) ? DATE.test(segment) : NUMBERS.test(segment.slice(1))) return segment;
  }
  return "";
}

/** `application/vnd.acme.v2+json`, or a parameter `version` or `v`; of several types the first that has one. */
function versionInMedia(field: string | null): string {
  if (field === null) return "";
  for (const part of field.split(",")) {
    const [type = "", ...parameters] = part.split(";");
    for (const parameter of parameters) {
      const [name = "", value = ""] = parameter.split("=");
      const lower = name.trim().toLowerCase();
      if (lower === "version" || lower === "v") return value.trim().replaceAll('"', "");
    }
    const version = versionInSubtype(type.trim().toLowerCase());
    if (version !== "") return version;
  }
  return "";
}

function versionInSubtype(type: string): string {
  const plus = type.lastIndexOf("+");
  const name = plus < 0 ? type : type.slice(0, plus);
  const at = name.lastIndexOf(".v");
  const version = at < 0 ? "" : name.slice(at + 2);
  if (NUMBERS.test(version) || DATE.test(version)) return version;
  // The numbers of a version are behind dots themselves: `vnd.acme.v1.2`.
  const dotted = /\.v(\d{1,9}(?:\.\d{1,9}){1,7})$/.exec(name);
  return dotted?.[1] ?? "";
}

// ——— Whether it is the one

function testOf(text: string): (version: string) => boolean {
  const dots = text.indexOf("..");
  if (dots >= 0) return rangeTest(text, plain(text.slice(0, dots)), plain(text.slice(dots + 2)));
  const wanted = plain(text);
  if (wanted.endsWith(".x")) {
    const family = wanted.slice(0, -2);
    return (version) => version === family || version.startsWith(`${family}.`);
  }
  if (!NUMBERS.test(wanted)) return (version) => version === wanted;
  return (version) => version === wanted || (NUMBERS.test(version) && compare(version, wanted) === 0);
}

/** From one version to another, both included; either may be left out. */
function rangeTest(text: string, from: string, to: string): (version: string) => boolean {
  const ends = [from, to].filter((end) => end !== "");
  const kind = DATE.test(ends[0] ?? "") ? DATE : NUMBERS;
  if (ends.length === 0 || !ends.every((end) => kind.test(end)))
    throw new CompileError(`"${text}" is no range: write it like 2..3 or 2026-01-31..`);
  if (from !== "" && to !== "" && compare(from, to) > 0) throw new CompileError(`"${text}" ends before it begins`);
  return (version) =>
    version.length <= TEXT_MAX &&
    kind.test(version) &&
    (from === "" || compare(version, from) >= 0) &&
    (to === "" || compare(version, to) <= 0);
}

/** Days by their text, numbers one by one; those that are missing are 0. */
function compare(a: string, b: string): number {
  if (a.includes("-")) return a < b ? -1 : a > b ? 1 : 0;
  const left = a.split(".");
  const right = b.split(".");
  for (let at = 0; at < Math.max(left.length, right.length); at += 1) {
    const difference = Number(left[at] ?? 0) - Number(right[at] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
}
