// Request readers, and the heads that they fill, go from connection to connection: an idle one holds none.
import { RequestReader } from "../http/h1/request-reader.ts";
import type { ListenerContext } from "./listener.ts";

/** Readers kept for the next connection that needs one. */
const READERS_KEPT = 256;

const readers: RequestReader[] = [];

/** A reader with the listener's limits. The one used last is taken first: its memory is still at hand. */
export function takeReader({ headLimits, options }: ListenerContext): RequestReader {
  const reader = readers.pop() ?? new RequestReader(headLimits);
  reader.limits = headLimits;
  reader.dropUnderscores = !options.underscoreHeaders;
  return reader;
}

/** Takes a reader back whose head nobody looks at any more. */
export function giveBackReader(reader: RequestReader): void {
  if (readers.length >= READERS_KEPT) return;
  reader.release();
  readers.push(reader);
}
