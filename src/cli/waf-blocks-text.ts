// A block as people read it: who asked for what, which rules matched in what, and what each added.
import type { WafBlock } from "../control/waf-blocks.ts";

export const blocksText = (blocks: readonly WafBlock[]): string => blocks.map(blockText).join("\n\n");

function blockText(block: WafBlock): string {
  const { time, requestId, route, ip, method, host, target, decision, rule, reason, matches } = block;
  const what = decision === "block" ? `answered ${block.status}` : "let through, as it is only looked at";
  const lines = [
    `${time} request ${requestId}: ${what}`,
    `  ${method} ${host}${target}`,
    `  from ${ip}, route ${route}`,
    `  score ${block.score} of ${block.threshold}${rule === 0 ? "" : `, decided by rule ${rule}`}: ${reason}`,
  ];
  for (const { rule: id, message, variable, value, matched, score, dry, count } of matches) {
    lines.push(`  ${id}${score === 0 ? "" : ` +${score}`}${dry ? " (only tried)" : ""} ${message}`);
    if (variable !== "")
      lines.push(`      in ${variable} = ${JSON.stringify(value)}${count > 1 ? `, and ${count - 1} more` : ""}`);
    if (matched !== "" && matched !== value) lines.push(`      found ${JSON.stringify(matched)}`);
  }
  return lines.join("\n");
}
