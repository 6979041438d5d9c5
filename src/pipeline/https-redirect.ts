// `redirectToHttps` of a plain listener: every request is sent to the same place by way of TLS.
import type { RequestHead } from "../http/message.ts";
import { type Reply, reply } from "./reply.ts";

/** What a CA asks for by plain HTTP to see who holds a name (RFC 8555 §8.3). */
const ACME_PREFIX = "/.well-known/acme-challenge/";
const HTTPS_PORT = 443;

/**
 * The answer for a request on such a listener: a redirect to `port` of the same host, with the target as the client
 * wrote it. 308 keeps method and body. Null for the questions of a CA, which are served. A request of HTTP/1.0 that
 * names no host gets 400, as there is no place to send it to.
 */
export function redirectToHttps(request: RequestHead, port: number): Reply | null {
  // The normalised path: `/.well-known/acme-challenge/../../private` is none of a CA's questions.
  if (request.path?.startsWith(ACME_PREFIX) === true) return null;
  const { host } = request;
  if (host === "") return reply(400, "This request must name its host.\n");
  const to = port === HTTPS_PORT ? host : `${host}:${port}`;
  const target = request.form === "asterisk" ? "" : request.target;
  return reply(308, "", { location: `https://${to}${target}` });
}
