import { expect, test } from "bun:test";
import { Trail } from "./trail.ts";

const queued = (seq: number) => ({ seq, at: 0, body: "" });
const shown = (trail: Trail, id: string): string =>
  trail
    .of(id)!
    .steps.map(({ what, destination = "", why = "", times }) => `${what} ${destination} ${why} ${times ?? ""}`.trim())
    .join(", ");

test("the way of events to several destinations", () => {
  const trail = new Trail();
  trail.received("a", 1, false);
  trail.received("b", 1, true);
  trail.refined("a", "a", '{"id":"a"}', 2);
  trail.refined("b", "b2", "{}", 3);
  trail.written(7, 4);
  trail.unwanted("ga", 8, "consent", 5);
  trail.told("retried", "ga", [queued(7), queued(8)], "status 503", 5);
  trail.told("retried", "ga", [queued(7), queued(8)], "status 503", 6);
  trail.told("sent", "hook", [queued(7), queued(8), queued(9)], "", 6);
  trail.told("sent", "ga", [queued(7), queued(8)], "", 7);
  expect(shown(trail, "a")).toBe("received, refined, written, retried ga status 503 2, sent hook, sent ga");
  expect(shown(trail, "b2")).toBe("received, held, refined, written, unwanted ga consent, sent hook");
  expect([trail.of("a")?.event, trail.of("b")]).toEqual(['{"id":"a"}', null]);
});

test("what finds no room, and what is too long to be kept", () => {
  const trail = new Trail();
  trail.received("a", 1, true);
  trail.dropped("a", 2);
  trail.received("b", 1, false);
  trail.refined("b", "b", "x".repeat(5000), 2);
  trail.written(0, 3);
  expect([shown(trail, "a"), shown(trail, "b")]).toEqual(["received, held, dropped", "received, refined, dropped"]);
  expect(trail.of("b")?.event).toBe("");
});

test("the last thousand are known, and an id that comes again is the new one", () => {
  const trail = new Trail();
  for (let i = 0; i <= 1000; i += 1) {
    trail.received(`e${i}`, i, false);
    trail.refined(`e${i}`, `e${i}`, "{}", i);
    trail.written(i + 1, i);
  }
  expect([trail.of("e0"), trail.of("e1")?.steps.length]).toEqual([null, 3]);
  trail.told("sent", "d", [queued(1)], "", 0);
  trail.received("e1", 5, false);
  expect(shown(trail, "e1")).toBe("received");
});
