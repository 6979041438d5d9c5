// The forms of the admin API's answers, and how it reads a body.
import { STATUS_CODES } from "node:http";
import type { z } from "zod";

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

type Headers = Readonly<Record<string, string>>;

export function text(body: string, contentType: string, status = 200, headers: Headers = {}): Response {
  return new Response(body, { status, headers: { ...COMMON, "content-type": contentType, ...headers } });
}

export function json(value: unknown, status = 200, headers: Headers = {}): Response {
  return text(`${JSON.stringify(value, null, 2)}\n`, "application/json", status, headers);
}

/** Server-sent events; null for the head of the answer alone. */
export const stream = (body: ReadableStream<Uint8Array> | null): Response =>
  new Response(body, { headers: { ...COMMON, "content-type": "text/event-stream", "x-accel-buffering": "no" } });

/** An error as RFC 9457 writes it; `more` adds members. */
export function problem(
  status: number,
  detail: string,
  more: Readonly<Record<string, unknown>> = {},
  headers: Headers = {},
): Response {
  const body = JSON.stringify(
    { type: "about:blank", title: STATUS_CODES[status] ?? "Error", status, detail, ...more },
    null,
    2,
  );
  return text(`${body}\n`, "application/problem+json", status, headers);
}

/**
 * The body, which must be JSON of this shape, or the answer that says why it is not: `status` with `detail` and all
 * `errors` when it is JSON of another shape.
 */
export async function readBody<T>(
  request: Request,
  schema: z.ZodType<T>,
  status: 400 | 422,
  detail: string,
): Promise<{ readonly value: T } | Response> {
  const body = await readJson(request);
  if (body instanceof Response) return body;
  const parsed = schema.safeParse(body.value);
  if (parsed.success) return { value: parsed.data };
  const errors = parsed.error.issues.map(({ path, message }) => ({ path: path.join("."), message }));
  return problem(status, detail, { errors });
}

async function readJson(request: Request): Promise<{ readonly value: unknown } | Response> {
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
