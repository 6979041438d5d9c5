// Carries the requests of acme-client. Its own way (axios) knows one set of trusted roots for the whole process, waits
// for as long as an authority likes before it repeats a request, and drops the type of a problem. An adapter, which is
// the way axios offers to replace it, does none of that.
import { AsyncLocalStorage } from "node:async_hooks";
import { AcmeProblem, problemOf } from "./problem.ts";

export type AcmeLibrary = typeof import("acme-client");

/** How one call of the library is to be carried. */
export interface CallContext {
  /** PEM of the roots to trust in place of those of the system. */
  readonly ca: string | null;
  readonly signal: AbortSignal;
  /** Set by the last answer: when to come again (Retry-After), in ms from then. */
  retryAfterMs: number | null;
}

/** What axios hands to an adapter, as far as it is used. */
interface Request {
  readonly url?: string;
  readonly method?: string;
  readonly data?: unknown;
  readonly headers?: object;
}

const calls = new AsyncLocalStorage<CallContext>();
/** Authorities answer within seconds, but some think for a while over an order. */
const ANSWER_MS = 30_000;
/** A chain with alternatives takes 20 KB. */
const ANSWER_BYTES_MAX = 1_048_576;
/** Of an answer that is something else than it should be. */
const SHOWN_LENGTH = 80;
const RETRY_AFTER_MAX_MS = 7 * 86_400_000;
const BAD_NONCE = "urn:ietf:params:acme:error:badNonce";

let loading: Promise<AcmeLibrary> | null = null;

/** The library, loaded when first needed: it costs 40 MB, and most starts find all certificates in the store. */
export function loadAcmeClient(): Promise<AcmeLibrary> {
  loading ??= import("acme-client").then((library) => {
    const settings = library.axios.defaults as { adapter?: unknown; acmeSettings?: { retryMaxAttempts: number } };
    settings.adapter = adapter;
    if (settings.acmeSettings !== undefined) settings.acmeSettings.retryMaxAttempts = 0;
    return library;
  });
  return loading;
}

/** Runs `work`, whose requests are carried as `context` says. */
export const withContext = <T>(context: CallContext, work: () => Promise<T>): Promise<T> => calls.run(context, work);

/**
 * A document that needs no signature: a directory, renewal information.
 *
 * @throws AcmeProblem
 */
export async function getDocument(url: string, context: CallContext): Promise<unknown> {
  const answer = await send({ url, method: "GET" }, context);
  try {
    return JSON.parse(answer.data);
  } catch {
    throw new AcmeProblem({
      type: "unusable",
      detail: `${url} is not JSON: ${answer.data.slice(0, SHOWN_LENGTH)}`,
      status: answer.status,
    });
  }
}

async function adapter(request: Request): Promise<unknown> {
  const context = calls.getStore();
  if (context === undefined) throw new Error("a request outside of withContext");
  const answer = await send(request, context);
  return { ...answer, statusText: "", config: request, request: null };
}

interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly data: string;
}

/** An answer below 400, or one that says that the nonce was bad: that is the library's to repeat (RFC 8555 §6.5). */
async function send(request: Request, context: CallContext): Promise<Answer> {
  const { url = "", method = "GET", data } = request;
  if (!url.startsWith("https://")) throw new AcmeProblem({ type: "unusable", detail: `not an https address: ${url}` });
  let status: number;
  let headers: Record<string, string>;
  let text: string;
  try {
    const response = await fetch(url, {
      method,
      headers: { "content-type": "application/jose+json", "user-agent": "sluice", "accept-language": "en" },
      signal: AbortSignal.any([context.signal, AbortSignal.timeout(ANSWER_MS)]),
      ...(typeof data === "string" ? { body: data } : {}),
      ...(context.ca === null ? {} : { tls: { ca: context.ca } }),
    });
    status = response.status;
    headers = Object.fromEntries(response.headers.entries());
    text = await readText(response);
  } catch (error) {
    if (context.signal.aborted) throw context.signal.reason;
    const why = error instanceof Error ? error.message : String(error);
    throw new AcmeProblem({ type: "unreachable", detail: `${new URL(url).host}: ${why}` });
  }
  context.retryAfterMs = retryAfter(headers);
  const document = status >= 400 ? parsed(text) : null;
  if (status < 400 || (document as { type?: unknown } | null)?.type === BAD_NONCE)
    return { status, headers, data: text };
  throw problemOf(document, status, context.retryAfterMs);
}

async function readText(response: Response): Promise<string> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of response.body ?? []) {
    length += chunk.length;
    if (length > ANSWER_BYTES_MAX) throw new Error("the answer is too long");
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString();
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

/** RFC 9110 §10.2.3, against the server's own clock where it tells it. */
export function retryAfter(headers: Readonly<Record<string, string>>): number | null {
  const text = headers["retry-after"];
  if (text === undefined) return null;
  const seconds = Number(text);
  const ms = Number.isFinite(seconds) ? seconds * 1000 : Date.parse(text) - Date.parse(headers.date ?? "");
  return Number.isFinite(ms) ? Math.max(0, Math.min(ms, RETRY_AFTER_MAX_MS)) : null;
}
