// An event as a page tells of it, before anything is known of the one who sent it.
import type { TagEvent } from "./event.ts";

/** `id` "" and `time` 0 where the page gives none. */
export interface Told extends Omit<TagEvent, "ip" | "userAgent" | "place"> {
  /** What tells one visit to a page from others until the visitor has chosen; "" for nothing. */
  readonly visit: string;
}
