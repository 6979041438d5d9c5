// Which of the compressed copies beside a file a client gets (RFC 9110 §12.5.3).
import { Negotiator } from "../engines/compression/negotiate.ts";
import { CODINGS, type Coding } from "../http/content-codings.ts";

/** How the names of the copies end, in the order of CODINGS. */
export const SUFFIXES: readonly string[] = CODINGS.map((coding) => ({ zstd: ".zst", br: ".br", gzip: ".gz" })[coding]);

/** One for each set of copies that a file may have; the bits are places in CODINGS. */
const negotiators: readonly Negotiator[] = Array.from(
  { length: 1 << CODINGS.length },
  (_, set) => new Negotiator(CODINGS.filter((_coding: Coding, at) => (set & (1 << at)) !== 0)),
);

/** The place in CODINGS of the best copy among those that are not null; -1 for the file itself. */
export function chooseCopy(acceptEncoding: string | null, copies: readonly unknown[]): number {
  let set = 0;
  for (let at = 0; at < copies.length; at += 1) if (copies[at] !== null) set |= 1 << at;
  if (set === 0) return -1;
  const { coding } = negotiators[set]!.choose(acceptEncoding);
  return coding === null ? -1 : CODINGS.indexOf(coding);
}
