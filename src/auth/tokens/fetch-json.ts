// Asks issuers and authorization servers: bounded in time and size, without following redirects, which could lead
// anywhere.
import { within } from "../../config/compile-error.ts";
import { type JsonObject, strictObject } from "./strict-json.ts";

export interface Fetched {
  readonly json: JsonObject;
  readonly cacheControl: string | null;
}

/** Why there is nothing, in words for the log. */
export interface NotFetched {
  readonly failed: string;
}

export interface FetchOptions {
  readonly timeoutMs: number;
  /** Sent by POST as a form. */
  readonly form?: URLSearchParams;
  readonly headers?: Readonly<Record<string, string>>;
}

/** A set of keys or an answer about a token takes a few thousand bytes. */
const BYTES_MAX = 524_288;

/** An object in JSON from there. Never throws. */
export async function fetchJson(
  url: string,
  { timeoutMs, form, headers }: FetchOptions,
): Promise<Fetched | NotFetched> {
  try {
    const response = await fetch(url, {
      method: form === undefined ? "GET" : "POST",
      headers: { accept: "application/json", ...headers },
      ...(form === undefined ? {} : { body: form }),
      redirect: "manual",
      signal: AbortSignal.timeout(timeoutMs),
    });
    if (response.status !== 200) {
      await response.body?.cancel();
      return { failed: `status ${response.status}` };
    }
    const bytes = await readBounded(response);
    if (bytes === null) return { failed: `more than ${BYTES_MAX} bytes` };
    const json = strictObject(bytes);
    if (json === null) return { failed: "no JSON object" };
    return { json, cacheControl: response.headers.get("cache-control") };
  } catch (error) {
    return { failed: error instanceof Error ? error.message : String(error) };
  }
}

async function readBounded({ body }: Response): Promise<Uint8Array | null> {
  const pieces: Uint8Array[] = [];
  let length = 0;
  for await (const piece of body ?? []) {
    length += piece.length;
    if (length > BYTES_MAX) return null; // leaving the loop cancels the stream
    pieces.push(piece);
  }
  return Buffer.concat(pieces);
}

const LOOPBACK = /^(?:localhost|127(?:\.\d{1,3}){3}|\[::1\])$/;

/** Why an address must not be asked; "" where it may. */
export function urlProblem(text: string, insecure: boolean): string {
  const url = URL.parse(text);
  if (url === null || (url.protocol !== "https:" && url.protocol !== "http:"))
    return `"${text}" is not an https:// address`;
  if (url.username !== "" || url.password !== "") return "an address has no password in it";
  if (url.protocol === "http:" && !insecure && !LOOPBACK.test(url.hostname))
    return `"${text}": write https://, or allow what is not protected by \`insecureHttp\``;
  return "";
}

/** Throws CompileError with `key` in its path where the address must not be asked. */
export function checkUrl(key: string, text: string, insecure: boolean): void {
  const problem = urlProblem(text, insecure);
  if (problem === "") return;
  within(key, () => {
    throw new RangeError(problem);
  });
}
