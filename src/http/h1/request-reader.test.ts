import { expect, test } from "bun:test";
import { byteByByte, cutAt, DEFAULT_LIMITS, everyCut, hearRequests, wireOf } from "./feed.testing.ts";
import type { HeadLimits } from "./limits.ts";
import { GOOD_REQUESTS, REFUSED_REQUESTS } from "./request-cases.testing.ts";
import { RequestReader } from "./request-reader.ts";

/** Host and Connection are in almost every row: the head's own line says what they come to. */
const isShown = (event: string): boolean => !/^field (?:Host|Connection): /.test(event);

for (const [name, wire, code] of REFUSED_REQUESTS)
  test(`refused: ${name}`, () => {
    const whole = hearRequests([wireOf(wire)]);
    expect(whole.end).toBe(`fault ${code}`);
    for (const [cut, pieces] of everyCut(wireOf(wire)))
      expect({ cut, events: hearRequests(pieces).events }).toEqual({ cut, events: whole.events });
  });

for (const [name, wire, want] of GOOD_REQUESTS)
  test(`read: ${name}`, () => {
    const whole = hearRequests([wireOf(wire)]);
    expect(whole.events.filter(isShown)).toEqual([...want]);
    for (const [cut, pieces] of everyCut(wireOf(wire)))
      expect({ cut, events: hearRequests(pieces).events }).toEqual({ cut, events: whole.events });
  });

const SMALL: HeadLimits = { startLine: 40, section: 64, fields: 4 };
const lineOf = (bytes: number): string => `GET /${"a".repeat(bytes - 14)} HTTP/1.1`;
const sectionOf = (bytes: number): string => `Host: a\r\nX: ${"b".repeat(bytes - 16)}\r\n\r\n`;
const fieldsOf = (count: number): string => `Host: a\r\n${"X: b\r\n".repeat(count - 1)}\r\n`;

const LIMITS: readonly (readonly [name: string, wire: (limits: HeadLimits) => string, end: string])[] = [
  ["request line at its limit", (max) => `${lineOf(max.startLine)}\r\n${sectionOf(20)}`, "open"],
  [
    "request line one over",
    (max) => `${lineOf(max.startLine + 1)}\r\n${sectionOf(20)}`,
    "fault h1.request_line_too_long",
  ],
  ["request line without an end", (max) => `GET /${"a".repeat(max.startLine * 2)}`, "fault h1.request_line_too_long"],
  ["header section at its limit", (max) => `GET / HTTP/1.1\r\n${sectionOf(max.section)}`, "open"],
  ["header section one over", (max) => `GET / HTTP/1.1\r\n${sectionOf(max.section + 1)}`, "fault h1.head_too_large"],
  [
    "field line without an end",
    (max) => `GET / HTTP/1.1\r\nX: ${"a".repeat(max.section * 2)}`,
    "fault h1.head_too_large",
  ],
  ["field name without an end", (max) => `GET / HTTP/1.1\r\n${"a".repeat(max.section * 2)}`, "fault h1.head_too_large"],
  ["as many fields as may be", (max) => `GET / HTTP/1.1\r\n${fieldsOf(max.fields)}`, "open"],
  ["one field more", (max) => `GET / HTTP/1.1\r\n${fieldsOf(max.fields + 1)}`, "fault h1.head_too_large"],
];

for (const [name, wire, end] of LIMITS) {
  test(`limits: ${name}, every cut`, () => {
    for (const [cut, pieces] of everyCut(wireOf(wire(SMALL)))) {
      expect({ cut, end: hearRequests(pieces, SMALL).end }).toEqual({ cut, end });
    }
  });
  test(`limits: ${name}, defaults`, () => {
    const bytes = wireOf(wire(DEFAULT_LIMITS));
    for (const pieces of [[bytes], byteByByte(bytes), cutAt(bytes, 8191), cutAt(bytes, 8193, 32_000)])
      expect(hearRequests(pieces).end).toBe(end);
  });
}

test("the smallest limits at which a request with both a long line and a long section passes", () => {
  const wire = wireOf(`${lineOf(40)}\r\n${sectionOf(64)}`);
  for (const [, pieces] of everyCut(wire)) expect(hearRequests(pieces, SMALL).end).toBe("open");
});

test("the limits hold for the second of two pipelined requests, wherever it lies in its chunk", () => {
  const over = `${lineOf(41)}\r\n${sectionOf(20)}`;
  for (const [, pieces] of everyCut(wireOf(`${lineOf(40)}\r\n${sectionOf(64)}${over}`)))
    expect(hearRequests(pieces, SMALL).end).toBe("fault h1.request_line_too_long");
});

