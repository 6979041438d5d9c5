// Answers of a portal: for its own page alone, and for no cache.
import { reasonOf } from "../../http/h1/writer.ts";
import { HeaderBlock } from "../../http/header-block.ts";
import type { Reply } from "../../pipeline/reply.ts";

const FIELDS = [
  ["cache-control", "no-store"],
  ["x-content-type-options", "nosniff"],
  ["cross-origin-resource-policy", "same-origin"],
] as const;

function own(status: number, type: string, body: string): Reply {
  return { status, headers: HeaderBlock.of([["content-type", type], ...FIELDS]), body: Buffer.from(body) };
}

export const json = (value: unknown, status = 200): Reply =>
  own(status, "application/json", `${JSON.stringify(value)}\n`);

/** An RFC 9457 answer; `path` is the member of the body that is wrong, if it is one. */
export function problem(status: number, detail: string, path = ""): Reply {
  const errors = path === "" ? {} : { errors: [{ path, message: detail }] };
  const body = { type: "about:blank", title: reasonOf(status), status, detail, ...errors };
  return own(status, "application/problem+json", `${JSON.stringify(body)}\n`);
}

export function seeOther(location: string): Reply {
  const reply = own(303, "text/plain; charset=utf-8", "");
  reply.headers.add("location", location);
  return reply;
}
