import { describe, expect, test } from "bun:test";
import { type Rng, tryLaw } from "../../core/fuzz.testing.ts";
import { Schedule, type Scheduled } from "./schedule.ts";

const stream = (id: number, urgency: number, incremental: boolean): Scheduled => ({
  id,
  urgency,
  incremental,
  scheduled: false,
  next: null,
  previous: null,
});

/** Streams as `id`, `urgency` and `i` or nothing, in the order in which they come; how many frames each has. */
const CASES: readonly (readonly [name: string, streams: readonly string[], frames: number, want: string])[] = [
  ["nothing", [], 1, ""],
  ["one", ["1 3"], 3, "111"],
  ["whole ones by id", ["5 3", "1 3", "3 3"], 2, "113355"],
  ["parts in turn, as they came", ["5 3 i", "1 3 i", "3 3 i"], 2, "513513"],
  ["urgent ones first", ["1 7", "3 0 i", "5 3"], 2, "335511"],
  ["whole ones before parts", ["1 3 i", "3 3", "5 3 i"], 2, "331515"],
  ["all urgencies", ["1 7", "2 6 i", "3 5", "4 4", "5 3 i", "6 2", "7 1", "8 0"], 1, "87654321"],
];
describe("turns", () => {
  for (const [name, texts, frames, want] of CASES)
    test(name, () => {
      const schedule = new Schedule();
      const left = new Map<Scheduled, number>();
      for (const text of texts) {
        const [id, urgency, i] = text.split(" ");
        const one = stream(Number(id), Number(urgency), i === "i");
        left.set(one, frames);
        schedule.add(one);
        schedule.add(one); // already there
      }
      let order = "";
      for (let next = schedule.first(); next !== null; next = schedule.first()) {
        order += next.id;
        left.set(next, left.get(next)! - 1);
        if (left.get(next) === 0) schedule.remove(next);
        else schedule.sent(next);
      }
      expect([order, schedule.empty]).toEqual([want, true]);
    });
});

/** Against a list that is searched: the most urgent, whole before parts, whole ones by id, parts by their last turn. */
function scheduleLaw(rng: Rng): void {
  const schedule = new Schedule();
  const all = Array.from({ length: 12 }, (_, i) => stream(2 * i + 1, rng.below(8), rng.oneIn(2)));
  const turn = new Map<Scheduled, number>();
  let clock = 0;
  const rank = (one: Scheduled): number =>
    (one.urgency * 2 + (one.incremental ? 1 : 0)) * 1e6 + (one.incremental ? turn.get(one)! : one.id);
  for (let step = 0; step < 60; step += 1) {
    const one = rng.pick(all);
    clock += 1;
    switch (rng.below(4)) {
      case 0:
        if (!one.scheduled) turn.set(one, clock);
        schedule.add(one);
        break;
      case 1:
        schedule.remove(one);
        turn.delete(one);
        break;
      case 2:
        schedule.change(one, rng.below(8), rng.oneIn(2));
        if (one.scheduled) turn.set(one, clock);
        break;
      default: {
        const first = schedule.first();
        if (first === null) break;
        schedule.sent(first);
        if (first.incremental) turn.set(first, clock);
      }
    }
    const waiting = all.filter((each) => turn.has(each)).sort((a, b) => rank(a) - rank(b));
    if (schedule.first() !== (waiting[0] ?? null))
      throw new Error(`step ${step}: ${schedule.first()?.id} and not ${waiting[0]?.id}`);
    if (schedule.empty !== (waiting.length === 0)) throw new Error("empty");
  }
}

test("any order of events", () => void tryLaw("schedule", scheduleLaw, 1, 2000));
