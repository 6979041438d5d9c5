// `waf`: the application firewall.
import { z } from "zod";
import { byteCount } from "../core/units.ts";
import { oneOrMany, share, size } from "./schema-values.ts";

/** `942100`, or a range as rules are numbered by what they are about: `942000-942999`. */
const ruleIds = z.union([
  z.int().min(1),
  z.string().regex(/^\d{1,9}-\d{1,9}$/, "an id such as 942100, or a range such as 942000-942999 was expected"),
]);
/** In the text of a directive: nothing that could end it. */
const tag = z.string().regex(/^[\w./:@+-]{1,200}$/, "a tag such as attack-sqli was expected");
export const WAF_TARGET = /^[A-Z_]+(?::[^"'|,\s\x00-\x1f\x7f-\uffff]{1,200})?$/;
const target = z
  .string()
  .regex(WAF_TARGET, "a variable such as ARGS:q or REQUEST_COOKIES was expected")
  .describe("What they do not look at any more: `ARGS:q`, `REQUEST_HEADERS:User-Agent`, `ARGS:/^json\\./`.");

const exclusion = z.union([
  ruleIds,
  z
    .strictObject({
      rule: ruleIds.optional().describe("Id of a rule, or a range of ids."),
      tag: tag.optional().describe("In place of `rule`, a tag that rules have, such as `attack-sqli`."),
      target: target.optional(),
    })
    .refine(({ rule, tag: named }) => (rule === undefined) !== (named === undefined), {
      error: "say which rules by `rule` or by `tag`",
    }),
]);

const dryRun = z.strictObject({
  paranoia: z
    .int()
    .min(1)
    .max(4)
    .optional()
    .describe("Paranoia level up to which rules of the Core Rule Set run, without counting above `paranoia`."),
  threshold: z.int().min(1).max(10_000).optional().describe("Score from which a request would be refused."),
  rules: z
    .array(z.union([ruleIds, tag]))
    .default([])
    .describe("Ids, ranges of ids and tags of rules that neither decide nor count."),
});

const audit = z.strictObject({
  path: z.string().min(1).describe("The file: a line of JSON for each request, as ModSecurity 3 writes them."),
  parts: z
    .string()
    .regex(/^[ABCEFHIJKZ]+$/, "letters of parts were expected, such as ABFHZ")
    .optional()
    .describe(
      "What is written: B fields, C body of the request, E body, F fields of the answer, H what matched, I body " +
        "without files, J names of files. `ABFHZ`, or what `SecAuditLogParts` says, when absent.",
    ),
  only: z
    .enum(["relevant", "all"])
    .optional()
    .describe("`relevant`: requests in which rules matched, and statuses of `SecAuditLogRelevantStatus` (default)."),
  format: z.enum(["json"]).default("json").describe("JSON, one line each."),
  redact: z
    .array(z.string().min(1))
    .default([])
    .describe("More names of fields, arguments and cookies whose values are left out, here and wherever rules tell."),
});

export const wafSchema = z.strictObject({
  mode: z
    .enum(["block", "detect"])
    .default("block")
    .describe("`block` answers 403 to what the rules refuse; `detect` only logs and counts it."),
  crs: z
    .string()
    .optional()
    .describe("Folder of the OWASP Core Rule Set, version 3 or 4. Without it and `rules`, Sluice's own starter rules."),
  paranoia: z
    .int()
    .min(1)
    .max(4)
    .default(1)
    .describe("Paranoia level of the Core Rule Set; higher ones find more, and err more."),
  threshold: z
    .int()
    .min(1)
    .max(10_000)
    .default(5)
    .describe("Score from which a request is refused; a critical rule adds 5."),
  rules: oneOrMany(z.string())
    .default([])
    .describe("More files with rules (SecLang); they come before those of `crs`."),
  exclude: z
    .array(exclusion)
    .default([])
    .describe("Rules that are left out: ids, ranges, `{ tag }`; with `target` they leave out what they look at."),
  dryRun: dryRun.optional().describe("What is only tried beside what blocks: it is logged and counted as `detect`."),
  sample: share().default(1).describe("Share of the requests that are looked at, chosen at random; others pass."),
  audit: audit.optional().describe("Audit log of whole transactions."),
  geo: z
    .string()
    .min(1)
    .optional()
    .describe("Database of places in MaxMind's format, for rules with `@geoLookup`; followed when it changes."),
  body: size
    .default(byteCount(131_072))
    .describe("How much of a request's body the rules see; forms without files, JSON and XML may not be longer."),
  responses: z.boolean().default(false).describe("Whether the rules see the bodies of answers too."),
});

export type WafConfig = z.output<typeof wafSchema>;
