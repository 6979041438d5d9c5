// What a configuration takes out of the targets of rules, checked before it becomes a directive.
import { compileRegex, RegexError } from "../regex/regex.ts";
import { SecLangError } from "../seclang/error.ts";
import { parseTargets } from "../seclang/targets.ts";
import { variableOf } from "../variables.ts";

const NOWHERE = { file: "", line: 0, column: 0 };

/** Why a text such as `ARGS:name` is no variable of a rule; null when it is one. */
export function targetProblem(text: string): string | null {
  try {
    for (const { variable, selector } of parseTargets(text, () => NOWHERE)) {
      if (variableOf(variable) === null) return `there is no variable ${variable}; correct its name`;
      if (selector?.kind === "regex") compileRegex(selector.source, { ignoreCase: true });
    }
    return null;
  } catch (error) {
    if (error instanceof RegexError) return error.message;
    if (error instanceof SecLangError) return error.message.slice(error.message.indexOf(" ") + 1);
    throw error;
  }
}
