// Whether an upstream's health check can be sent and understood.
import { isFieldName, isFieldValue } from "../http/header-block.ts";
import { type ConfigPath, type Problem, problem, warning } from "./diagnostic.ts";
import type { UpstreamConfig } from "./schema.ts";

type Health = NonNullable<UpstreamConfig["health"]>;

/** The problems of one `health` block at `path`. */
export function checkHealth(health: Health, path: ConfigPath): Problem[] {
  const problems: Problem[] = [];
  const { method, body, interval, timeout } = health;
  if (!isFieldName(method)) problems.push(problem([...path, "method"], `"${method}" is not a method`));
  if (!/^\/[!-~]*$/.test(health.path) || health.path.includes("#"))
    problems.push(problem([...path, "path"], `"${health.path}" is not a path`, "write other characters as %XX"));
  for (const [name, value] of Object.entries(health.headers)) {
    if (!isFieldName(name))
      problems.push(problem([...path, "headers", name], `"${name}" is not a header name`, undefined, "key"));
    else if (!isFieldValue(value))
      problems.push(problem([...path, "headers", name], "a header's value is one line of Latin-1 text"));
  }
  for (const range of health.status.split(",")) {
    const [from = 0, to = from] = range.split("-").map(Number);
    if (from > to) problems.push(problem([...path, "status"], `"${range.trim()}" ends before it begins`));
  }
  if (body?.startsWith("~") === true && !isRegex(body.slice(1)))
    problems.push(problem([...path, "body"], `"${body}" is not a regular expression`));
  if (body !== undefined && method === "HEAD")
    problems.push(problem([...path, "body"], "an answer to HEAD has no body", "use the method GET"));
  if (interval === 0) problems.push(problem([...path, "interval"], "the interval is 0"));
  if (health.downInterval === 0) problems.push(problem([...path, "downInterval"], "the interval is 0"));
  if (timeout === 0) problems.push(problem([...path, "timeout"], "no server answers within 0 ms"));
  else if (timeout > interval && interval > 0)
    problems.push(warning([...path, "timeout"], "timeout is longer than interval, so slow checks come later than it"));
  return problems;
}

function isRegex(text: string): boolean {
  try {
    new RegExp(text);
    return true;
  } catch {
    return false;
  }
}
