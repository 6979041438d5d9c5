// Notices that the source of a body pauses, for all bodies of a thread with one timer: what has been gathered by then
// must not wait any longer.

/** Long enough for pieces of one answer that follow each other, too short to be noticed: 2 to 4 ms. */
const PAUSE_MS = 2;

export interface Pausing {
  /** Two to four milliseconds have passed since it was watched. */
  onPause(): void;
}

let fresh: Pausing[] = [];
let ripe: Pausing[] = [];
let armed = false;

/** Calls `onPause` of this one once, soon. */
export function watchPause(one: Pausing): void {
  fresh.push(one);
  if (armed) return;
  armed = true;
  setTimeout(sweep, PAUSE_MS);
}

function sweep(): void {
  const due = ripe;
  ripe = fresh;
  fresh = [];
  armed = ripe.length > 0;
  if (armed) setTimeout(sweep, PAUSE_MS);
  for (const one of due) one.onPause();
}
