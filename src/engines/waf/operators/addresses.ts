// Addresses: @ipMatch and its lists, @geoLookup, @rbl.
import { CidrSet, parseCidr, parseIp } from "../../../core/ip.ts";
import { compileMacro } from "../rules/macro.ts";
import { SecLangError } from "../seclang/error.ts";
import { captureOne, type Operator, type OperatorContext, type OperatorMaker } from "./operator.ts";
import { dataLines } from "./patterns.ts";

function ipSet(texts: readonly string[], context: OperatorContext): Operator {
  const wrong = texts.find((text) => parseCidr(text) === null);
  if (wrong !== undefined) {
    throw new SecLangError(context.place, `${JSON.stringify(wrong)} is no address and no network`);
  }
  const set = new CidrSet(texts);
  return { literals: null, pure: true, match: (_state, value) => set.has(value) };
}

const parts = (argument: string): string[] => argument.split(/[\s,]+/).filter((part) => part !== "");

const ipMatchFromFile: OperatorMaker = (argument, context) =>
  ipSet(
    dataLines(argument, context).map((line) => line.replace(/\s*#.*$/, "")),
    context,
  );

const geoLookup: OperatorMaker = () => ({
  literals: null,
  match(state, value) {
    const geo = state.host.geo(value);
    if (geo === null) return false;
    state.geo = geo;
    return true;
  },
});

/** As lists in the DNS have it (RFC 5782): octets, of IPv6 half octets, in reverse order; a name as it is. */
function listName(value: string): string {
  const parsed = parseIp(value);
  if (parsed === null) return value;
  const { family, words } = parsed;
  if (family === 4) return value.split(".").reverse().join(".");
  const digits = words.map((word) => (word >>> 0).toString(16).padStart(8, "0")).join("");
  return [...digits].reverse().join(".");
}

const rbl: OperatorMaker = (argument, context) => {
  context.warn(`@rbl ${argument}: the list is not asked while a request waits, so an address matches once it is known`);
  const zone = compileMacro(argument, context.names, context.place);
  return {
    literals: null,
    match(state, value, capture) {
      const listed = state.host.listed(`${listName(value)}.${zone.expand(state)}`);
      if (listed && capture) captureOne(state, value);
      return listed;
    },
  };
};

export const addressOperators: Readonly<Record<string, OperatorMaker>> = {
  ipmatch: (argument, context) => ipSet(parts(argument), context),
  ipmatchf: ipMatchFromFile,
  ipmatchfromfile: ipMatchFromFile,
  geolookup: geoLookup,
  rbl,
};
