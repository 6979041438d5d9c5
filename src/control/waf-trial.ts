// What the firewall of a route would do with a request, without a proxy that runs: the same reading of the request,
// the same rules, the same engine.
import type { Config } from "../config/schema.ts";
import { type WafConfig, wafSchema } from "../config/schema-waf.ts";
import { wallClock } from "../core/clock.ts";
import { Collections, type Interruption, Transaction } from "../engines/waf/index.ts";
import { geoOf } from "../filters/waf/lookups.ts";
import { matchOf, type Verdict, verdictOf } from "../filters/waf/record.ts";
import { loadRules } from "../filters/waf/rule-files.ts";
import { Secrets } from "../filters/waf/secrets.ts";
import { BodyReader } from "../http/h1/body-reader.ts";
import { RequestReader } from "../http/h1/request-reader.ts";
import type { RequestHead } from "../http/message.ts";
import type { WafMatch } from "../pipeline/events.ts";
import { Places } from "../pipeline/places.ts";
import { policiesOf } from "./compile.ts";
import { explain } from "./explain.ts";
import { readSharedFile } from "./shared-files.ts";

export interface WafTrial extends Verdict {
  /** "" where no configuration says one. */
  readonly route: string;
  readonly mode: WafConfig["mode"];
  /** What the client would get; 200 stands for going on, 0 for a connection that is closed. */
  readonly status: number;
  readonly matches: readonly (WafMatch & { readonly place: string })[];
}

export interface TrialRequest {
  readonly head: RequestHead;
  readonly body: Buffer;
}

/** The largest head that is read here; the listener of a proxy may take less. */
const LIMITS = { startLine: 65_536, section: 262_144, fields: 1000 };
const CR = 0x0d;
const LF = 0x0a;
/** For where people look at it: addresses of documentation (RFC 5737). */
const SERVER = { serverAddress: "192.0.2.2", serverPort: 80 };

/** Reads a request as it goes over a connection of HTTP/1.1. Throws RangeError for what the proxy would refuse. */
export function readTrialRequest(bytes: Buffer): TrialRequest {
  const { head: text, body } = split(bytes);
  const reader = new RequestReader(LIMITS);
  const chunk = Buffer.concat([text, body]);
  reader.begin(chunk);
  const at = reader.read(chunk, 0);
  if (at < 0) throw new RangeError(`not a request: ${reader.fault?.detail ?? "its head has no end"}`);
  const { head } = reader;
  if (head.body === "none") return { head, body: chunk.subarray(at) as Buffer };
  const content = new BodyReader();
  const pieces: Buffer[] = [];
  content.start(head.body, head.length);
  const end = content.read(chunk, at, {
    onBody: (all, from, to) => void pieces.push(all.subarray(from, to) as Buffer),
  });
  if (end < 0) throw new RangeError(`not a request: ${content.fault?.detail ?? "its body is broken"}`);
  if (!content.done) throw new RangeError("the body is shorter than the request says");
  return { head, body: Buffer.concat(pieces) };
}

/** Editors end lines with LF, and do not count bodies: both are put right. */
function split(bytes: Buffer): { head: Buffer; body: Buffer } {
  const unix = bytes.indexOf("\n\n");
  const wire = bytes.indexOf("\r\n\r\n");
  const isWire = wire >= 0 && (unix < 0 || wire < unix);
  const end = isWire ? wire : unix;
  const text = (end < 0 ? bytes : bytes.subarray(0, end)).toString("latin1");
  const lines = text.replace(/\s+$/, "").split(bytes.includes(Buffer.from([CR, LF])) && isWire ? "\r\n" : /\r?\n/);
  const body = end < 0 ? Buffer.alloc(0) : bytes.subarray(end + (isWire ? 4 : 2));
  const isFramed = lines.some((line) => /^(?:content-length|transfer-encoding)\s*:/i.test(line));
  if (!isFramed && body.length > 0) lines.push(`Content-Length: ${body.length}`);
  if (!lines.some((line) => /^host\s*:/i.test(line))) lines.push("Host: localhost");
  return { head: Buffer.from(`${lines.join("\r\n")}\r\n\r\n`, "latin1"), body };
}

