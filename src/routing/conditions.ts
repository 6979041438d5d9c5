// The conditions of one route beyond host and path, each a small test that can also say what it wanted and what it got.
import { CompileError, within } from "../config/compile-error.ts";
import type { MatchConfig } from "../config/schema.ts";
import { CidrSet } from "../core/ip.ts";
import { KNOWN_METHODS } from "../core/methods.ts";
import { cookieValues } from "../http/cookies.ts";
import { isFieldName } from "../http/header-block.ts";
import { queryValues } from "../http/query.ts";
import {
  type HostPattern,
  matchesValue,
  type PathPattern,
  parseHostPattern,
  parsePathPattern,
  parseValuePattern,
} from "./pattern.ts";
import type { RouteSubject } from "./subject.ts";
import { versionTest } from "./version.ts";

export interface Condition {
  /** Where it stands in the configuration: `method`, `header.x-beta`, `clientIp`. */
  readonly key: string;
  readonly wanted: string | true | readonly string[];
  test(subject: RouteSubject): boolean;
  /** What the request has there; null for nothing. */
  got(subject: RouteSubject): string | null;
}

/** A match block, read. Null stands for "any". */
export interface Conditions {
  readonly hosts: readonly HostPattern[] | null;
  readonly paths: readonly PathPattern[] | null;
  /** All other conditions, the cheap ones first. */
  readonly others: readonly Condition[];
}

const listOf = (value: string | readonly string[]): readonly string[] => (typeof value === "string" ? [value] : value);

/** Reads a match block. Throws CompileError, with the key that is wrong, for a pattern that is none. */
export function compileConditions(match: MatchConfig | undefined): Conditions {
  if (match === undefined) return { hosts: null, paths: null, others: [] };
  const hosts = match.host === undefined ? null : readList("host", match.host, parseHostPattern);
  return {
    hosts: hosts === null || hosts.some((host) => host.kind === "any") ? null : hosts,
    paths: match.path === undefined ? null : readList("path", match.path, parsePathPattern),
    others: [
      ...(match.method === undefined ? [] : [methodCondition(match.method)]),
      ...entries(match.header).map(([name, wanted]) =>
        within("header", () => within(name, () => headerCondition(name, wanted))),
      ),
      ...entries(match.query).map(([name, wanted]) =>
        within("query", () => within(name, () => queryCondition(name, wanted))),
      ),
      ...entries(match.cookie).map(([name, wanted]) =>
        within("cookie", () => within(name, () => cookieCondition(name, wanted))),
      ),
      ...(match.clientIp === undefined ? [] : [clientIpCondition(match.clientIp)]),
      ...(match.clientCert === undefined ? [] : clientCertConditions(match.clientCert)),
      ...(match.version === undefined ? [] : [versionOf(match.version)]),
    ],
  };
}

const versionOf = (wanted: NonNullable<MatchConfig["version"]>): Condition =>
  within("version", () => ({ key: "version", ...versionTest(wanted) }));

const entries = (record: Readonly<Record<string, string | true>> | undefined) => Object.entries(record ?? {});

function readList<T>(key: string, value: string | readonly string[], read: (text: string) => T): T[] {
  if (typeof value === "string") return [within(key, () => read(value))];
  return value.map((text, at) => within(key, () => within(at, () => read(text))));
}

function methodCondition(wanted: string | readonly string[]): Condition {
  const methods = listOf(wanted);
  for (const method of methods) {
    if (!isFieldName(method)) throw new CompileError(`"${method}" is not a method`, ["method"]);
    // Methods are case-sensitive (RFC 9110 §9.1): "get" would never match anything that clients send.
    const upper = method.toUpperCase();
    if (method !== upper && KNOWN_METHODS.has(upper))
      throw new CompileError(`methods are case-sensitive: write ${upper}`, ["method"]);
  }
  return {
    key: "method",
    wanted,
    test: (subject) => methods.includes(subject.method),
    got: (subject) => subject.method,
  };
}

function headerCondition(name: string, wanted: string | true): Condition {
  if (!isFieldName(name)) throw new RangeError(`"${name}" is not a field name`);
  const pattern = parseValuePattern(wanted);
  return {
    key: `header.${name}`,
    wanted,
    test(subject) {
      const value = subject.header(name);
      return value !== null && matchesValue(pattern, value);
    },
    got: (subject) => subject.header(name),
  };
}

function queryCondition(name: string, wanted: string | true): Condition {
  const pattern = parseValuePattern(wanted);
  return {
    key: `query.${name}`,
    wanted,
    test: (subject) => queryValues(subject.query, name).some((value) => matchesValue(pattern, value)),
    got: (subject) => queryValues(subject.query, name)[0] ?? null,
  };
}

function cookieCondition(name: string, wanted: string | true): Condition {
  const pattern = parseValuePattern(wanted);
  return {
    key: `cookie.${name}`,
    wanted,
    test: (subject) => cookieValues(subject.header("cookie"), name).some((value) => matchesValue(pattern, value)),
    got: (subject) => cookieValues(subject.header("cookie"), name)[0] ?? null,
  };
}

function clientIpCondition(wanted: string | readonly string[]): Condition {
  const networks = within("clientIp", () => new CidrSet(listOf(wanted)));
  return { key: "clientIp", wanted, test: (subject) => networks.has(subject.ip), got: (subject) => subject.ip };
}

function clientCertConditions(wanted: NonNullable<MatchConfig["clientCert"]>): Condition[] {
  if (wanted === true) {
    const test = ({ clientCert }: RouteSubject): boolean => clientCert !== null;
    return [{ key: "clientCert", wanted, test, got: ({ clientCert }) => clientCert?.subject ?? null }];
  }
  return CERT_KEYS.flatMap((key) => {
    const values = wanted[key];
    return values === undefined ? [] : [within("clientCert", () => clientCertCondition(key, values))];
  });
}

const CERT_KEYS = ["subject", "issuer", "san", "fingerprint", "serial"] as const;

function clientCertCondition(key: (typeof CERT_KEYS)[number], wanted: string | readonly string[]): Condition {
  // Colons and capitals are how tools print numbers; we hold them without.
  const isNumber = key === "fingerprint" || key === "serial";
  const plain = (text: string): string => (isNumber && !text.startsWith("~") ? plainHex(text) : text);
  const patterns =
    typeof wanted === "string"
      ? [within(key, () => parseValuePattern(plain(wanted)))]
      : wanted.map((text, at) => within(key, () => within(at, () => parseValuePattern(plain(text)))));
  const valuesOf = ({ clientCert }: RouteSubject): readonly string[] => {
    if (clientCert === null) return [];
    return key === "san" ? clientCert.san : [clientCert[key]];
  };
  return {
    key: `clientCert.${key}`,
    wanted,
    test: (subject) => valuesOf(subject).some((value) => patterns.some((pattern) => matchesValue(pattern, value))),
    got: (subject) => valuesOf(subject)[0] ?? null,
  };
}

const plainHex = (text: string): string => text.replaceAll(":", "").toLowerCase();
