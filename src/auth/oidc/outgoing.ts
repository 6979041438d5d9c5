// Requests to providers: bounded in time and size, and never redirected.

/** A login or refresh waits no longer for one answer; browsers show a page after that. */
export const TIMEOUT_MS = 8000;
/** Discovery documents and key sets have a few kilobytes, lists of groups up to a few hundred. */
const BODY_BYTES_MAX = 1_048_576;

/** As `fetch`. Rejects for what takes too long or says too much. */
export async function boundedFetch(url: string | URL, init: RequestInit = {}): Promise<Response> {
  const response = await fetch(url, { ...init, redirect: "manual", signal: AbortSignal.timeout(TIMEOUT_MS) });
  const pieces: Uint8Array[] = [];
  let bytes = 0;
  if (response.body !== null) {
    for await (const piece of response.body) {
      bytes += piece.length;
      if (bytes > BODY_BYTES_MAX) throw new Error(`the answer of ${new URL(url).host} is too long`);
      pieces.push(piece);
    }
  }
  const { status, headers } = response;
  const isEmpty = status === 204 || status === 205 || status === 304;
  return new Response(isEmpty ? null : Buffer.concat(pieces), { status, headers });
}

/** A JSON document; rejects for anything else than 200. */
export async function fetchJson(url: string, token: string, init: RequestInit = {}): Promise<unknown> {
  const headers = { accept: "application/json", "user-agent": "sluice", authorization: `Bearer ${token}` };
  const response = await boundedFetch(url, { ...init, headers: { ...headers, ...init.headers } });
  if (response.status !== 200) throw new Error(`${new URL(url).host} answered ${response.status}`);
  return await response.json();
}
