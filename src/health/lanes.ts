// Who may check now: a bounded number at a time, each upstream in its turn, so that one with many slow servers does not
// keep the others waiting.

/** Something that waits for a place. `upstream` names its lane. */
export interface Waiter {
  readonly upstream: string;
  /** Called when it has its place, which it gives back by `leave`. */
  begin(): void;
}

interface Lane {
  readonly waiting: Waiter[];
  running: number;
  /** It stands in `#turns`. */
  listed: boolean;
}

export class Lanes {
  readonly #max: number;
  readonly #laneMax: number;
  readonly #lanes = new Map<string, Lane>();
  /** Lanes that have somebody waiting and room for one more, in the order of their turns. */
  readonly #turns: Lane[] = [];
  #running = 0;

  /** At most `max` at once, three quarters of them for one upstream: the others always find a free place soon. */
  constructor(max: number) {
    this.#max = max;
    this.#laneMax = Math.max(1, Math.floor((max * 3) / 4));
  }

  enter(waiter: Waiter): void {
    const lane = this.#lane(waiter.upstream);
    lane.waiting.push(waiter);
    this.#list(lane);
    this.#advance();
  }

  /** Gives back a place that was got. */
  leave(upstream: string): void {
    const lane = this.#lane(upstream);
    lane.running -= 1;
    this.#running -= 1;
    this.#list(lane);
    this.#tidy(upstream, lane);
    this.#advance();
  }

  /** Stops waiting. */
  withdraw(waiter: Waiter): void {
    const lane = this.#lane(waiter.upstream);
    const at = lane.waiting.indexOf(waiter);
    if (at >= 0) lane.waiting.splice(at, 1);
    this.#tidy(waiter.upstream, lane);
  }

  #lane(upstream: string): Lane {
    let lane = this.#lanes.get(upstream);
    if (lane === undefined) {
      lane = { waiting: [], running: 0, listed: false };
      this.#lanes.set(upstream, lane);
    }
    return lane;
  }

  /** Upstreams come and go with the configuration: their lanes too. */
  #tidy(upstream: string, lane: Lane): void {
    if (lane.running === 0 && lane.waiting.length === 0) this.#lanes.delete(upstream);
  }

  #list(lane: Lane): void {
    if (lane.listed || lane.waiting.length === 0 || lane.running >= this.#laneMax) return;
    lane.listed = true;
    this.#turns.push(lane);
  }

  #advance(): void {
    while (this.#running < this.#max) {
      const lane = this.#turns.shift();
      if (lane === undefined) return;
      lane.listed = false;
      const waiter = lane.waiting.shift();
      if (waiter === undefined) continue; // all of them withdrew
      lane.running += 1;
      this.#running += 1;
      this.#list(lane);
      waiter.begin();
    }
  }
}
