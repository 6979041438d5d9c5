import { expect, test } from "bun:test";
import { DENIED } from "../engines/tagging/consent/consent.ts";
import { Handing } from "./handing.ts";
import type { Handover } from "./messages.ts";
import type { RawEvent } from "./raw-event.ts";

const events = (count: number): RawEvent[] => Array.from({ length: count }, () => ({}) as RawEvent);

test("events go in batches, and choices behind them", async () => {
  const sent: string[] = [];
  const all = Promise.withResolvers<void>();
  const handing = new Handing("r", (what: Handover) => {
    sent.push(what.kind === "events" ? `${what.route} ${what.events.length}` : `${what.route} ${what.visit}`);
    if (sent.length === 5) all.resolve();
  });
  handing.take(events(2));
  handing.take(events(1));
  expect(sent).toEqual([]);
  handing.decide("visit", DENIED);
  handing.take(events(199));
  handing.take(events(2));
  handing.flush();
  expect(sent).toEqual(["r 3", "r visit", "r 201"]);
  handing.take(events(4));
  handing.flush();
  handing.take(events(5));
  await all.promise; // by its timer
  expect(sent.slice(3)).toEqual(["r 4", "r 5"]);
});
