import { expect, test } from "bun:test";
import { byteByByte, cutAt, everyCut, hearResponses, wireOf } from "./feed.testing.ts";
import { BROKEN_BODIES, BROKEN_HEADS, GOOD_RESPONSES } from "./response-cases.testing.ts";

for (const [kind, rows] of [
  ["head", BROKEN_HEADS],
  ["body", BROKEN_BODIES],
] as const)
  for (const { name, wire, methods = ["GET"] } of rows)
    test(`refused ${kind}: ${name}`, () => {
      const whole = hearResponses([wireOf(wire)], methods);
      expect(whole.end).toBe("fault upstream.bad_response");
      expect(whole.messages.some((message) => message.complete && message.facts.status >= 200)).toBe(false);
      for (const [cut, pieces] of everyCut(wireOf(wire)))
        expect({ cut, events: hearResponses(pieces, methods).events }).toEqual({ cut, events: whole.events });
    });

for (const [name, methods, wire, want] of GOOD_RESPONSES)
  test(`read: ${name}`, () => {
    for (const [cut, pieces] of everyCut(wireOf(wire)))
      expect({ cut, events: hearResponses(pieces, methods).events }).toEqual({ cut, events: [...want] });
  });

for (const [name, methods, wire, surplus] of [
  ["behind a HEAD", ["HEAD"], "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", "hello"],
  ["behind a 204", ["GET"], "HTTP/1.1 204 No Content\r\n\r\nhello", "hello"],
  ["behind a 304", ["GET"], "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\nhello", "hello"],
  ["behind a length", ["GET"], "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello!", "!"],
  ["behind the last chunk", ["GET"], "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nx", "x"],
] as const)
  test(`bytes ${name} belong to no answer`, () => {
    const heard = hearResponses([wireOf(wire)], methods);
    expect(heard.messages.map((message) => message.complete)).toEqual([true]);
    expect(heard.end).toBe(`surplus ${surplus}`);
  });

const ok = (fields: string): Buffer => wireOf(`HTTP/1.1 200 OK\r\n${fields}\r\n`);
for (const [name, wire, end] of [
  ["status line at its limit", wireOf(`HTTP/1.1 200 ${"r".repeat(8192 - 13)}\r\nContent-Length: 0\r\n\r\n`), "open"],
  [
    "status line one over",
    wireOf(`HTTP/1.1 200 ${"r".repeat(8193 - 13)}\r\nContent-Length: 0\r\n\r\n`),
    "fault upstream.bad_response",
  ],
  ["header section at its limit", ok(`Content-Length: 0\r\nX: ${"y".repeat(163_840 - 26)}\r\n`), "open"],
  [
    "header section one over",
    ok(`Content-Length: 0\r\nX: ${"y".repeat(163_840 - 25)}\r\n`),
    "fault upstream.head_too_large",
  ],
  ["as many fields as may be", ok(`Content-Length: 0\r\n${"X: y\r\n".repeat(255)}`), "open"],
  ["one field more", ok(`Content-Length: 0\r\n${"X: y\r\n".repeat(256)}`), "fault upstream.head_too_large"],
  [
    "a head without an end",
    wireOf(`HTTP/1.1 200 OK\r\n${"X: y\r\n".repeat(200)}X: ${"y".repeat(170_000)}`),
    "fault upstream.head_too_large",
  ],
] as const)
  test(`limits: ${name}`, () => {
    for (const pieces of [[wire], byteByByte(wire), cutAt(wire, 1), cutAt(wire, wire.length - 1)])
      expect(hearResponses(pieces, ["GET"]).end).toBe(end);
  });
