import { afterEach, beforeEach, expect, test } from "bun:test";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DENIED, forAll, UNSET } from "../engines/tagging/consent/consent.ts";
import { NOWHERE, type TagEvent } from "../engines/tagging/event.ts";
import { Scrubber } from "../engines/tagging/privacy/scrub.ts";
import type { DeliveryClock, Sender, Sent } from "./delivery.ts";
import { DONE } from "./delivery.ts";
import { Dispatch } from "./dispatch.ts";
import type { Queued } from "./queue.ts";
import type { RawEvent } from "./raw-event.ts";
import { Refinery } from "./refine.ts";
import { Trail } from "./trail.ts";

let folder = "";
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "dispatch-"));
});
afterEach(() => rm(folder, { recursive: true }));

const realClock: DeliveryClock = {
  now: Date.now,
  random: Math.random,
  after(ms, then) {
    const timer = setTimeout(then, ms);
    return () => clearTimeout(timer);
  },
};

class Vendor implements Sender {
  readonly batch = 100;
  readonly parallel = 1;
  readonly lingerMs = 0;
  readonly got: TagEvent[] = [];
  answer: Sent = DONE;
  readonly name: string;
  constructor(name: string) {
    this.name = name;
  }
  send(events: readonly Queued[]): Promise<Sent> {
    if (this.answer.kind === "done") this.got.push(...events.map(({ body }) => JSON.parse(body) as TagEvent));
    return Promise.resolve(this.answer);
  }
}

const refinery = new Refinery(
  {
    ip: "truncated",
    userAgent: "reduced",
    referrer: "origin",
    clickIds: "consent",
    campaigns: true,
    parameters: new Set(["token"]),
    replacement: "-",
  },
  new Scrubber({ find: () => [], replacement: "-", names: new Set(["email"]) }),
  () => null,
);

const raw = (name: string, more: Partial<RawEvent> = {}): RawEvent => ({
  id: `id-${name}`,
  name,
  time: 5,
  clientId: "client",
  sessionId: "session",
  userId: "user",
  url: "https://s.example/?gclid=1&token=2",
  title: "",
  referrer: "https://o.example/secret",
  language: "",
  screen: "",
  params: { email: "x", link_url: "https://s.example/?token=3" },
  user: { tier: "gold" },
  items: [],
  consent: forAll("granted"),
  tag: "",
  ip: "203.0.113.9",
  userAgent: "",
  place: NOWHERE,
  isBot: false,
  visit: "",
  undecided: false,
  ...more,
});

function begin(vendors: readonly Vendor[], waitMs = 0): Dispatch {
  return new Dispatch({
    queue: { path: join(folder, "q.db"), bytesMax: 1e6, whenFull: "oldest", sync: false },
    refinery,
    senders: vendors,
    clock: realClock,
    flushMs: 5,
    waitMs,
    byDefault: DENIED,
    onTrouble: () => {},
    onEvent: () => {},
    trail: new Trail(),
  });
}

const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

test("each event reaches each destination, refined", async () => {
  const vendors = [new Vendor("a"), new Vendor("b")];
  const dispatch = begin(vendors);
  dispatch.take([raw("one"), raw("two", { consent: UNSET })]);
  dispatch.flush();
  await settled();
  for (const { got } of vendors) {
    expect(got.map(({ name }) => name)).toEqual(["one", "two"]);
    expect(got[0]).toMatchObject({
      clientId: "client",
      ip: "203.0.113.0",
      url: "https://s.example/?gclid=1&token=-",
      referrer: "https://o.example/",
      params: { email: "-", link_url: "https://s.example/?token=-", device_class: "unknown" },
      user: { tier: "gold" },
    });
    expect(got[1]).toMatchObject({ clientId: "", sessionId: "", userId: "", ip: "", user: {}, consent: DENIED });
    expect(got[1]!.url).toBe("https://s.example/?token=-");
  }
  expect(dispatch.state()).toMatchObject({ received: 2, dropped: 0, bytes: expect.any(Number) });
  dispatch.close();
});

test("those who have not chosen are waited for, and nothing of them is on the disk", async () => {
  const vendor = new Vendor("a");
  const dispatch = begin([vendor], 60_000);
  const undecided = { consent: UNSET, undecided: true };
  dispatch.take([raw("one", { visit: "v", ...undecided }), raw("two", { visit: "w", ...undecided })]);
  dispatch.flush();
  for (const file of await readdir(folder)) expect((await readFile(join(folder, file))).includes("id-one")).toBe(false);
  dispatch.decide("v", forAll("granted"));
  dispatch.flush();
  await settled();
  expect(vendor.got.map(({ name, clientId }) => [name, clientId])).toEqual([["one", "client"]]);
  dispatch.close();
});

test("those who do not choose are taken as the default has it", async () => {
  const vendor = new Vendor("a");
  const dispatch = begin([vendor], 1);
  dispatch.take([raw("one", { visit: "v", consent: UNSET, undecided: true })]);
  const late = Date.now() + 5000;
  while (vendor.got.length === 0 && Date.now() < late) await Bun.sleep(20);
  expect(vendor.got[0]).toMatchObject({ name: "one", clientId: "", consent: DENIED });
  dispatch.close();
});

test("dead letters are sent once more", async () => {
  const vendor = new Vendor("a");
  vendor.answer = { kind: "never", why: "400" };
  const dispatch = begin([vendor]);
  dispatch.take([raw("one"), raw("two")]);
  dispatch.flush();
  await settled();
  expect(dispatch.state().destinations[0]).toMatchObject({ dead: 2, waiting: 0, buried: 2 });
  expect(await dispatch.replay("a")).toEqual({ sent: 0, left: 2 });
  vendor.answer = DONE;
  expect(await dispatch.replay("a")).toEqual({ sent: 2, left: 0 });
  expect(vendor.got.map(({ name }) => name)).toEqual(["one", "two"]);
  expect(dispatch.state().destinations[0]).toMatchObject({ dead: 0 });
  expect(dispatch.replay("b")).rejects.toThrow(`no destination named "b"`);
  dispatch.close();
});
