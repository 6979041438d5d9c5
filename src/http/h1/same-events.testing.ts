// The law of incremental readers: where the network cut the bytes changes nothing but when a fault is told.
import type { Heard } from "./feed.testing.ts";

/** Throws unless `cut` tells what `whole` tells, or less of it where the last line is not complete. */
export function sameWhereverCut(
  wire: Buffer,
  whole: Heard<unknown>,
  cut: Heard<unknown>,
  pieces: readonly Buffer[],
): void {
  const later = whole.end.startsWith("fault ") && cut.end === "incomplete";
  const told = later ? cut.events.slice(0, -1) : cut.events;
  const want = later ? whole.events.slice(0, told.length) : whole.events;
  // A surplus is told by the piece in which it begins.
  const bothSurplus = whole.end.startsWith("surplus ") && cut.end.startsWith("surplus ");
  const isSame = bothSurplus
    ? cut.events.slice(0, -1).join("\n") === whole.events.slice(0, -1).join("\n")
    : told.join("\n") === want.join("\n");
  if (isSame) return;
  throw new Error(
    `${JSON.stringify(wire.latin1Slice())} in pieces of ${pieces.map((piece) => piece.length)}:\n` +
      `whole ${JSON.stringify(whole.events)}\ncut   ${JSON.stringify(cut.events)}`,
  );
}
