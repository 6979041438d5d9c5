// Requests that wait for a server with room: first come, first served, within eight priorities. Bounded in number and
// time.
import { Timer, type TimerWheel } from "../core/timers.ts";

/** Lane 0 goes first. Eight as in RFC 9218 §4.1. */
const LANES = 8;
/** RFC 9218 §4.1: what says nothing about its urgency. */
const PRIORITY_DEFAULT = 3;
/** The wheel's `now` may lie one tick back: nobody is turned away early. */
const TICK_MS = 100;
/** A full line is searched for the withdrawn once for this part of its capacity of refusals: 8 looks for each. */
const SEARCHES = 8;

class Place<T> {
  readonly item: T;
  readonly lane: number;
  /** On the wheel's clock. */
  readonly deadline: number;
  previous: Place<T> | null = null;
  next: Place<T> | null = null;

  constructor(item: T, lane: number, deadline: number) {
    this.item = item;
    this.lane = lane;
    this.deadline = deadline;
  }
}

/**
 * Everyone waits equally long at most, so each lane is in the order of deadlines, and one timer serves them all. An
 * item that is `withdrawn` is as good as gone: it is never returned, does not expire, and makes room when it is needed.
 */
export class WaitingLine<T extends { readonly withdrawn: boolean }> {
  readonly #capacity: number;
  readonly #timeoutMs: number;
  readonly #wheel: TimerWheel;
  readonly #expired: (item: T) => void;
  readonly #dropped: (item: T) => void;
  readonly #timer = new Timer(() => this.#expire());
  readonly #places = new Map<T, Place<T>>();
  readonly #first: (Place<T> | null)[] = new Array(LANES).fill(null);
  readonly #last: (Place<T> | null)[] = new Array(LANES).fill(null);
  /** Refusals until a full line is searched again. */
  #searchIn = 0;

  /**
   * `expired` is called with each item that has waited `timeoutMs`, give or take what the wheel does, after it has left
   * the line. It may push, shift and remove. `dropped` is called with each that was withdrawn, when the line notices.
   */
  constructor(
    capacity: number,
    timeoutMs: number,
    wheel: TimerWheel,
    expired: (item: T) => void,
    dropped: (item: T) => void = () => {},
  ) {
    this.#capacity = capacity;
    this.#timeoutMs = timeoutMs;
    this.#wheel = wheel;
    this.#expired = expired;
    this.#dropped = dropped;
  }

  /** How many wait; some of them may be withdrawn. */
  get length(): number {
    return this.#places.size;
  }

