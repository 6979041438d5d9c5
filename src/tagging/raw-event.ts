// What a worker hands over to the thread that has the queue: an event as it was told, and what is known of its sender.
// Personal as it is, it stays in memory.
import type { Place } from "../engines/tagging/event.ts";
import type { Told } from "../engines/tagging/told.ts";

export interface RawEvent extends Told {
  readonly ip: string;
  readonly userAgent: string;
  readonly place: Place;
  /** A program rather than a person has sent it. */
  readonly isBot: boolean;
  /** The sender has not chosen: the event waits for what he will choose. */
  readonly undecided: boolean;
}
