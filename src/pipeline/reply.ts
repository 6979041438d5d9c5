// A whole answer that Sluice makes by itself: from a filter, a plugin, an action or a fault.
import { HeaderBlock } from "../http/header-block.ts";

export interface Reply {
  readonly status: number;
  readonly headers: HeaderBlock;
  readonly body: Buffer;
}

/** An answer from a status, a body (text is sent as UTF-8) and fields. Throws RangeError for an invalid field. */
export function reply(
  status: number,
  body: string | Uint8Array = "",
  headers: Readonly<Record<string, string>> = {},
): Reply {
  if (!Number.isInteger(status) || status < 200 || status > 599) throw new RangeError(`not a final status: ${status}`);
  const bytes =
    typeof body === "string" ? Buffer.from(body) : Buffer.from(body.buffer, body.byteOffset, body.byteLength);
  const block = HeaderBlock.of(Object.entries(headers));
  if (typeof body === "string" && body !== "" && !block.has("content-type"))
    block.add("content-type", "text/plain; charset=utf-8");
  return { status, headers: block, body: bytes };
}
