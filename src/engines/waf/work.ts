// How much work a step may still do, so that no request holds the event loop: long values are gone through in slices.

/** About a nanosecond each on a fast machine; what is counted is what takes long, not every step. */
export interface Work {
  left: number;
}

/** Of the step that runs: a thread runs one at a time. Without end where nobody slices. */
export const work: Work = { left: Number.POSITIVE_INFINITY };

/**
 * Of one step: two milliseconds, so that the last piece of work in it, which is not cut, and a slow machine leave it
 * below five.
 */
export const STEP_WORK = 2_000_000;
