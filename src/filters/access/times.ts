// Windows of time in which a route is open. Whether it is open is found out once a minute.
import { within } from "../../config/compile-error.ts";
import type { AccessConfig } from "../../config/schema-access.ts";

type Window = NonNullable<AccessConfig["times"]>[number];

const MINUTE_MS = 60_000;
const DAY_MINUTES = 1440;
const WEEKDAYS = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"] as const;

export class Times {
  readonly #windows: readonly CompiledWindow[];
  #minute = -1;
  #open = false;

  /** Throws CompileError for a time zone that nobody knows, and for a window without any time. */
  constructor(windows: readonly Window[]) {
    this.#windows = windows.map((window, at) => within(at, () => new CompiledWindow(window)));
  }

  /** Whether one of the windows is open `wallMs` after 1970. */
  isOpen(wallMs: number): boolean {
    const minute = Math.floor(wallMs / MINUTE_MS);
    if (minute !== this.#minute) {
      this.#minute = minute;
      this.#open = this.#windows.some((window) => window.isOpen(minute * MINUTE_MS));
    }
    return this.#open;
  }
}

class CompiledWindow {
  readonly #days: ReadonlySet<number>;
  readonly #from: number;
  readonly #to: number;
  readonly #clock: Intl.DateTimeFormat;

  constructor({ days, from, to, zone }: Window) {
    this.#days = new Set((days ?? WEEKDAYS).map((day) => WEEKDAYS.indexOf(day)));
    this.#from = minutesOf(from);
    this.#to = minutesOf(to);
    if (this.#from === this.#to) throw new RangeError("it is never open: `from` and `to` are the same");
    try {
      this.#clock = new Intl.DateTimeFormat("en-US", {
        timeZone: zone,
        weekday: "short",
        hour: "2-digit",
        minute: "2-digit",
        hourCycle: "h23",
      });
    } catch {
      throw new RangeError(`"${zone}" is not a time zone: write it like Europe/Berlin`);
    }
  }

  isOpen(wallMs: number): boolean {
    const parts = new Map(this.#clock.formatToParts(wallMs).map(({ type, value }) => [type, value]));
    const names: readonly string[] = WEEKDAYS;
    const day = names.indexOf(parts.get("weekday")!.toLowerCase());
    const now = Number(parts.get("hour")) * 60 + Number(parts.get("minute"));
    if (this.#from < this.#to) return this.#days.has(day) && now >= this.#from && now < this.#to;
    // It goes on after midnight: the days are those on which it began.
    if (now >= this.#from) return this.#days.has(day);
    return now < this.#to && this.#days.has((day + 6) % 7);
  }
}

/** 24:00 is the end of a day. */
function minutesOf(time: string): number {
  const [hours = "", minutes = ""] = time.split(":");
  return Math.min(DAY_MINUTES, Number(hours) * 60 + Number(minutes));
}
