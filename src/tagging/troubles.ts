// Which routes' events cannot be kept, as workers know it: their `/healthy` says so. The supervisor hands it out as text
// in memory whenever it changes.

/** Names the memory. */
export const TROUBLES = "troubles with events";

/**
 * `disk`: they cannot be written down. `full`: some are dropped, as there is no room. `refused`: what they are kept in
 * cannot be opened. `thread`: who keeps them has failed, and is started again.
 */
export type Trouble = "disk" | "full" | "refused" | "thread";
/** By route. */
export type Troubles = ReadonlyMap<string, Trouble>;

export function layOutTroubles(troubles: Troubles): SharedArrayBuffer {
  const text = Buffer.from(JSON.stringify([...troubles]));
  const memory = new SharedArrayBuffer(text.length);
  text.copy(Buffer.from(memory));
  return memory;
}

/** What `layOutTroubles` has put there; none where there is no memory. */
export function readTroubles(memory: SharedArrayBuffer): Troubles {
  return new Map(memory.byteLength === 0 ? [] : (JSON.parse(Buffer.from(memory).toString()) as [string, Trouble][]));
}
