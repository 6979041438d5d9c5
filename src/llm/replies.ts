// Answers of Sluice's own on routes to language models: errors in the form that clients of a format read, and the list
// of models.
import { type ErrorKind, errorText, type Format } from "../engines/llm/formats.ts";
import { HeaderBlock } from "../http/header-block.ts";
import type { Reply } from "../pipeline/reply.ts";

export function errorReply(
  status: number,
  format: Format,
  kind: ErrorKind,
  message: string,
  requestId: string,
  more: readonly (readonly [name: string, value: string])[] = [],
): Reply {
  const headers = HeaderBlock.of([["content-type", "application/json"], ["cache-control", "no-store"], ...more]);
  return { status, headers, body: Buffer.from(`${errorText(format, kind, message, requestId)}\n`) };
}

/** What clients can ask for; `seconds` since 1970. */
export function modelsReply(models: readonly string[], format: Format): Reply {
  const headers = HeaderBlock.of([
    ["content-type", "application/json"],
    ["cache-control", "no-store"],
  ]);
  const openai = {
    object: "list",
    data: models.map((id) => ({ id, object: "model", created: 0, owned_by: "sluice" })),
  };
  const created_at = "1970-01-01T00:00:00Z";
  const data = models.map((id) => ({ type: "model", id, display_name: id, created_at }));
  const anthropic = { data, has_more: false, first_id: models[0] ?? null, last_id: models.at(-1) ?? null };
  const list = format === "openai" ? openai : anthropic;
  return { status: 200, headers, body: Buffer.from(`${JSON.stringify(list)}\n`) };
}
