// `cors`: which pages of other origins may use a route (Fetch §3.2). Preflights are answered here; what servers say of
// it is replaced. Errors of Sluice's own carry the fields as well, so that pages can read them.
import { within } from "../../config/compile-error.ts";
import { fault } from "../../core/faults.ts";
import { HeaderBlock, isFieldName } from "../../http/header-block.ts";
import type { Exchange, Filter } from "../../pipeline/exchange.ts";
import type { Reply } from "../../pipeline/reply.ts";
import type { FilterDefinition, Policies } from "../definition.ts";
import { Origins } from "./origins.ts";

type CorsConfig = NonNullable<Policies["cors"]>;

/** What only Sluice says where it has a policy. */
const OWN_FIELDS = [
  "access-control-allow-origin",
  "access-control-allow-credentials",
  "access-control-expose-headers",
  "access-control-allow-methods",
  "access-control-allow-headers",
  "access-control-max-age",
];
const NO_BODY = Buffer.alloc(0);
/** A preflight depends on all that it asks. */
const PREFLIGHT_VARY = "Origin, Access-Control-Request-Method, Access-Control-Request-Headers";

/** Before everything that may refuse a request: errors get the fields too. */
export const corsFields: FilterDefinition = {
  key: "cors",
  compile(policies) {
    const config = policies.cors;
    if (config === undefined) return [];
    const policy = new CorsPolicy(config);
    const filter: Filter = {
      name: "cors-fields",
      request(x) {
        x.errorFields = policy.fields(x.request.header("origin"));
      },
    };
    return [Object.freeze(filter)];
  },
};

export const cors: FilterDefinition = {
  key: "cors",
  compile(policies) {
    const config = policies.cors;
    if (config === undefined) return [];
    const policy = new CorsPolicy(config);
    const filter: Filter = {
      name: "cors",
      request(x) {
        const origin = x.request.header("origin");
        if (origin === null) return undefined;
        const asked = x.request.method === "OPTIONS" ? x.request.header("access-control-request-method") : null;
        if (policy.origins.has(origin)) return asked === null ? undefined : policy.preflight(x, origin, asked);
        return asked === null && !config.strict ? undefined : fault("cors.denied", origin.slice(0, 200));
      },
      response(x) {
        if (isPreflight(x)) return; // its answer is our own, and has all its fields already
        const { headers } = x.response;
        for (const name of OWN_FIELDS) if (headers.has(name)) headers.remove(name);
        for (const [name, value] of policy.fields(x.request.header("origin"))) {
          if (name !== "vary" || !variesBy(headers, value)) headers.add(name, value);
        }
      },
    };
    return [Object.freeze(filter)];
  },
};

const isPreflight = ({ request }: Exchange): boolean =>
  request.method === "OPTIONS" &&
  request.header("origin") !== null &&
  request.header("access-control-request-method") !== null;

class CorsPolicy {
  readonly origins: Origins;
  readonly #config: CorsConfig;
  readonly #methods: ReadonlySet<string>;
  readonly #headers: ReadonlySet<string>;
  readonly #anyHeader: boolean;

  /** Throws CompileError for what browsers would not accept or nobody can want. */
  constructor(config: CorsConfig) {
    this.origins = within("origins", () => new Origins(config.origins));
    this.#config = config;
    if (config.credentials && (this.origins.any || config.origins.includes("null"))) {
      const which = this.origins.any ? "`*`" : "`null`";
      within("credentials", () => {
        throw new RangeError(`every page could act in the name of its visitors: name the origins instead of ${which}`);
      });
    }
    for (const key of ["methods", "headers", "exposeHeaders"] as const)
      for (const [at, name] of config[key].entries())
        within(key, () => within(at, () => checkName(name, key === "methods" ? "method" : "field name")));
    this.#methods = new Set(config.methods);
    this.#anyHeader = config.headers.includes("*");
    this.#headers = new Set(config.headers.map((name) => name.toLowerCase()));
  }

  /** The fields of an answer to a request of this origin. */
  fields(origin: string | null): [name: string, value: string][] {
    const { credentials, exposeHeaders } = this.#config;
    // Without credentials, and where every origin may, the answer is the same for all.
    const same = this.origins.any && !this.#config.strict;
    const fields: [string, string][] = same ? [] : [["vary", "Origin"]];
    if (origin === null || !this.origins.has(origin)) return fields;
    fields.push(["access-control-allow-origin", same && origin !== "null" ? "*" : origin]);
    if (credentials) fields.push(["access-control-allow-credentials", "true"]);
    if (exposeHeaders.length > 0) fields.push(["access-control-expose-headers", exposeHeaders.join(", ")]);
    return fields;
  }

  preflight(x: Exchange, origin: string, method: string): Reply {
    const headers = new HeaderBlock();
    headers.add("vary", PREFLIGHT_VARY);
    const answer: Reply = { status: 204, headers, body: NO_BODY };
    const wanted = fieldNames(x.request.header("access-control-request-headers"));
    // What is missing makes the browser say what was wrong; the rest would only tell more than was asked.
    if (!this.#methods.has(method)) return answer;
    if (!this.#anyHeader && !wanted.every((name) => this.#headers.has(name))) return answer;
    for (const [name, value] of this.fields(origin)) if (name !== "vary") headers.add(name, value);
    headers.remove("access-control-expose-headers");
    headers.add("access-control-allow-methods", this.#config.methods.join(", "));
    const allowed = this.#anyHeader ? wanted : this.#config.headers;
    if (allowed.length > 0) headers.add("access-control-allow-headers", allowed.join(", "));
    const { maxAge } = this.#config;
    if (maxAge !== undefined) headers.add("access-control-max-age", String(Math.floor(maxAge / 1000)));
    return answer;
  }
}

/** The names in a list of fields, in lower case; what is no name is none of those that may. */
const fieldNames = (field: string | null): string[] =>
  field === null || field.trim() === "" ? [] : field.split(",").map((name) => name.trim().toLowerCase());

function checkName(name: string, what: string): void {
  if (!isFieldName(name)) throw new RangeError(`"${name}" is not a ${what}`);
}

function variesBy(headers: HeaderBlock, name: string): boolean {
  const lower = name.toLowerCase();
  return (headers.get("vary") ?? "").split(",").some((one) => one.trim() === "*" || one.trim().toLowerCase() === lower);
}
