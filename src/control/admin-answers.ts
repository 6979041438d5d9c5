// The forms of the admin API's answers, and how it reads a body.
import { STATUS_CODES } from "node:http";

/** Far above any request of the API; a body is held in memory. */
const BODY_BYTES_MAX = 64 * 1024;

/** Nothing of this may be kept, guessed at, or framed. */
const COMMON = {
  "cache-control": "no-store",
  "x-content-type-options": "nosniff",
  "referrer-policy": "no-referrer",
  "content-security-policy":
    "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
};

export function text(body: string, contentType: string, status = 200): Response {
  return new Response(body, { status, headers: { ...COMMON, "content-type": contentType } });
}

export function json(value: unknown, status = 200): Response {
  return text(`${JSON.stringify(value, null, 2)}\n`, "application/json", status);
}

/** An error as RFC 9457 writes it; `more` adds members. */
export function problem(
  status: number,
  detail: string,
  more: Readonly<Record<string, unknown>> = {},
  headers: Readonly<Record<string, string>> = {},
): Response {
  const body = JSON.stringify(
    { type: "about:blank", title: STATUS_CODES[status] ?? "Error", status, detail, ...more },
    null,
    2,
  );
  return new Response(`${body}\n`, {
    status,
    headers: { ...COMMON, "content-type": "application/problem+json", ...headers },
  });
}

/** The JSON value of a body, or the answer that says why there is none. */
export async function readJson(request: Request): Promise<{ readonly value: unknown } | Response> {
  if (!/^application\/json *(?:;|$)/i.test(request.headers.get("content-type") ?? ""))
    return problem(415, "The body must be application/json.");
  if (Number(request.headers.get("content-length") ?? 0) > BODY_BYTES_MAX) return tooLarge();
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of request.body ?? []) {
    bytes += chunk.length;
    if (bytes > BODY_BYTES_MAX) return tooLarge();
    chunks.push(chunk);
  }
  try {
    return { value: JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(Buffer.concat(chunks))) };
  } catch {
    return problem(400, "The body is not JSON.");
  }
}

const tooLarge = (): Response =>
  problem(413, `The body is larger than ${BODY_BYTES_MAX} bytes.`, {}, { connection: "close" });
