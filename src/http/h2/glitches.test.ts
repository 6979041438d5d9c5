// Floods: what each costs its connection, and what ordinary peers may do all day (RFC 9113 §10.5).
import { describe, expect, test } from "bun:test";
import { frame, uint32 } from "./frame-reader.testing.ts";
import { FLAG, TYPE } from "./frames.ts";
import { BUDGETS, GLITCH_KINDS, Glitches, type GlitchKind } from "./glitches.ts";
import { answer, block, data, GET, headers, OPEN, POST, SessionRig } from "./session.testing.ts";

const windowUpdate = (id: number, by: number): Buffer => frame(TYPE.windowUpdate, 0, id, uint32(by));
const reset = (id: number): Buffer => frame(TYPE.rstStream, 0, id, uint32(8));
const PING = frame(TYPE.ping, 0, 0, "12345678");
const id = (i: number): number => 2 * i + 1;
const CONTENT = Buffer.alloc(60_000);
const LARGE = Array.from({ length: 100 }, (_, i) => [`x-${i}`, "v".repeat(120)] as const);

interface Flood {
  readonly name: string;
  /** The connection before. */
  readonly before?: readonly Buffer[];
  readonly one: (i: number) => Buffer;
  /** How many are one too many; each comes a millisecond after the other. */
  readonly most: number;
  readonly serve?: boolean;
}

const FLOODS: readonly Flood[] = [
  { name: "rapid reset", one: (i) => Buffer.concat([headers(id(i), GET), reset(id(i))]), most: 201 },
  {
    name: "made you reset, by a window that overflows",
    one: (i) => Buffer.concat([headers(id(i), POST, OPEN), windowUpdate(id(i), 0x7fff_ffff)]),
    most: 201,
    serve: true,
  },
  { name: "made you reset, by malformed requests", one: (i) => headers(id(i), [[":path", "/"]]), most: 201 },
  {
    name: "made you reset, by content behind the end",
    one: (i) => Buffer.concat([headers(id(i), GET), data(id(i), "x")]),
    most: 201,
  },
  { name: "empty DATA", before: [headers(1, POST, OPEN)], one: () => data(1, ""), most: 101 },
  {
    name: "DATA of nothing but padding",
    before: [headers(1, POST, OPEN)],
    one: () => frame(TYPE.data, FLAG.padded, 1, "\x02\0\0"),
    most: 101,
  },
  { name: "SETTINGS", one: () => frame(TYPE.settings, 0, 0), most: 100 },
  { name: "PING", one: () => PING, most: 101 },
  { name: "acknowledgements of nothing", one: () => frame(TYPE.settings, FLAG.ack, 0), most: 101 },
  { name: "answers to no PING", one: () => frame(TYPE.ping, FLAG.ack, 0, "12345678"), most: 101 },
  { name: "PRIORITY", one: (i) => frame(TYPE.priority, 0, id(i), "\0\0\0\0\x05"), most: 101 },
  {
    name: "PRIORITY_UPDATE",
    one: (i) => frame(TYPE.priorityUpdate, 0, 0, Buffer.concat([uint32(id(i)), Buffer.from("u=1")])),
    most: 101,
  },
  { name: "tiny WINDOW_UPDATE", one: () => windowUpdate(0, 1), most: 1001 },
  {
    name: "tiny WINDOW_UPDATE of a stream",
    before: [headers(1, POST, OPEN)],
    one: () => windowUpdate(1, 1),
    most: 1001,
  },
  {
    name: "a window of single bytes",
    before: [frame(TYPE.settings, 0, 0, Buffer.from([0, 4, 0, 0, 0, 0])), headers(1, GET)],
    one: () => windowUpdate(1, 1),
    most: 1001,
    serve: true,
  },
  { name: "unknown frames", one: (i) => frame(0x20 + (i % 100), 0, i % 7, "x"), most: 101 },
  {
    name: "RST_STREAM on closed streams",
    before: [headers(1, GET), reset(1)],
    one: () => reset(1),
    most: 2001,
  },
  { name: "GOAWAY", one: () => frame(TYPE.goaway, 0, 0, uint32(0, 0)), most: 104 },
  {
    name: "CONTINUATION without end",
    before: [headers(1, GET, 0)],
    one: (i) => frame(TYPE.continuation, 0, 1, block([[`x-${i}`, "1"]])),
    most: 64,
  },
  {
    name: "CONTINUATION of many bytes",
    before: [headers(1, GET, 0)],
    one: () => frame(TYPE.continuation, 0, 1, block(LARGE)),
    most: 12,
  },
  {
    name: "requests above the limit",
    before: Array.from({ length: 128 }, (_, i) => headers(id(i), GET)),
    one: (i) => headers(id(i + 128), GET),
    most: 1001,
  },
];

