// `waf`: the application firewall.
import { z } from "zod";
import { byteCount } from "../core/units.ts";
import { oneOrMany, size } from "./schema-values.ts";

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
  exclude: z.array(z.int().min(1)).default([]).describe("Ids of rules that are left out."),
  body: size
    .default(byteCount(131_072))
    .describe("How much of a request's body the rules see; what lies beyond is forwarded unseen."),
  responses: z.boolean().default(false).describe("Whether the rules see the bodies of answers too."),
});

export type WafConfig = z.output<typeof wafSchema>;
