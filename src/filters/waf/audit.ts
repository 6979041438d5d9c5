// The audit log: whole transactions as lines of JSON, in the form in which ModSecurity 3 writes them, so that what
// reads those reads these.
import { eachEntry, isMultipart, type Match, type Report, type Transaction } from "../../engines/waf/index.ts";
import type { Exchange } from "../../pipeline/exchange.ts";
import { matchOf, type Verdict } from "./record.ts";
import { readable, type Secrets } from "./secrets.ts";

/** Matches in one line: those that come later say little more. */
const MATCHES_MAX = 32;
/** Fields of a request or an answer; each value is cut as well. */
const FIELDS_MAX = 100;
const VALUE_MAX = 2048;
/** A line ends below what the writer takes. */
const LINE_BYTES_MAX = 65_000;
/** What is left out, one after the other, where the line would be too long with it. */
const LEFT_OUT = [/[CEIJ]/g, /[BF]/g, /[HK]/g];

export interface Audited {
  readonly x: Exchange;
  readonly route: string;
  readonly tx: Transaction;
  readonly report: Report;
  readonly verdict: Verdict;
  /** Milliseconds since 1970. */
  readonly at: number;
}

/** The line of a transaction with the parts that are wanted; cut down where it would be too long. */
export function auditLine(audited: Audited, secrets: Secrets): string {
  let parts = audited.report.auditParts;
  let line = JSON.stringify({ transaction: transactionOf(audited, parts, secrets) });
  for (const left of LEFT_OUT) {
    if (Buffer.byteLength(line) <= LINE_BYTES_MAX) break;
    parts = parts.replaceAll(left, "");
    line = JSON.stringify({ transaction: { ...transactionOf(audited, parts, secrets), cut: true } });
  }
  return line;
}

function transactionOf({ x, route, tx, report, verdict, at }: Audited, parts: string, secrets: Secrets): object {
  const { source, destination } = x.client;
  const { request } = x;
  const has = (part: string): boolean => parts.includes(part);
  const body = has("C") || (has("I") && !isMultipart(tx.state));
  const text = (value: string): string => readable(secrets.text(value));
  return {
    client_ip: x.ip,
    time_stamp: new Date(at).toISOString(),
    client_port: source.port,
    host_ip: destination.address,
    host_port: destination.port,
    unique_id: x.requestId,
    request: {
      method: request.method,
      http_version: request.version / 10,
      hostname: readable(request.authority),
      uri: text(request.target.slice(0, VALUE_MAX)),
      ...(has("B") ? { headers: fieldsOf(tx, "requestHeaders", secrets) } : {}),
      ...(body ? { body: text(tx.requestText) } : {}),
      ...(has("J") ? { files: fieldsOf(tx, "files", secrets) } : {}),
    },
    response: {
      http_code: x.status,
      ...(has("F") ? { headers: fieldsOf(tx, "responseHeaders", secrets) } : {}),
      ...(has("E") ? { body: text(tx.responseText) } : {}),
    },
    ...(has("H") || has("K") ? toldOf(tx, report, secrets) : {}),
    sluice: { route, ...verdict, reason: text(verdict.reason) },
  };
}

function toldOf(tx: Transaction, { matches }: Report, secrets: Secrets): object {
  const { engine, settings } = tx.state;
  return {
    producer: {
      connector: "Sluice",
      secrules_engine: engine === "on" ? "Enabled" : engine === "off" ? "Disabled" : "DetectionOnly",
      components: settings.components,
    },
    messages: matches.slice(0, MATCHES_MAX).map((match) => messageOf(match, secrets)),
  };
}

function messageOf(match: Match, secrets: Secrets): object {
  const { rule } = match;
  const { message, variable, value, matched, data, score, dry, tags } = matchOf(match, secrets);
  return {
    message,
    details: {
      match: `Matched against variable \`${variable}' (Value: \`${value}' )`,
      ruleId: String(rule.id),
      file: rule.place.file,
      lineNumber: String(rule.place.line),
      data,
      severity: String(rule.severity),
      ver: rule.ver,
      rev: rule.rev,
      tags,
      variable,
      matched,
      score,
      ...(dry ? { dry } : {}),
    },
  };
}

/** Names with their values; a list where there are several of a name. */
function fieldsOf(
  { state }: Transaction,
  set: "requestHeaders" | "responseHeaders" | "files",
  secrets: Secrets,
): Record<string, string | string[]> {
  // Names come from strangers: `__proto__` is one like any other.
  const fields: Record<string, string | string[]> = Object.create(null);
  let count = 0;
  eachEntry(state, set, (name, value) => {
    count += 1;
    if (count > FIELDS_MAX) return;
    const shown = readable(secrets.valueOf(name, value.slice(0, VALUE_MAX)));
    const known = fields[name];
    fields[name] = known === undefined ? shown : [known, shown].flat();
  });
  return fields;
}
