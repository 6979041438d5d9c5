// The match block of a route, condition by condition.
import { parseCidr } from "../core/ip.ts";
import { KNOWN_METHODS } from "../core/methods.ts";
import { isFieldName } from "../http/header-block.ts";
import { type ConfigPath, type Problem, problem } from "./diagnostic.ts";
import type { MatchConfig } from "./schema.ts";

export function checkMatch(match: MatchConfig, path: ConfigPath): Problem[] {
  return [
    ...checkEach(match.host, [...path, "host"], hostProblem),
    ...checkEach(match.path, [...path, "path"], pathProblem),
    ...checkEach(match.method, [...path, "method"], methodProblem),
    ...checkValues(match.header, [...path, "header"], (name) =>
      isFieldName(name) ? null : `"${name}" is not a header name`,
    ),
    ...checkValues(match.query, [...path, "query"], () => null),
    ...checkValues(match.cookie, [...path, "cookie"], (name) =>
      isFieldName(name) ? null : `"${name}" is not a cookie name`,
    ),
    ...checkEach(match.clientIp, [...path, "clientIp"], networkProblem),
    ...checkClientCert(match.clientCert, [...path, "clientCert"]),
  ];
}

function checkClientCert(wanted: MatchConfig["clientCert"], path: ConfigPath): Problem[] {
  if (wanted === undefined || wanted === true) return [];
  if (Object.values(wanted).every((values) => values === undefined))
    return [problem(path, "nothing is asked of the certificate", "write `clientCert: true` for any valid one")];
  return Object.entries(wanted).flatMap(([key, values]) =>
    checkEach(values, [...path, key], (text) => {
      if (text.startsWith("~")) return regexFault(text.slice(1));
      if (key !== "fingerprint" || /^(?:[0-9a-f]{2}:?){32}$/i.test(text)) return null;
      const hint = "openssl x509 -in cert.pem -noout -fingerprint -sha256 prints it";
      return { message: `"${text}" is not a SHA-256 fingerprint`, hint };
    }),
  );
}

/** The values of a key that takes one or many, each with its path. */
export function eachOf(
  value: string | readonly string[] | undefined,
  path: ConfigPath,
): [text: string, path: ConfigPath][] {
  if (value === undefined) return [];
  return typeof value === "string" ? [[value, path]] : value.map((text, at) => [text, [...path, at]]);
}

interface Fault {
  readonly message: string;
  readonly hint?: string;
}

function checkEach(
  value: string | readonly string[] | undefined,
  path: ConfigPath,
  check: (text: string) => Fault | null,
): Problem[] {
  return eachOf(value, path).flatMap(([text, at]) => {
    const fault = check(text);
    return fault === null ? [] : [problem(at, fault.message, fault.hint)];
  });
}

function checkValues(
  values: Readonly<Record<string, string | true>> | undefined,
  path: ConfigPath,
  checkName: (name: string) => string | null,
): Problem[] {
  return Object.entries(values ?? {}).flatMap(([name, wanted]) => {
    const message = name === "" ? "a name is missing here" : checkName(name);
    if (message !== null) return [problem([...path, name], message, undefined, "key")];
    const fault = typeof wanted === "string" && wanted.startsWith("~") ? regexFault(wanted.slice(1)) : null;
    return fault === null ? [] : [problem([...path, name], fault.message)];
  });
}

function hostProblem(text: string): Fault | null {
  if (text === "*") return null;
  if (text.includes("://")) return { message: `"${text}" is a URL`, hint: "write the host name alone" };
  const name = text.startsWith("*.") ? text.slice(2) : text;
  if (name.includes("*"))
    return { message: `"${text}": a wildcard may only stand in front`, hint: "write it like *.example.com" };
  if (/^\[.*\]$/.test(name))
    return parseCidr(name.slice(1, -1)) === null ? { message: `"${text}" is not an IPv6 address` } : null;
  if (/:\d+$/.test(name) && name.split(":").length === 2)
    return { message: `"${text}": hosts are matched without their port`, hint: "leave the port out" };
  if (name.includes(":")) return parseCidr(name) === null ? { message: `"${text}" is not a host name` } : null;
  return /^[\p{L}\p{N}_-]+(?:\.[\p{L}\p{N}_-]+)*\.?$/u.test(name) ? null : { message: `"${text}" is not a host name` };
}

function pathProblem(text: string): Fault | null {
  if (text.startsWith("~")) return regexFault(text.slice(1));
  if (!text.startsWith("/"))
    return { message: `"${text}" is not a path`, hint: `a path starts with "/", a regular expression with "~"` };
  if (/[?#]/.test(text))
    return { message: `"${text}": a path has no query and no fragment`, hint: "match parameters with `query`" };
  if (text.replace(/\/\*$/, "").includes("*"))
    return { message: `"${text}": "*" may only stand at the end, behind a slash`, hint: "use a ~regex for more" };
  const params = paramsOfPath(text);
  const twice = params.find((name, at) => params.indexOf(name) !== at);
  if (twice !== undefined) return { message: `"${text}": the parameter :${twice} stands there twice` };
  const bad = text.split("/").find((segment) => segment.startsWith(":") && !/^:[A-Za-z_]\w*$/.test(segment));
  return bad === undefined
    ? null
    : { message: `"${text}": "${bad}" is not a parameter`, hint: "write it like :id, with letters, digits and _" };
}

/** The names that a path pattern gives to templates: `:id`, and named groups of a regular expression. */
export function paramsOfPath(text: string): string[] {
  if (text.startsWith("~")) return [...text.matchAll(/\(\?<([A-Za-z_]\w*)>/g)].map((group) => group[1] ?? "");
  return [...text.matchAll(/\/:([A-Za-z_]\w*)(?=\/|$)/g)].map((param) => param[1] ?? "");
}

function methodProblem(text: string): Fault | null {
  if (!isFieldName(text)) return { message: `"${text}" is not a method` };
  const upper = text.toUpperCase();
  return text !== upper && KNOWN_METHODS.has(upper)
    ? { message: `"${text}": methods are case-sensitive`, hint: `write ${upper}` }
    : null;
}

export function networkProblem(text: string): Fault | null {
  return parseCidr(text) === null
    ? {
        message: `"${text}" is not an address or a network`,
        hint: "write it like 192.0.2.1, 10.0.0.0/8 or 2001:db8::/32",
      }
    : null;
}

export function regexFault(source: string): Fault | null {
  try {
    new RegExp(source);
    return null;
  } catch (error) {
    return {
      message: `not a regular expression: ${error instanceof Error ? error.message.replace(/^Invalid regular expression: /, "") : String(error)}`,
    };
  }
}
