// The two clocks of a thread. Text of the wall clock is made once a second, not once a message.

/** Milliseconds on the monotonic clock, with fractions. */
export const monotonic = (): number => performance.now();
let turnMs = 0;

/**
 * The monotonic clock as it stood when this turn of the event loop first asked: reading it costs as much as parsing
 * fifty bytes, and what happens within a turn takes no time worth measuring.
 */
export function turnTime(): number {
  if (turnMs === 0) {
    const now = performance.now();
    if (!inTurn) return now;
    turnMs = now;
  }
  return turnMs;
}

let inTurn = false;

/** Called by transports around every event, so that `turnTime` is read once for it. */
export function beginTurnTime(): void {
  inTurn = true;
  turnMs = 0;
}
export function endTurnTime(): void {
  inTurn = false;
  turnMs = 0;
}

/** Milliseconds since 1970. */
export const wallClock = (): number => Date.now();

let dateSecond = 0;
let dateText = "";

/** The IMF-fixdate of now (RFC 9110 §5.6.7). */
export function httpDate(): string {
  const second = Math.floor(Date.now() / 1000);
  if (second !== dateSecond) {
    dateSecond = second;
    dateText = new Date(second * 1000).toUTCString();
  }
  return dateText;
}
