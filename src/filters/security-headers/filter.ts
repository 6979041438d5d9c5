// `securityHeaders`: fields of answers that make browsers more careful.
import { within } from "../../config/compile-error.ts";
import { SECURITY_DEFAULTS } from "../../config/defaults.ts";
import type { PolicyConfig } from "../../config/schema.ts";
import type { HeaderBlock } from "../../http/header-block.ts";
import type { Exchange, Filter } from "../../pipeline/exchange.ts";
import type { FilterDefinition } from "../definition.ts";
import { cspReports } from "./csp-reports.ts";

type Config = Exclude<PolicyConfig["securityHeaders"], boolean | undefined>;

/** Changes one thing about the head of an answer. */
type Change = (headers: HeaderBlock, x: Exchange) => void;

export const securityHeaders: FilterDefinition = {
  key: "securityHeaders",
  compile(policies, context) {
    const policy = policies.securityHeaders;
    if (policy === undefined) return [];
    const config: Config = policy === true ? SECURITY_DEFAULTS : policy;
    const changes = changesOf(config);
    const reports = config.csp?.report === undefined ? [] : [cspReports(config.csp.report, context)];
    if (changes.length === 0) return reports;
    const filter: Filter = {
      name: "security-headers",
      response(x) {
        for (const change of changes) change(x.response.headers, x);
      },
    };
    return [...reports, Object.freeze(filter)];
  },
};

function changesOf(config: Config): Change[] {
  const { hsts, nosniff, frameAncestors, referrerPolicy, permissionsPolicy, openerPolicy, resourcePolicy, csp } =
    config;
  const changes: Change[] = [];
  if (config.hideServer) changes.push(hideServer);
  if (hsts !== false) changes.push(hstsField(hsts));
  if (nosniff) changes.push((headers) => headers.set("x-content-type-options", "nosniff"));
  if (referrerPolicy !== false) changes.push(unlessSaid("referrer-policy", referrerPolicy));
  if (permissionsPolicy !== undefined)
    changes.push(within("permissionsPolicy", () => field("permissions-policy", permissionsPolicy)));
  if (openerPolicy !== undefined) changes.push(field("cross-origin-opener-policy", openerPolicy));
  if (resourcePolicy !== undefined) changes.push(field("cross-origin-resource-policy", resourcePolicy));
  if (csp !== undefined) changes.push(within("csp", () => cspField(csp)));
  if (frameAncestors !== false) changes.push(within("frameAncestors", () => framesField(frameAncestors)));
  return changes;
}

/** Throws RangeError for what no field can hold. */
function field(name: string, value: string): Change {
  if (!/^[\x20-\x7e]+$/.test(value)) throw new RangeError("a field has visible ASCII characters alone");
  return (headers) => headers.set(name, value);
}

function unlessSaid(name: string, value: string): Change {
  return (headers) => {
    if (!headers.has(name)) headers.set(name, value);
  };
}

const TELLING = ["server", "x-powered-by", "x-aspnet-version", "x-aspnetmvc-version"];

function hideServer(headers: HeaderBlock): void {
  for (const name of TELLING) if (headers.has(name)) headers.remove(name);
}

/** What the schema says of `hsts: {}`, for `hsts: true`. */
const HSTS_DEFAULT = { maxAge: 31_536_000_000, includeSubDomains: false, preload: false };

/** RFC 6797 §7.2: never over plain HTTP, where anybody on the way could have written it. */
function hstsField(hsts: Exclude<Config["hsts"], false>): Change {
  const { maxAge, includeSubDomains, preload } = hsts === true ? HSTS_DEFAULT : hsts;
  const parts = [`max-age=${Math.floor(maxAge / 1000)}`];
  if (includeSubDomains) parts.push("includeSubDomains");
  if (preload) parts.push("preload");
  const text = parts.join("; ");
  return (headers, x) => {
    if (x.scheme === "https") headers.set("strict-transport-security", text);
  };
}

function cspField({ policy, reportOnly, report }: NonNullable<Config["csp"]>): Change {
  const text = report === undefined ? policy : `${policy.replace(/[;\s]+$/, "")}; report-uri ${report}`;
  return field(reportOnly ? "content-security-policy-report-only" : "content-security-policy", text);
}

/** Policies of several fields hold together, so that it may stand beside the server's, unless that speaks of frames. */
function framesField(ancestors: string): Change {
  if (!/^[\x20-\x7e]+$/.test(ancestors) || ancestors.includes(";") || ancestors.includes(","))
    throw new RangeError("write sources such as 'self' or https://example.com, with spaces between them");
  const options = ancestors === "'none'" ? "DENY" : ancestors === "'self'" ? "SAMEORIGIN" : null;
  return (headers) => {
    const said = headers.get("content-security-policy");
    if (said?.includes("frame-ancestors") === true) return;
    headers.add("content-security-policy", `frame-ancestors ${ancestors}`);
    // For browsers that do not know it; others do not look at this one.
    if (options !== null && !headers.has("x-frame-options")) headers.add("x-frame-options", options);
  };
}
