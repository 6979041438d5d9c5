// All operators of SecLang by name, and why some are refused.
import { detectSqli } from "../detect/sqli.ts";
import { detectXss } from "../detect/xss.ts";
import { addressOperators } from "./addresses.ts";
import { checkOperators } from "./checks.ts";
import { numberOperators } from "./numbers.ts";
import { captureOne, type OperatorMaker } from "./operator.ts";
import { patternOperators } from "./patterns.ts";
import { textOperators } from "./texts.ts";

const OPERATORS: Readonly<Record<string, OperatorMaker>> = {
  ...numberOperators,
  ...textOperators,
  ...patternOperators,
  ...checkOperators,
  ...addressOperators,
  unconditionalmatch: () => ({ literals: null, match: () => true }),
  nomatch: () => ({ literals: null, match: () => false }),
  detectsqli: () => ({
    literals: null,
    pure: true,
    weight: 25,
    match(state, value, capture) {
      const fingerprint = detectSqli(value);
      if (fingerprint === "") return false;
      if (capture) captureOne(state, fingerprint);
      return true;
    },
  }),
  detectxss: () => ({
    literals: null,
    pure: true,
    weight: 12,
    match(state, value, capture) {
      if (!detectXss(value)) return false;
      if (capture) captureOne(state, value);
      return true;
    },
  }),
};

const REFUSED: Readonly<Record<string, string>> = {
  fuzzyhash: "files are not kept, so they cannot be compared",
  gsblookup: "the service behind it has ended",
  inspectfile: "no programs are run; use a plugin of the proxy",
  rsub: "bodies are not changed by rules; use a plugin of the proxy",
  validatedtd: "schemas are not loaded; check the document in the application",
  validatehash: "hashes of links are not made",
  validateschema: "schemas are not loaded; check the document in the application",
};

/** The maker of an operator, or why there is none. The name is in lower case and without `@`. */
export function operatorMaker(name: string): OperatorMaker | string {
  if (Object.hasOwn(OPERATORS, name)) return OPERATORS[name]!;
  if (Object.hasOwn(REFUSED, name)) return `@${name} is not supported: ${REFUSED[name]}`;
  return `there is no operator @${name}; correct its name`;
}
