// One request of a check over HTTP/2, by the runtime's own client: checks share no code with what they watch over.
import { type ClientHttp2Session, type ClientHttp2Stream, connect, type OutgoingHttpHeaders } from "node:http2";
import type { Socket } from "node:net";
import { reasonOf, type Verdict } from "./probe.ts";

/** What is done with the stream of the request, before anything of its answer has come. */
type Listen = (stream: ClientHttp2Stream, fail: (reason: string) => void) => void;

/** Whether the socket is one of TLS, and what was chosen in its handshake. */
export const chosenProtocol = (socket: Socket): string | null => {
  const { alpnProtocol } = socket as Socket & { readonly alpnProtocol?: string | false | null };
  return typeof alpnProtocol === "string" ? alpnProtocol : null;
};

/**
 * Sends a request as the first of its connection. `fields` has the pseudo-header fields but `:scheme`. Failures of the
 * connection and the stream are verdicts. The result lets go of the session.
 */
export function askOverH2(
  socket: Socket,
  settle: (verdict: Verdict) => void,
  fields: OutgoingHttpHeaders,
  body: Buffer | null,
  listen: Listen,
): (() => void) | null {
  const fail = (reason: string): void => settle({ ok: false, reason });
  const scheme = "encrypted" in socket ? "https" : "http";
  let session: ClientHttp2Session;
  try {
    session = connect(`${scheme}://localhost`, {
      createConnection: () => socket,
      settings: { enablePush: false },
    });
  } catch (error) {
    fail(reasonOf(error));
    return null;
  }
  // Errors of the session come again as errors of its socket or its stream; without a listener they would be thrown.
  session.on("error", (error) => fail(h2Reason(error)));
  session.on("close", () => fail("closed before the answer"));
  const stream = session.request({ ...fields, ":scheme": scheme }, { endStream: body === null });
  stream.on("error", (error) => fail(h2Reason(error)));
  listen(stream, fail);
  if (body !== null) stream.end(body);
  return () => session.destroy();
}

/** Errors of HTTP/2 itself mean a server that does not speak it. */
function h2Reason(error: unknown): string {
  const reason = reasonOf(error);
  return reason.startsWith("ERR_HTTP2") ? "not an HTTP/2 server, or the stream was reset" : reason;
}