/**
 * Tries a request on the firewall of the route that would take it, or of the one with this name. Throws RangeError
 * where there is none, CompileError where its rules cannot be used.
 */
export function tryRequest(config: Config, request: TrialRequest, ip: string, name: string | null): WafTrial {
  const { head } = request;
  const headers = head.headers.entries();
  const route = name ?? explain(config, { method: head.method, url: head.target, headers, ip }).match?.route ?? null;
  if (route === null) throw new RangeError("no route takes that request; name one with --route");
  const policies = policiesOf(config, route);
  if (policies === null) throw new RangeError(`there is no route named "${route}"`);
  if (policies.waf === undefined) throw new RangeError(`the route "${route}" has no firewall`);
  return tryRules(policies.waf, request, ip, route);
}

/** The same without a configuration: the rules alone. */
export const tryAlone = (waf: Readonly<Record<string, unknown>>, request: TrialRequest, ip: string): WafTrial =>
  tryRules(wafSchema.parse(waf), request, ip, "");

function tryRules(config: WafConfig, { head, body }: TrialRequest, ip: string, route: string): WafTrial {
  const { program } = loadRules(config);
  const { geo } = config;
  const places = geo === undefined ? null : new Places(readSharedFile({ kind: "database", file: geo }));
  const tx = new Transaction(program, {
    now: wallClock,
    collections: new Collections(new SharedArrayBuffer(0), 0n),
    geo: (address) => (places === null ? null : geoOf(places, address)),
    listed: () => false,
  });
  const { method, target } = head;
  tx.begin({ id: "trial", method, target, protocol: "HTTP/1.1", remoteAddress: ip, remotePort: 1024, ...SERVER });
  for (const [field, value] of head.headers.entries()) tx.requestHeader(field, value);
  let interruption = tx.requestHead();
  if (interruption === null) {
    if (body.length > 0 && tx.wantsRequestBody) tx.requestPiece(body);
    interruption = tx.requestBody();
  }
  const status = statusOf(interruption);
  const report = tx.logging(status);
  const verdict = verdictOf(
    report,
    tx,
    config.dryRun === undefined ? null : { threshold: config.dryRun.threshold ?? 0 },
  );
  const open = new Secrets(null);
  const matches = report.matches.map((match) => {
    const { file, line } = match.rule.place;
    return { ...matchOf(match, open), place: `${file}:${line}` };
  });
  return { route, mode: config.mode, status, ...verdict, matches };
}

const statusOf = (interruption: Interruption | null): number =>
  interruption === null ? 200 : interruption.action === "drop" ? 0 : interruption.status;

/** As people read it. */
export function trialText({ route, mode, matches, ...verdict }: WafTrial): string {
  const lines = [route === "" ? `firewall in mode ${mode}` : `route ${route}, firewall in mode ${mode}`];
  for (const { rule, phase, score, message, variable, value, matched, place, dry, count } of matches) {
    const points = score === 0 ? "" : `  +${score}`;
    lines.push("", `${rule}  phase ${phase}${points}${dry ? "  only tried" : ""}  ${message}`);
    if (variable !== "")
      lines.push(`  in     ${variable} = ${JSON.stringify(value)}${count > 1 ? `, and ${count - 1} more` : ""}`);
    if (matched !== "" && matched !== value) lines.push(`  found  ${JSON.stringify(matched)}`);
    lines.push(`  at     ${place}`);
  }
  if (matches.length === 0) lines.push("no rule matches");
  const { score, triedScore, threshold, decision, status, rule } = verdict;
  lines.push(
    "",
    `score ${score} of ${threshold}${triedScore > score ? ` (${triedScore} with what is only tried)` : ""}`,
  );
  const how = status === 0 ? "the connection is closed" : `answered ${status}`;
  if (decision === "block") lines.push(`blocked by rule ${rule}: ${how}`);
  else if (decision === "detect") lines.push(`passes; it would be blocked${rule === 0 ? "" : ` by rule ${rule}`}`);
  else lines.push("passes");
  return lines.join("\n");
}
