// The rate that a route allows, for each direction of an exchange by itself.
import type { TimerWheel } from "../core/timers.ts";
import { Pace } from "../pipeline/pace.ts";

/** Whose exchange it is: told when a direction that had to wait may go on. */
export interface PacesOwner {
  resumeBody(): void;
  resumeAnswer(): void;
}

export class Paces {
  readonly request: Pace;
  readonly answer: Pace;

  /** `rate` in bytes per second. */
  constructor(rate: number, wheel: TimerWheel, owner: PacesOwner) {
    this.request = new Pace(rate, wheel, () => owner.resumeBody());
    this.answer = new Pace(rate, wheel, () => owner.resumeAnswer());
  }

  stop(): void {
    this.request.stop();
    this.answer.stop();
  }
}
