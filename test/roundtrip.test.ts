// What is read and written again means the same: messages made from the grammar go through reader, writer and reader.
import { expect, test } from "bun:test";
import fc from "fast-check";
import { cutAt, DEFAULT_LIMITS, hearRequests, hearResponses, wireOf } from "../src/http/h1/feed.testing.ts";
import {
  CHUNK_FRAME_BYTES_MAX,
  lastChunkMax,
  writeChunkHead,
  writeCrlf,
  writeLastChunk,
} from "../src/http/h1/writer.ts";
import type { HeaderBlock } from "../src/http/header-block.ts";
import type { RequestHead } from "../src/http/message.ts";
import { ResponseHead } from "../src/http/message.ts";
import { ClientInfo } from "../src/pipeline/client-info.ts";
import { type Downstream, Exchange } from "../src/pipeline/exchange.ts";
import { HEAD_EXTRA_BYTES, responseFraming, writeResponseHead } from "../src/server/h1-output.ts";
import { requestHeadMax, writeRequestHead } from "../src/upstream/h1-request.ts";

type Field = [name: string, value: string];

const TCHARS = "!#$%&'*+-.^_`|~0123456789ABCXYZabcxyz";
const PCHARS = "abcXYZ019-._~!$&'()*+,;=:@/%";
const charsOf = (chars: string, min: number, max: number): fc.Arbitrary<string> =>
  fc.string({ unit: fc.constantFrom(...chars), minLength: min, maxLength: max });

