// `securityHeaders`: fields of answers that make browsers more careful.
import type { PolicyConfig } from "../../config/schema.ts";
import type { Exchange, Filter } from "../../pipeline/exchange.ts";
import type { FilterDefinition } from "../definition.ts";

type Config = Exclude<PolicyConfig["securityHeaders"], boolean | undefined>;

/** One field: its value for an exchange, or null where it is not sent. */
interface SecurityField {
  readonly name: string;
  value(x: Exchange): string | null;
}

/** The fields in the order in which they are written, in place of what a server says. */
const fieldsOf = ({ hsts }: Config): SecurityField[] => (hsts === false ? [] : [hstsField(hsts)]);

/** What `true` stands for. */
const EVERYTHING: Config = { hsts: true };

export const securityHeaders: FilterDefinition = {
  key: "securityHeaders",
  compile(policies) {
    const config = policies.securityHeaders;
    const fields = config === undefined ? [] : fieldsOf(config === true ? EVERYTHING : config);
    if (fields.length === 0) return [];
    const filter: Filter = {
      name: "security-headers",
      response(x) {
        for (const { name, value } of fields) {
          const text = value(x);
          if (text !== null) x.response.headers.set(name, text);
        }
      },
    };
    return [Object.freeze(filter)];
  },
};

/** What the schema says of `hsts: {}`, for `hsts: true`. */
const HSTS_DEFAULT = { maxAge: 31_536_000_000, includeSubDomains: false, preload: false };

/** RFC 6797 §7.2: never over plain HTTP, where anybody on the way could have written it. */
function hstsField(hsts: Exclude<Config["hsts"], false>): SecurityField {
  const { maxAge, includeSubDomains, preload } = hsts === true ? HSTS_DEFAULT : hsts;
  const parts = [`max-age=${Math.floor(maxAge / 1000)}`];
  if (includeSubDomains) parts.push("includeSubDomains");
  if (preload) parts.push("preload");
  const text = parts.join("; ");
  return { name: "strict-transport-security", value: (x) => (x.scheme === "https" ? text : null) };
}
