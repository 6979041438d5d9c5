// Reads the rules that matched out of an audit log: lines of JSON, of Sluice or of ModSecurity 3.
import { createReadStream } from "node:fs";
import { createInterface } from "node:readline";
import { z } from "zod";
import type { RuleUse } from "../control/waf-suggestions.ts";

const line = z.object({
  transaction: z.object({
    client_ip: z.string().default(""),
    messages: z
      .array(
        z.object({
          message: z.string().default(""),
          details: z.object({
            ruleId: z.string().default(""),
            match: z.string().default(""),
            variable: z.string().optional(),
          }),
        }),
      )
      .default([]),
    sluice: z.object({ route: z.string() }).optional(),
  }),
});

/** Matches of a log that is larger are counted up to here. */
const USES_MAX = 1_000_000;

/** What ModSecurity says of a match: against which variable, and of which value. */
const MATCH = /against variable `([^']*)' \(Value: `([^']*)/;

/** Rejects with the error of the file. Lines that are something else are passed over. */
export async function auditUses(path: string): Promise<RuleUse[]> {
  const uses: RuleUse[] = [];
  for await (const text of createInterface({ input: createReadStream(path), crlfDelay: Number.POSITIVE_INFINITY })) {
    const parsed = line.safeParse(jsonOf(text));
    if (!parsed.success) continue;
    const { client_ip: ip, messages, sluice } = parsed.data.transaction;
    for (const { message, details } of messages) {
      const [, named = "", value = ""] = MATCH.exec(details.match) ?? [];
      const rule = Number.parseInt(details.ruleId, 10);
      if (!(rule > 0) || uses.length >= USES_MAX) continue;
      const variable = details.variable ?? named;
      uses.push({ route: sluice?.route ?? "", rule, message, variable, value, ip });
    }
  }
  return uses;
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
