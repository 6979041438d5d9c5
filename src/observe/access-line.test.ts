// Lines of layer 4; those of requests are in access-log.test.ts.
import { expect, test } from "bun:test";
import fc from "fast-check";
import { LINE_BYTES_MAX, type LineFormat, LineWriter, type SessionEntry } from "./access-line.ts";

const NOW = Date.UTC(2026, 1, 3, 4, 5, 6, 78);
const SESSION: SessionEntry = {
  protocol: "tcp",
  ip: "192.0.2.7",
  bytesIn: 1874,
  bytesOut: 93_211,
  durationMs: 81_234.5009,
  upstreamMs: 0.731,
  upstream: "postgres",
  server: "10.0.0.5:5432",
  listener: ":5432",
  fault: "",
};

function line(format: LineFormat, changes: Partial<SessionEntry> = {}): string {
  const out = Buffer.alloc(2 * LINE_BYTES_MAX, 0xaa);
  const end = new LineWriter(format).writeSession(out, 7, { ...SESSION, ...changes }, NOW);
  expect(end - 7).toBeLessThanOrEqual(LINE_BYTES_MAX);
  expect(out[end]).toBe(0xaa);
  return out.toString("utf8", 7, end);
}

const TIME = "[03/Feb/2026:04:05:06 +0000]";
const CASES: readonly (readonly [name: string, LineFormat, Partial<SessionEntry>, want: string])[] = [
  [
    "an orderly end",
    "json",
    {},
    '{"time":"2026-02-03T04:05:06.078Z","protocol":"tcp","ip":"192.0.2.7","bytesIn":1874,"bytesOut":93211,"durationMs":81234.501,' +
      '"listener":":5432","upstream":"postgres","server":"10.0.0.5:5432","upstreamMs":0.731}',
  ],
  [
    "no server",
    "json",
    { server: "", upstreamMs: -1, bytesIn: 0, bytesOut: 0, durationMs: 0, fault: "upstream.none" },
    '{"time":"2026-02-03T04:05:06.078Z","protocol":"tcp","ip":"192.0.2.7","bytesIn":0,"bytesOut":0,"durationMs":0.000,' +
      '"listener":":5432","upstream":"postgres","fault":"upstream.none"}',
  ],
  [
    "datagrams",
    "json",
    { protocol: "udp", listener: "udp :53", upstreamMs: -1, ip: "2001:db8::1" },
    '{"time":"2026-02-03T04:05:06.078Z","protocol":"udp","ip":"2001:db8::1","bytesIn":1874,"bytesOut":93211,"durationMs":81234.501,' +
      '"listener":"udp :53","upstream":"postgres","server":"10.0.0.5:5432"}',
  ],
  ["common", "common", {}, `192.0.2.7 - - ${TIME} "TCP 10.0.0.5:5432" - 93211`],
  ["combined", "combined", {}, `192.0.2.7 - - ${TIME} "TCP 10.0.0.5:5432" - 93211 "-" "-"`],
  ["common without a server", "common", { server: "", protocol: "udp" }, `192.0.2.7 - - ${TIME} "UDP -" - 93211`],
  [
    "a file's name",
    "common",
    { server: 'unix:/a "b"\\\n' },
    `192.0.2.7 - - ${TIME} "TCP unix:/a \\"b\\"\\\\\\x0a" - 93211`,
  ],
];
for (const [name, format, changes, want] of CASES) test(name, () => expect(line(format, changes)).toBe(`${want}\n`));

test("names from the configuration are escaped in JSON, and cut where they are long", () => {
  const entry = JSON.parse(
    line("json", { upstream: 'a"b\\\né😀', server: "s".repeat(500), listener: "unix:/\x1b[2J" }),
  );
  expect(entry.upstream).toBe('a"b\\\né😀');
  expect(entry.listener).toBe("unix:/\x1b[2J");
  expect(entry.server).toBe(`${"s".repeat(100)}…`);
});

test("whatever it is made of, a line is one line, short enough, and valid", () => {
  const text = fc.string({ unit: "binary", maxLength: 600 });
  const number = fc.oneof(fc.double(), fc.nat(), fc.constantFrom(-1, Number.NaN, Number.POSITIVE_INFINITY));
  const entry = fc.record({
    protocol: fc.constantFrom<SessionEntry["protocol"][]>("tcp", "udp"),
    ip: text,
    bytesIn: number,
    bytesOut: number,
    durationMs: number,
    upstreamMs: number,
    upstream: text,
    server: text,
    listener: text,
    fault: text,
  });
  fc.assert(
    fc.property(entry, fc.constantFrom<LineFormat[]>("json", "combined", "common"), (session, format) => {
      const text = line(format, session);
      expect(text.indexOf("\n")).toBe(text.length - 1);
      if (format === "json") expect(JSON.parse(text)).toMatchObject({ protocol: session.protocol });
      else expect(text).toMatch(/^[\x20-\x7e…]+\n$/);
    }),
    { numRuns: 300 },
  );
});