  /** Puts the item, which is not in line yet, at the end of its lane, 0 (first) to 7. False when the line is full. */
  push(item: T, lane: number): boolean {
    if (this.#places.size >= this.#capacity && !this.#makeRoom()) return false;
    const place = new Place(item, lane, this.#wheel.now + this.#timeoutMs + TICK_MS);
    const last = this.#last[lane]!;
    place.previous = last;
    if (last === null) this.#first[lane] = place;
    else last.next = place;
    this.#last[lane] = place;
    this.#places.set(item, place);
    if (this.#timer.deadline > place.deadline) this.#wheel.arm(this.#timer, this.#timeoutMs);
    return true;
  }

  /**
   * Takes the first that is accepted out of the line; those that are not stay where they are. Null when there is none,
   * or when `accept` says so by null: then nobody behind is looked at. It only looks: it does not change the line.
   */
  shift(accept?: (item: T) => boolean | null): T | null {
    if (this.#places.size === 0) return null;
    for (let lane = 0; lane < LANES; lane += 1) {
      let place = this.#first[lane]!;
      while (place !== null) {
        const { item, next } = place;
        if (item.withdrawn) this.#drop(place);
        else {
          const accepted = accept === undefined || accept(item);
          if (accepted === null) return null;
          if (accepted) {
            this.#take(place);
            return item;
          }
        }
        place = next!;
      }
    }
    return null;
  }

  /** Takes the item out. False when it is not in line. */
  remove(item: T): boolean {
    const place = this.#places.get(item);
    if (place === undefined) return false;
    this.#take(place);
    return true;
  }

  /** Lets go of the timer. Who is still in line is forgotten: `shift` them before. */
  close(): void {
    this.#wheel.drop(this.#timer);
    this.#places.clear();
    this.#first.fill(null);
    this.#last.fill(null);
  }

  #take(place: Place<T>): void {
    const { previous, next, lane } = place;
    if (previous === null) this.#first[lane] = next;
    else previous.next = next;
    if (next === null) this.#last[lane] = previous;
    else next.previous = previous;
    this.#places.delete(place.item);
  }

  #drop(place: Place<T>): void {
    this.#take(place);
    this.#dropped(place.item);
  }

  /** Drops the withdrawn of a full line. Not at each refusal: while a flood is refused, that would cost the most. */
  #makeRoom(): boolean {
    if (this.#searchIn > 0) {
      this.#searchIn -= 1;
      return false;
    }
    this.#searchIn = Math.floor(this.#capacity / SEARCHES);
    for (const [item, place] of this.#places) if (item.withdrawn) this.#drop(place);
    return this.#places.size < this.#capacity;
  }

  #expire(): void {
    const { now } = this.#wheel;
    let earliest = Number.POSITIVE_INFINITY;
    for (let lane = 0; lane < LANES; lane += 1) {
      for (;;) {
        const place = this.#first[lane]!;
        if (place === null) break;
        if (!place.item.withdrawn && place.deadline > now) {
          earliest = Math.min(earliest, place.deadline);
          break;
        }
        if (place.item.withdrawn) {
          this.#drop(place);
          continue;
        }
        this.#take(place);
        this.#expired(place.item);
      }
    }
    // The wheel adds a tick of its own.
    if (earliest < this.#timer.deadline) this.#wheel.arm(this.#timer, earliest - TICK_MS - now);
  }
}

/**
 * The lane that a request field names: a single digit from 0 to 7, or the urgency of a `Priority` field (RFC 9218
 * §4.1: `u=5, i`). 3 for anything else, and without the field.
 */
export function priorityOf(value: string | null): number {
  if (value === null) return PRIORITY_DEFAULT;
  if (value.length === 1) return urgencyAt(value, 0);
  let urgency = PRIORITY_DEFAULT;
  let at = 0;
  // A dictionary of structured fields (RFC 9651 §3.2): members between commas, which strings may contain as well.
  // Members with other keys are not checked: they say nothing about who waits.
  while (at < value.length) {
    while (at < value.length && isSpace(value.charCodeAt(at))) at += 1;
    const end = memberEnd(value, at);
    if (end < 0) return PRIORITY_DEFAULT;
    // The last of several members with one key counts.
    if (isMember(value, at, end)) urgency = memberUrgency(value, at, end);
    at = end + 1;
  }
  return urgency;
}

const COMMA = 0x2c;
const SEMICOLON = 0x3b;
const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const EQUALS = 0x3d;
const LOWER_U = 0x75;

const isSpace = (code: number): boolean => code === 0x20 || code === 0x09;

/** Where the member that begins at `at` ends: at its comma, or at the end of the field; -1 if a string does not end. */
function memberEnd(value: string, at: number): number {
  let inString = false;
  for (let i = at; i < value.length; i += 1) {
    const code = value.charCodeAt(i);
    if (inString) {
      if (code === BACKSLASH) i += 1;
      else if (code === QUOTE) inString = false;
    } else if (code === QUOTE) inString = true;
    else if (code === COMMA) return i;
  }
  return inString ? -1 : value.length;
}

/** Whether the member's key is `u`, with any value or none. */
function isMember(value: string, at: number, end: number): boolean {
  if (at >= end || value.charCodeAt(at) !== LOWER_U) return false;
  const after = at + 1 < end ? value.charCodeAt(at + 1) : COMMA;
  return after === COMMA || after === EQUALS || after === SEMICOLON || isSpace(after);
}

/** The value of a member `u=5`, whatever parameters it has. RFC 9218 §4: a value that is none is as good as absent. */
function memberUrgency(value: string, at: number, end: number): number {
  if (at + 2 >= end || value.charCodeAt(at + 1) !== EQUALS) return PRIORITY_DEFAULT;
  let after = at + 3;
  while (after < end && isSpace(value.charCodeAt(after))) after += 1;
  if (after < end && value.charCodeAt(after) !== SEMICOLON) return PRIORITY_DEFAULT;
  return urgencyAt(value, at + 2);
}

function urgencyAt(value: string, at: number): number {
  const digit = value.charCodeAt(at) - 0x30;
  return digit >= 0 && digit < LANES ? digit : PRIORITY_DEFAULT;
}
