// What the shape of an `acme` block cannot say: names that a CA can be asked for, and who answers its questions.
import { isIP } from "node:net";
import { isHostName } from "../core/host-name.ts";
import { parseListen } from "./address.ts";
import { type ConfigPath, type Problem, problem, warning } from "./diagnostic.ts";
import type { ListenerTls } from "./schema-tls.ts";

type Acme = NonNullable<ListenerTls["acme"]>;

/** Problems of one `acme` block at `path`; `hasPlain` says that some listener answers plain HTTP. */
export function checkAcme(acme: Acme, path: ConfigPath, hasPlain: boolean): Problem[] {
  const { email, domains, challenge, dns, onDemand } = acme;
  const problems: Problem[] = [];
  if (domains.length === 0 && onDemand === undefined)
    problems.push(problem([...path, "domains"], "there is no name to get a certificate for", "list the names"));
  if (email === undefined)
    problems.push(
      warning(path, "the CA has no address to write to", "give acme.email; some CAs do not serve anybody without"),
    );
  else if (!/^[^\s@<>,;:"()[\]\\]+@[^\s@<>,;:"()[\]\\]+$/.test(email))
    problems.push(problem([...path, "email"], `"${email}" is not an e-mail address`));
  for (const [at, name] of domains.entries())
    problems.push(...checkDomain(name, challenge, domains.indexOf(name) < at, [...path, "domains", at]));
  problems.push(...checkDirectories(acme, path));
  if (challenge === "dns-01" && dns === undefined)
    problems.push(problem([...path, "dns"], "dns-01 needs somebody who sets records", "describe it under acme.dns"));
  if (challenge !== "dns-01" && dns !== undefined)
    problems.push(
      warning([...path, "dns"], `dns is not used: the challenge is ${challenge}`, "write challenge: dns-01"),
    );
  if (challenge === "http-01" && !hasPlain)
    problems.push(
      warning([...path, "challenge"], "http-01 comes by plain HTTP, and no listener takes that", 'listen at ":80" too'),
    );
  if (dns !== undefined) problems.push(...checkDns(dns, [...path, "dns"]));
  if (onDemand !== undefined) problems.push(...checkOnDemand(onDemand, [...path, "onDemand"]));
  return problems;
}

function checkDomain(name: string, challenge: Acme["challenge"], again: boolean, path: ConfigPath): Problem[] {
  if (isIP(name) !== 0) return [problem(path, `"${name}" is an address`, "certificates are for names here")];
  const bare = name.startsWith("*.") ? name.slice(2) : name;
  if (!isDnsName(bare)) return [problem(path, `"${name}" is not a host name`, "write it like www.example.com")];
  if (bare !== name && challenge !== "dns-01")
    return [problem(path, `a certificate for "${name}" can be had with dns-01 only`, "write challenge: dns-01")];
  return again ? [warning(path, `"${name}" stands there twice`)] : [];
}

function checkDirectories({ directory }: Acme, path: ConfigPath): Problem[] {
  return [directory].flat().flatMap((text, at) => {
    const where = [...path, "directory", ...(Array.isArray(directory) ? [at] : [])];
    return isUrl(text, ["https:"])
      ? []
      : [problem(where, `"${text}" is not the address of a directory`, "write https://…")];
  });
}

function checkDns(dns: NonNullable<Acme["dns"]>, path: ConfigPath): Problem[] {
  const problems: Problem[] = [];
  const server = (text: string, where: ConfigPath): void => {
    if (!isDnsServer(text))
      problems.push(
        problem(where, `"${text}" is not the address of a DNS server`, "write it like 192.0.2.53 or 192.0.2.53:5353"),
      );
  };
  if (dns.provider === "exec") {
    if (dns.command[0] === "") problems.push(problem([...path, "command", 0], "there is no program to run"));
    if (dns.timeout === 0) problems.push(problem([...path, "timeout"], "no program ends within 0 ms"));
  } else {
    server(dns.server, [...path, "server"]);
    if (dns.zone !== undefined && !isDnsName(dns.zone.replace(/\.$/, "")))
      problems.push(problem([...path, "zone"], `"${dns.zone}" is not the name of a zone`));
    if (dns.key !== undefined && !/^[A-Za-z0-9+/]+={0,2}$/.test(dns.key.secret))
      problems.push(problem([...path, "key", "secret"], "the key is not written in Base64"));
  }
  for (const key of ["servers", "resolvers"] as const)
    for (const [at, text] of (dns.propagation?.[key] ?? []).entries()) server(text, [...path, "propagation", key, at]);
  return problems;
}

function checkOnDemand({ ask, allow }: NonNullable<Acme["onDemand"]>, path: ConfigPath): Problem[] {
  const problems: Problem[] = [];
  if (ask === undefined && allow === undefined)
    problems.push(
      problem(path, "onDemand without permission: anybody could make us order certificates", "give ask or allow"),
    );
  if (ask !== undefined && !isUrl(ask, ["http:", "https:"]))
    problems.push(problem([...path, "ask"], `"${ask}" is not a URL`, "write it like http://127.0.0.1:3000/may-have"));
  for (const [at, name] of (allow ?? []).entries())
    if (isIP(name) !== 0 || !isDnsName(name.startsWith("*.") ? name.slice(2) : name))
      problems.push(problem([...path, "allow", at], `"${name}" is not a host name`, "write it like *.example.com"));
  return problems;
}

function isUrl(text: string, protocols: readonly string[]): boolean {
  const url = URL.parse(text);
  return url !== null && protocols.includes(url.protocol) && url.hostname !== "";
}

function isDnsServer(text: string): boolean {
  if (isIP(text) !== 0) return true;
  const address = text.startsWith(":") ? null : parseListen(text);
  return address?.kind === "tcp" && isIP(address.host) !== 0 && address.port > 0;
}

/** A host name in any case. */
export const isDnsName = (name: string): boolean => isHostName(name.toLowerCase());
