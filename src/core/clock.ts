// The two clocks of a thread. Text of the wall clock is made once a second, not once a message.

/** Milliseconds on the monotonic clock, with fractions. */
export const monotonic = (): number => performance.now();
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
