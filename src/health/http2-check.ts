// The check by one request over HTTP/2.
import type { OutgoingHttpHeaders } from "node:http2";
import { askOverH2 } from "./h2-ask.ts";
import { type HttpCheckOptions, requestFields, wantedOf } from "./http-check.ts";
import { Judge } from "./judge.ts";
import type { Conversation } from "./probe.ts";

/** Fields of HTTP/1.1's own beyond those that no check may set (RFC 9113 §8.2.2). */
const HOP_BY_HOP = new Set(["keep-alive", "proxy-connection", "te"]);

/** Makes the check. Throws RangeError or SyntaxError for options that cannot be sent or understood. */
export function http2Check(options: HttpCheckOptions, host: string): Conversation {
  const wanted = wantedOf(options);
  const { host: authority, ...fields } = Object.fromEntries(
    [...requestFields(options, host)].filter(([name]) => !HOP_BY_HOP.has(name)),
  );
  const head: OutgoingHttpHeaders = {
    ...fields,
    ":method": options.method,
    ":path": options.path,
    ":authority": authority,
  };
  return (socket, settle) =>
    askOverH2(socket, settle, head, null, (stream) => {
      const judge = new Judge(wanted, settle);
      let hasHead = false;
      stream.on("response", ({ ":status": status }) => {
        hasHead = true;
        judge.head(status ?? 0);
      });
      stream.on("data", (chunk: Buffer) => judge.body(chunk, 0, chunk.length));
      stream.on("end", () => {
        if (hasHead) judge.complete();
      });
      stream.on("close", () => judge.fail(hasHead ? "closed inside the answer" : "closed before the answer"));
    });
}
