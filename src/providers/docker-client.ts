// The two questions that are put to Docker's socket: which containers there are, and whether something has changed.
// What it answers is bounded; a daemon that does not answer is left alone after a while.

const ANSWER_BYTES_MAX = 10 * 1024 * 1024; // 10,000 containers with a dozen labels each
const LIST_MS_MAX = 10_000; // a daemon under load takes seconds to list thousands of containers
const HEAD_MS_MAX = 10_000;
const REASON_LENGTH_MAX = 200;

/** The daemon filters by this very text. */
const ENABLED = "sluice.enable=true";
/** After these the list may be another one. Health checks that change nothing make no event. */
const EVENTS = ["start", "die", "stop", "pause", "unpause", "rename", "update", "health_status", "destroy", "oom"];

/** `docker ps` for running containers that ask to be served, as the daemon said it. Rejects with Error. */
export async function listContainers(socket: string, signal: AbortSignal): Promise<readonly unknown[]> {
  const filters = { label: [ENABLED], status: ["running"] };
  const limit = AbortSignal.any([signal, AbortSignal.timeout(LIST_MS_MAX)]);
  const response = await ask(socket, `/containers/json?filters=${encodeURIComponent(JSON.stringify(filters))}`, limit);
  const list: unknown = JSON.parse(await textOf(response, ANSWER_BYTES_MAX));
  if (!Array.isArray(list)) throw new Error("the answer is not a list of containers");
  return list;
}

/**
 * Calls `connected` once the daemon reports events, and `happened` for each piece of them. Never resolves: it rejects
 * with Error when the daemon goes away, or does not begin to answer.
 */
export async function followEvents(
  socket: string,
  signal: AbortSignal,
  connected: () => void,
  happened: () => void,
): Promise<never> {
  const filters = { type: ["container"], label: [ENABLED], event: EVENTS };
  const giveUp = new AbortController();
  const timer = setTimeout(() => giveUp.abort(new Error("the daemon does not answer")), HEAD_MS_MAX);
  let body: ReadableStream<Uint8Array> | null;
  try {
    const either = AbortSignal.any([signal, giveUp.signal]);
    body = (await ask(socket, `/events?filters=${encodeURIComponent(JSON.stringify(filters))}`, either)).body;
  } finally {
    clearTimeout(timer);
  }
  connected();
  // What has happened is in the list; that something has is all that is needed from here.
  if (body !== null) for await (const _ of body) happened();
  throw new Error("the daemon has closed the stream of events");
}

async function ask(socket: string, path: string, signal: AbortSignal): Promise<Response> {
  // Events may be hours apart; a connection kept from before a restart of the daemon would be a dead one.
  const options = { unix: socket, signal, timeout: false, keepalive: false };
  const response = await fetch(`http://docker${path}`, options);
  if (response.ok) return response;
  const said = await textOf(response, ANSWER_BYTES_MAX).catch(() => "");
  throw new Error(`the daemon answers ${response.status}: ${reasonIn(said)}`);
}

/** Docker's errors are `{"message": "…"}`. */
function reasonIn(text: string): string {
  let reason = text;
  try {
    const { message } = JSON.parse(text) as { message?: unknown };
    if (typeof message === "string") reason = message;
  } catch {
    // Some proxy's own words.
  }
  return reason.slice(0, REASON_LENGTH_MAX);
}

async function textOf(response: Response, bytesMax: number): Promise<string> {
  const pieces: Uint8Array[] = [];
  let bytes = 0;
  if (response.body !== null) {
    // Leaving the loop ends the connection.
    for await (const piece of response.body) {
      bytes += piece.length;
      if (bytes > bytesMax) throw new Error(`the answer is larger than ${bytesMax / 1024 / 1024} MB`);
      pieces.push(piece);
    }
  }
  return Buffer.concat(pieces).toString("utf8");
}

/** Why the daemon cannot be asked, in plain words. */
export function daemonReason(error: unknown): string {
  const { code, name, message } = error as { code?: unknown; name?: unknown; message?: unknown };
  if (code === "ENOENT") return "there is no such socket";
  if (code === "EACCES" || code === "EPERM") return "this user may not open the socket";
  if (code === "ECONNREFUSED" || code === "FailedToOpenSocket") return "nobody listens on the socket";
  if (code === "ECONNRESET") return "the daemon has closed the connection";
  if (name === "TimeoutError") return "the daemon does not answer";
  return String(message ?? error);
}