const method = fc.oneof(
  fc.constantFrom("GET", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"),
  charsOf("ABCxyz!-", 1, 12),
);
const path = charsOf(PCHARS, 0, 20).map((text) => `/${text}`);
const query = fc.option(charsOf(`${PCHARS}?`, 0, 15), { nil: null });
const target = fc.tuple(path, query).map(([p, q]) => (q === null ? p : `${p}?${q}`));
const host = fc.constantFrom("a", "Example.com", "a.b:8080", "127.0.0.1", "[::1]:81", "x-_~!");

const value = fc
  .string({
    unit: fc
      .integer({ min: 0x20, max: 0xff })
      .filter((byte) => byte !== 0x7f)
      .map((byte) => String.fromCharCode(byte)),
    maxLength: 30,
  })
  .map((text) => text.replace(/^[ \t]+|[ \t]+$/g, ""));
const endToEnd: fc.Arbitrary<Field> = fc.tuple(
  fc.oneof(
    charsOf(TCHARS, 1, 12).map((name) => `q${name}`),
    fc.constantFrom("Cookie", "accept", "X-A", "Authorization", "content-TYPE", "Range", "user-agent", "set-cookie"),
  ),
  value,
);
const hopByHop: fc.Arbitrary<Field> = fc.constantFrom<Field>(
  ["Keep-Alive", "timeout=5"],
  ["Proxy-Connection", "keep-alive"],
  ["TE", "trailers"],
  ["Upgrade", "x/1"],
  ["Proxy-Authorization", "Basic eA=="],
  ["HTTP2-Settings", "AA"],
  ["Trailer", "X-A"],
);
const forwarded: fc.Arbitrary<Field> = fc.constantFrom<Field>(
  ["X-Forwarded-For", "10.9.9.9"],
  ["x-forwarded-proto", "https"],
  ["X-Forwarded-Host", "evil"],
  ["Forwarded", "for=10.9.9.9"],
  ["X-Real-IP", "10.9.9.9"],
  ["X-Request-Id", "mine"],
);
const connection = fc.constantFrom("keep-alive", "x-a", "Keep-Alive, X-A", "close", "cookie, accept, ,x-none");
const bytes = fc.uint8Array({ maxLength: 200 }).map((all) => Buffer.from(all).latin1Slice());
const pieces = fc.array(
  bytes.filter((piece) => piece !== ""),
  { maxLength: 4 },
);
const trailer: fc.Arbitrary<Field> = fc.tuple(
  fc.oneof(
    charsOf(TCHARS, 1, 8).map((name) => `q${name}`),
    fc.constantFrom("Content-Length", "Host", "Authorization"),
  ),
  value,
);
const cuts = fc.array(fc.nat(2000), { maxLength: 6 });

const linesOf = (fields: readonly Field[]): string => fields.map(([name, text]) => `${name}: ${text}\r\n`).join("");
const chunked = (parts: readonly string[], trailers: readonly Field[]): string =>
  `${parts.map((part) => `${part.length.toString(16)};ext\r\n${part}\r\n`).join("")}0\r\n${linesOf(trailers)}\r\n`;
function cutSomewhere(wire: Buffer, at: readonly number[]): Buffer[] {
  const offsets = [...new Set(at)].filter((offset) => offset < wire.length).sort((a, b) => a - b);
  return cutAt(wire, ...offsets);
}

interface Body {
  readonly kind: "none" | "length" | "chunked";
  readonly parts: readonly string[];
  readonly trailers: readonly Field[];
}
const body: fc.Arbitrary<Body> = fc.record({
  kind: fc.constantFrom("none", "length", "chunked"),
  parts: pieces,
  trailers: fc.array(trailer, { maxLength: 3 }),
});

/** Field lines that say how the body is delimited, and the body itself. */
function framed({ kind, parts, trailers }: Body): readonly [fields: Field[], wire: string] {
  if (kind === "none") return [[], ""];
  if (kind === "chunked") return [[["Transfer-Encoding", "chunked"]], chunked(parts, trailers)];
  const all = parts.join("");
  return [[["Content-Length", String(all.length)]], all];
}

const NOBODY = new Proxy({} as Downstream, {
  get: (_, key) => {
    throw new Error(`a writer has no business with downstream.${String(key)}`);
  },
});

/** Writes a body as the drivers do: the same pieces, in the framing of the head. */
function writeBody(kind: string, parts: readonly string[], block: HeaderBlock | null): string {
  if (kind === "none") return "";
  if (kind !== "chunked") return parts.join("");
  const out = Buffer.alloc(parts.join("").length + CHUNK_FRAME_BYTES_MAX * parts.length + lastChunkMax(block));
  let at = 0;
  for (const part of parts) {
    at = writeChunkHead(out, at, part.length);
    at += out.latin1Write(part, at);
    at = writeCrlf(out, at);
  }
  return out.latin1Slice(0, writeLastChunk(out, at, block));
}

/** The head as it goes to a server. */
function writeRequest(head: RequestHead): string {
  const x = new Exchange(head, new ResponseHead(), NOBODY, new ClientInfo("192.0.2.1"), ":80", 0);
  x.requestId = "id-1";
  const room = requestHeadMax(x, null);
  const out = Buffer.alloc(room + 1000, 0xee);
  const end = writeRequestHead(out, 0, x, null);
  expect(end).toBeLessThanOrEqual(room);
  return out.latin1Slice(0, end);
}

// Spelt out here, so that the test does not believe the tables of the code.
const HOP: readonly string[] =
  "connection keep-alive proxy-connection te trailer transfer-encoding upgrade proxy-authenticate proxy-authorization proxy-authentication-info http2-settings".split(
    " ",
  );
const SAID_BY_PROXY: readonly string[] =
  "forwarded x-forwarded-for x-forwarded-proto x-forwarded-host x-forwarded-port x-real-ip x-request-id via".split(" ");
const KEPT_ALTHOUGH_NAMED: readonly string[] = [
  "cookie",
  "authorization",
  "content-type",
  "set-cookie",
  "content-length",
];
const NOT_IN_TRAILERS: readonly string[] = ["content-length", "host", "authorization"];

function crossing(fields: readonly Field[], without: readonly string[]): Field[] {
  const named = fields
    .filter(([name]) => name.toLowerCase() === "connection")
    .flatMap(([, text]) => text.split(",").map((member) => member.trim().toLowerCase()))
    .filter((name) => !KEPT_ALTHOUGH_NAMED.includes(name));
  const dropped = [...HOP, ...without, ...named];
  return fields.filter(([name]) => !dropped.includes(name.toLowerCase()));
}
const without = (fields: readonly Field[], names: readonly string[]): Field[] =>
  fields.filter(([name]) => !names.includes(name.toLowerCase()));

test("requests: the same method, target, fields, body and trailers, whatever the cuts", () => {
  const request = fc.record({
    method,
    target,
    host,
    isAbsolute: fc.boolean(),
    fields: fc.array(fc.oneof({ weight: 4, arbitrary: endToEnd }, hopByHop, forwarded), { maxLength: 12 }),
    connection: fc.option(connection, { nil: null }),
    body,
    cuts,
    cutsAgain: cuts,
  });
  fc.assert(
    fc.property(request, (made) => {
      const [framing, content] = framed(made.body);
      const own: Field[] = made.connection === null ? made.fields : [...made.fields, ["Connection", made.connection]];
      const fields: Field[] = [["Host", made.host], ...own, ...framing];
      const asked = made.isAbsolute ? `http://${made.host}${made.target}` : made.target;
      const wire = wireOf(`${made.method} ${asked} HTTP/1.1\r\n${linesOf(fields)}\r\n${content}`);

      const heard = hearRequests(cutSomewhere(wire, made.cuts));
      const first = heard.messages[0]!;
      expect(heard.messages).toHaveLength(1);
      expect([first.complete, first.fields, first.facts.target]).toEqual([true, fields, made.target]);

      const again = wireOf(writeRequest(heard.head) + writeBody(first.facts.body, made.body.parts, first.trailerBlock));
      const forwardedHeard = hearRequests(cutSomewhere(again, made.cutsAgain));
      const second = forwardedHeard.messages[0]!;
      expect(forwardedHeard.end).toBe("open"); // whatever the client's connection does, the server's lasts
      expect(forwardedHeard.messages).toHaveLength(1);
      expect([second.facts.method, second.facts.target]).toEqual([made.method, made.target]);
      expect(second.facts.authority).toBe(made.host.toLowerCase());
      expect(without(second.fields, [...SAID_BY_PROXY, ...HOP, "host"])).toEqual(
        crossing(fields, [...SAID_BY_PROXY, "host"]),
      );
      expect(second.body).toBe(made.body.kind === "none" ? "" : made.body.parts.join(""));
      expect(second.trailers).toEqual(made.body.kind === "chunked" ? without(made.body.trailers, NOT_IN_TRAILERS) : []);
      // What the proxy says of the client stands there once, whatever the client said.
      for (const [name, text] of [
        ["x-forwarded-for", "192.0.2.1"],
        ["x-request-id", "id-1"],
        ["x-forwarded-proto", "http"],
      ])
        expect(second.fields.filter((field) => field[0].toLowerCase() === name).map((field) => field[1])).toEqual([
          text!,
        ]);
    }),
    { numRuns: 500 },
  );
});

test("responses: the same status, reason, fields, body and trailers, for every kind of client", () => {
  const response = fc.record({
    status: fc.constantFrom(200, 201, 204, 206, 301, 304, 404, 500, 599),
    reason: value,
    method: fc.constantFrom("GET", "GET", "HEAD"),
    fields: fc.array(fc.oneof({ weight: 4, arbitrary: endToEnd }, hopByHop), { maxLength: 12 }),
    connection: fc.option(connection, { nil: null }),
    body,
    clientVersion: fc.constantFrom(10 as const, 11 as const),
    cuts,
    cutsAgain: cuts,
  });
  fc.assert(
    fc.property(response, (made) => {
      const isBodyless = made.method === "HEAD" || made.status === 204 || made.status === 304;
      const [framing, content] = made.status === 204 ? [[], ""] : framed(made.body);
      const own: Field[] = made.connection === null ? made.fields : [...made.fields, ["Connection", made.connection]];
      const fields: Field[] = [...own, ...framing];
      const head = `HTTP/1.1 ${made.status} ${made.reason}\r\n${linesOf(fields)}\r\n`;
      const wire = wireOf(isBodyless ? head : head + content);

      const heard = hearResponses(cutSomewhere(wire, made.cuts), [made.method]);
      const first = heard.messages[0]!;
      expect(heard.messages).toHaveLength(1);
      expect([first.complete, first.fields, first.facts.reason]).toEqual([true, fields, made.reason]);

      const framingOut = responseFraming(made.method === "HEAD", made.clientVersion, heard.head);
      const room = heard.head.headers.maxLength() + HEAD_EXTRA_BYTES + made.reason.length;
      const out = Buffer.alloc(room + 1000, 0xee);
      const end = writeResponseHead(out, 0, heard.head, framingOut, framingOut === "close" ? "close" : "");
      expect(end).toBeLessThanOrEqual(room);
      const parts = isBodyless || made.body.kind === "none" ? [] : made.body.parts;
      const again = wireOf(
        out.latin1Slice(0, end) +
          (isBodyless ? "" : writeBody(framingOut === "empty" ? "none" : framingOut, parts, first.trailerBlock)),
      );

      const forwardedHeard = hearResponses(cutSomewhere(again, made.cutsAgain), [made.method]);
      const second = forwardedHeard.messages[0]!;
      expect(forwardedHeard.messages).toHaveLength(1);
      expect(second.complete).toBe(true);
      expect([second.facts.status, second.facts.reason]).toEqual([made.status, made.reason]);
      expect(second.body).toBe(parts.join(""));
      expect(without(second.fields, [...HOP, "via", "date"])).toEqual(crossing(fields, ["date"]));
      expect(second.trailers).toEqual(
        framingOut === "chunked" && made.body.kind === "chunked" ? without(made.body.trailers, NOT_IN_TRAILERS) : [],
      );
    }),
    { numRuns: 500 },
  );
});

test("edits cannot change how a message is delimited", () => {
  const wire = wireOf(
    "POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nConnection: x-user\r\nX-User: eve\r\n\r\nhello",
  );
  for (const edit of [
    (headers: HeaderBlock) => headers.remove("content-length"),
    (headers: HeaderBlock) => headers.set("Content-Length", "0"),
    (headers: HeaderBlock) => headers.set("Transfer-Encoding", "chunked"),
    (headers: HeaderBlock) => headers.add("Content-Length", "7"),
    (headers: HeaderBlock) => headers.set("Connection", "content-length"),
  ]) {
    const { head } = hearRequests([Buffer.from(wire)]);
    edit(head.headers);
    const heard = hearRequests([wireOf(`${writeRequest(head)}hello`)]);
    expect(heard.end).toBe("open");
    expect(heard.messages.map((message) => [message.facts.body, message.body])).toEqual([["length", "hello"]]);
  }
  const answer = wireOf("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello");
  for (const edit of [
    (headers: HeaderBlock) => headers.remove("content-length"),
    (headers: HeaderBlock) => headers.set("Content-Length", "0"),
    (headers: HeaderBlock) => headers.add("Transfer-Encoding", "chunked"),
  ]) {
    const { head } = hearResponses([Buffer.from(answer)], ["GET"]);
    edit(head.headers);
    const out = Buffer.alloc(1000);
    const end = writeResponseHead(out, 0, head, "length", "");
    const heard = hearResponses([wireOf(`${out.latin1Slice(0, end)}hello`)], ["GET"]);
    expect(heard.end).toBe("open");
    expect(heard.messages.map((message) => [message.facts.body, message.body])).toEqual([["length", "hello"]]);
  }
});

test("a client cannot take away what the proxy has added by naming it in Connection", () => {
  const wire = wireOf("GET / HTTP/1.1\r\nHost: a\r\nConnection: x-user, close\r\nX-User: eve\r\n\r\n");
  const { head } = hearRequests([wire], DEFAULT_LIMITS);
  head.headers.set("x-user", "ann");
  const { messages } = hearRequests([wireOf(writeRequest(head))]);
  expect(messages[0]!.fields.filter(([name]) => name.toLowerCase() === "x-user")).toEqual([["x-user", "ann"]]);
});

test("a plugin's method, target and status go out in place of those received", () => {
  const edits: readonly (readonly [line: string, edit: (head: RequestHead) => void])[] = [
    ["GET /a?b HTTP/1.1", () => {}],
    ["GETS /a?b HTTP/1.1", (head) => (head.method = "GETS")],
    ["G /a?b HTTP/1.1", (head) => (head.method = "G")],
    ["GET /other HTTP/1.1", (head) => (head.target = "/other")],
  ];
  for (const [line, edit] of edits) {
    const { head } = hearRequests([wireOf("GET /a?b HTTP/1.1\r\nHost: a\r\n\r\n")]);
    edit(head);
    expect(writeRequest(head).split("\r\n").slice(0, 2)).toEqual([line, "Host: a"]);
  }
  for (const [wire, status, line] of [
    ["HTTP/1.1 200 Fine", 200, "HTTP/1.1 200 Fine"],
    ["HTTP/1.1 200 OK", 503, "HTTP/1.1 503 OK"],
    ["HTTP/1.1 404", 404, "HTTP/1.1 404 "],
    ["HTTP/1.0 404 Gone", 404, "HTTP/1.1 404 Gone"],
  ] as const) {
    const { head } = hearResponses([wireOf(`${wire}\r\nContent-Length: 0\r\n\r\n`)], ["GET"]);
    head.status = status;
    const out = Buffer.alloc(1000);
    const text = out.latin1Slice(0, writeResponseHead(out, 0, head, "none", ""));
    expect(text.split("\r\n").slice(0, 2)).toEqual([line, "Content-Length: 0"]);
  }
});
