import { type Reply, reply } from "../pipeline/reply.ts";

/** A script of our own, which changes with the program alone. */
export const scriptReply = (script: Buffer): Reply =>
  reply(200, script, {
    "content-type": "text/javascript; charset=utf-8",
    "cache-control": "public, max-age=3600",
  });