describe("a flood ends its connection", () => {
  for (const { name, before = [], one, most, serve = false } of FLOODS)
    test(name, () => {
      const rig = SessionRig.begun("server");
      if (serve)
        rig.serve = ({ stream }) => {
          answer(stream, 200);
          stream.sendData(CONTENT, 0, CONTENT.length);
        };
      rig.feed(...before);
      let count = 0;
      while (!rig.session.broken && count < 5000) {
        if (count % 10 === 0) rig.now += 1;
        rig.feed(one(count));
        count += 1;
      }
      expect(count).toBe(most);
      expect(rig.written().at(-1)).toEndWith(" enhanceYourCalm");
      expect([rig.fault?.code, rig.session.openStreams]).toEqual(["h2.abuse", 0]);
    });

  test("answers to PING that are not read", () => {
    const rig = SessionRig.begun("server");
    rig.out.full = true;
    let count = 0;
    while (!rig.session.broken && count < 5000) {
      rig.now += 100; // slowly enough for the budget
      rig.feed(PING);
      count += 1;
    }
    expect(count).toBe(964); // 16 KB of 17 bytes each
    expect(rig.fault).toEqual({ code: "h2.abuse", detail: "answers to control frames are not read", retryAfter: 0 });
  });
});

describe("what ordinary peers do goes on and on", () => {
  const HOUR = 3_600_000;
  const USES: readonly (readonly [
    name: string,
    every: number,
    times: number,
    one: (rig: SessionRig, i: number) => void,
  ])[] = [
    [
      "requests that are answered, with a priority each",
      2,
      5000,
      (rig, i) => {
        rig.feed(
          headers(id(i), GET),
          frame(TYPE.priority, 0, id(i), "\0\0\0\0\x05"),
          frame(TYPE.priority, 0, id(i), "\0\0\0\0\x06"),
        );
      },
    ],
    ["a PING and an answer each", 1, 5000, (rig, i) => rig.feed(PING, headers(id(i), GET))],
    ["keep-alives", 10_000, HOUR / 10_000, (rig) => rig.feed(PING)],
    [
      "cancelled requests, few",
      60,
      2000,
      (rig, i) => {
        const { serve } = rig;
        rig.serve = () => {};
        rig.feed(headers(id(i), GET), reset(id(i)));
        rig.serve = serve;
      },
    ],
    [
      "a page left with all its requests, each second",
      0,
      2000,
      (rig, i) => {
        const { serve } = rig;
        if (i % 100 !== 99) return;
        rig.serve = () => {};
        const ids = Array.from({ length: 15 }, (_, at) => id(i * 100 + at));
        rig.feed(...ids.map((at) => headers(at, GET)));
        rig.feed(...ids.map(reset));
        rig.serve = serve;
        rig.now += 1000;
      },
    ],
    [
      "calls whose time is over",
      0,
      40,
      (rig, i) => {
        const { serve } = rig;
        rig.serve = () => {};
        const ids = Array.from({ length: 100 }, (_, at) => id(i * 100 + at));
        rig.feed(...ids.map((at) => headers(at, GET)));
        rig.now += 1000;
        rig.feed(...ids.map(reset));
        rig.serve = serve;
      },
    ],
    ["an unknown frame now and then", 100, 5000, (rig) => rig.feed(frame(0x55, 0, 0, "GREASE"))],
  ];
  for (const [name, every, times, one] of USES)
    test(name, () => {
      const rig = SessionRig.begun("server");
      rig.serve = ({ stream }) => answer(stream, 200, [], true);
      for (let i = 0; i < times; i += 1) {
        rig.now += every;
        one(rig, i);
        rig.out.take();
      }
      expect([rig.fault, rig.session.openStreams]).toEqual([null, 0]);
    });

  test("an upload and a download, with an update for each frame", () => {
    const rig = SessionRig.begun("server");
    rig.feed(headers(1, POST, OPEN));
    const { stream } = rig.stream(1);
    answer(stream, 200);
    for (let i = 0; i < 20_000; i += 1) {
      rig.feed(data(1, "some content"), windowUpdate(0, 12), windowUpdate(1, 12));
      stream.sendData(Buffer.from("some content"), 0, 12);
      rig.out.take();
    }
    expect([rig.fault, stream.queued, rig.stream(1).bytes]).toEqual([null, 0, 240_000]);
  });
});

describe("budgets", () => {
  for (const kind of GLITCH_KINDS)
    test(kind, () => {
      const { base, per, perUse } = BUDGETS[kind];
      const glitches = new Glitches();
      const countUp = (now: number): number => {
        let count = 1;
        while (!glitches.count(kind, now)) count += 1;
        return count;
      };
      expect(countUp(0)).toBe(base + 1);
      expect(countUp(per)).toBe(base + 1); // counting begins anew
      glitches.answers += 10;
      expect(glitches.count(kind, per * 2 - 1)).toBe(perUse === 0);
    });

  test("content is no answer to a reset", () => {
    const counts = (kind: GlitchKind): number => {
      const glitches = new Glitches();
      let count = 1;
      glitches.count(kind, 0);
      glitches.dataFrames += 1000;
      while (!glitches.count(kind, 0)) count += 1;
      return count;
    };
    expect([counts("reset"), counts("window")]).toEqual([200, 11_000]);
  });
});