test("chunk extensions: as many bytes as may be in one body, and one more", () => {
  const wire = (bytes: number): Buffer =>
    wireOf(
      `POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1;${"e".repeat(2000)}\r\nx\r\n0;${"e".repeat(bytes - 2000)}\r\n\r\n`,
    );
  for (const cut of [cutAt, byteByByte]) {
    expect(hearRequests(cut(wire(4096))).end).toBe("open");
    expect(hearRequests(cut(wire(4097))).end).toBe("fault h1.bad_request");
  }
});

test("trailers: a section and a number of fields at their limits, and over", () => {
  const wire = (trailers: string): Buffer =>
    wireOf(`POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n${trailers}\r\n`);
  for (const cut of [cutAt, byteByByte]) {
    expect(hearRequests(cut(wire("X: y\r\n".repeat(32)))).end).toBe("open");
    expect(hearRequests(cut(wire("X: y\r\n".repeat(33)))).end).toBe("fault h1.head_too_large");
    expect(hearRequests(cut(wire(`X: ${"y".repeat(8192 - 7)}\r\n`))).end).toBe("open");
    expect(hearRequests(cut(wire(`X: ${"y".repeat(8192 - 6)}\r\n`))).end).toBe("fault h1.head_too_large");
    expect(hearRequests(cut(wire("X: y".repeat(4000)))).end).toBe("fault h1.head_too_large");
  }
});

test("a reader that is used again knows nothing of the request before", () => {
  const reader = new RequestReader(DEFAULT_LIMITS);
  const first = wireOf(
    "HEAD http://A/x?y HTTP/1.0\r\nHost: a\r\nConnection: x, upgrade\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n",
  );
  reader.begin(first);
  expect(reader.read(first, 0)).toBe(first.length);
  const second = wireOf("\0");
  reader.begin(second);
  expect(reader.read(second, 0)).toBe(-2);
  const fresh = new RequestReader(DEFAULT_LIMITS);
  fresh.begin(second);
  fresh.read(second, 0);
  const shown = ({
    method,
    target,
    authority,
    version,
    queryAt,
    form,
    body,
    length,
    expectContinue,
    keepAlive,
    host,
    path,
  }: RequestReader["head"]) => ({
    method,
    target,
    authority,
    version,
    queryAt,
    form,
    body,
    length,
    expectContinue,
    keepAlive,
    host,
    path,
  });
  expect(shown(reader.head)).toEqual(shown(fresh.head));
  expect(reader.head.headers.entries()).toEqual([]);
});

test("an empty Host is refused before and after a good one", () => {
  const reader = new RequestReader(DEFAULT_LIMITS);
  for (const host of ["", "a", "", "A", ""]) {
    const wire = wireOf(`GET / HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
    reader.begin(wire);
    expect(reader.read(wire, 0)).toBe(host === "" ? -2 : wire.length);
  }
});

test("fields with underscores are dropped when they shall be, and mean nothing to the framing", () => {
  const wire = wireOf(
    "POST / HTTP/1.1\r\nHost: a\r\nContent_Length: 9\r\nX_Y: z\r\nContent-Length: 0\r\nX-Y: z\r\n\r\n",
  );
  for (const [, pieces] of everyCut(wire)) {
    const reader = new RequestReader(DEFAULT_LIMITS);
    reader.dropUnderscores = true;
    reader.begin(pieces[0]!);
    let end = -1;
    for (const piece of pieces) end = reader.read(piece, 0);
    expect(end).toBe(pieces.at(-1)!.length);
    expect(reader.head.body).toBe("none");
    expect(reader.head.headers.entries().map(([name]) => name)).toEqual(["Host", "Content-Length", "X-Y"]);
  }
});

test("a dribble of single bytes costs linear time", () => {
  const limits: HeadLimits = { startLine: 100, section: 400_000, fields: 10 };
  const time = (bytes: number): number => {
    const pieces = byteByByte(wireOf(`GET / HTTP/1.1\r\nHost: a\r\nX: ${"y".repeat(bytes)}\r\n\r\n`));
    const start = Bun.nanoseconds();
    expect(hearRequests(pieces, limits).end).toBe("open");
    return Bun.nanoseconds() - start;
  };
  time(20_000);
  // Quadratic time would be 256 times as long; 64 leaves room for a busy machine.
  expect(time(320_000)).toBeLessThan(64 * Math.max(time(20_000), 1e6));
});
