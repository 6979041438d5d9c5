import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { tryLaw } from "../core/fuzz.testing.ts";
import { clientHelloLaw } from "./client-hello.fuzz.ts";
import {
  CAPTURED,
  extension,
  type HelloParts,
  helloMessage,
  protocols,
  record,
  records,
  serverName,
  vector8,
  vector16,
  versions,
} from "./client-hello.testing.ts";
import { ClientHelloReader, type ClientHelloResult, HELLO_BYTES_MAX, readClientHello } from "./client-hello.ts";
import { ALERT, alertRecord } from "./tls-alert.ts";

/** A result in one line. */
function show(result: ClientHelloResult): string {
  if (result.kind === "invalid") return `invalid ${result.alert}: ${result.reason}`;
  if (result.kind !== "hello") return result.kind;
  const numbers = result.versions.map((version) => version.toString(16)).join(",");
  return `hello ${result.serverName} [${result.alpn.join(",")}] ${numbers}${result.echPresent ? " ech" : ""}`;
}

describe("hellos of real clients", () => {
  for (const { client, bytes, serverName: name, alpn, versions: numbers, echPresent } of CAPTURED) {
    const want: ClientHelloResult = { kind: "hello", serverName: name, alpn, versions: numbers, echPresent };
    test(client, () => expect(readClientHello(bytes)).toEqual(want));

    test(`${client}, at every cut`, () => {
      for (let cut = 0; cut < bytes.length; cut += 1) {
        const reader = new ClientHelloReader();
        expect(reader.push(bytes.subarray(0, cut) as Buffer).kind).toBe("more");
        expect(reader.push(bytes.subarray(cut) as Buffer).kind).toBe("hello");
        expect(reader.bytes.equals(bytes)).toBe(true);
      }
    });

    test(`${client}, byte by byte and in many records`, () => {
      const message = bytes.subarray(5) as Buffer;
      for (const size of [Math.ceil(message.length / 16), 200, 1000]) {
        const cut = records(message, size);
        if (cut.length - message.length > 16 * 5) continue;
        const reader = new ClientHelloReader();
        for (let at = 0; at < cut.length - 1; at += 1)
          expect(reader.push(cut.subarray(at, at + 1) as Buffer).kind).toBe("more");
        expect(reader.push(cut.subarray(cut.length - 1) as Buffer)).toEqual(want);
        expect(reader.bytes.equals(cut)).toBe(true);
      }
    });
  }
});

const PLAIN = record(helloMessage({ extensions: [serverName("a.example")] }));
const bytes = (...numbers: readonly number[]): Buffer => Buffer.from(numbers);
const long = (n: number): Buffer => Buffer.alloc(n, 0x61);
const filling = (n: number): Buffer => extension(21, Buffer.alloc(n));

const HELLOS: readonly (readonly [name: string, parts: HelloParts, want: string])[] = [
  ["no extensions at all", { extensions: null }, "hello null [] 303"],
  ["an empty list of them", { extensions: [] }, "hello null [] 303"],
  ["TLS 1.0", { version: 0x0301, extensions: null }, "hello null [] 301"],
  ["SSL 3.0", { version: 0x0300, extensions: null }, "hello null [] 300"],
  ["a version of the future without the extension", { version: 0x0304 }, "hello null [] 303"],
  ["another major version", { version: 0x0400 }, "invalid 70: version 0x400"],
  ["a name in upper case", { extensions: [serverName("WWW.Example.COM")] }, "hello www.example.com [] 303"],
  ["an underscore", { extensions: [serverName("my_app")] }, "hello my_app [] 303"],
  ["an A-label", { extensions: [serverName("xn--bcher-kva.example")] }, "hello xn--bcher-kva.example [] 303"],
  ["protocols", { extensions: [protocols("h2", "http/1.1", "\xff")] }, "hello null [h2,http/1.1,\xff] 303"],
  ["a protocol of GREASE", { extensions: [protocols("\x0a\x0a", "h2", "\x0a\x1a")] }, "hello null [h2,\x0a\x1a] 303"],
  ["versions with GREASE", { extensions: [versions(0x8a8a, 0x0304, 0x0303)] }, "hello null [] 304,303"],
  ["GREASE alone", { extensions: [versions(0x2a2a)] }, "hello null [] "],
  [
    "extensions of GREASE",
    { extensions: [extension(0x0a0a, bytes()), extension(0xfafa, bytes(0))] },
    "hello null [] 303",
  ],
  ["an encrypted hello", { extensions: [serverName("a.b"), extension(0xfe0d, bytes(1))] }, "hello a.b [] 303 ech"],
  ["pre_shared_key at the end", { extensions: [serverName("a.b"), extension(41, bytes(1))] }, "hello a.b [] 303"],
  [
    "pre_shared_key before another",
    { extensions: [extension(41, bytes(1)), serverName("a.b")] },
    "invalid 47: pre_shared_key is not the last",
  ],
  ["an extension twice", { extensions: [serverName("a.b"), serverName("c.d")] }, "invalid 47: the extension 0 twice"],
  ["a long session id", { sessionId: long(33) }, "invalid 50: the session id is too long"],
  ["no suites", { suites: bytes() }, "invalid 50: no list of cipher suites"],
  ["half a suite", { suites: bytes(1) }, "invalid 50: no list of cipher suites"],
  ["no compressions", { compressions: bytes() }, "invalid 50: no list of compressions"],
  ["compression only", { compressions: bytes(1) }, "invalid 47: every compression but none at all"],
  ["bytes behind the extensions", { tail: bytes(0) }, "invalid 50: bytes behind the extensions"],
  [
    "a list of extensions cut short",
    { extensions: null, tail: bytes(0, 9, 0) },
    "invalid 50: a length beyond its field",
  ],
  ["an extension beyond the list", { extensions: [bytes(0, 0, 0, 9, 1)] }, "invalid 50: a length beyond its field"],
  ["an empty server name", { extensions: [serverName("")] }, "invalid 47: the server name is not a host name"],
  ["an address", { extensions: [serverName("192.0.2.1")] }, "invalid 47: the server name is not a host name"],
  ["an address of IPv6", { extensions: [serverName("::1")] }, "invalid 47: the server name is not a host name"],
  ["a trailing dot", { extensions: [serverName("a.example.")] }, "invalid 47: the server name is not a host name"],
  ["a NUL", { extensions: [serverName("a.example\0.evil")] }, "invalid 47: the server name is not a host name"],
  ["not ASCII", { extensions: [serverName("b\xfccher.example")] }, "invalid 47: the server name is not a host name"],
  ["no name in the list", { extensions: [extension(0, vector16())] }, "invalid 50: a length beyond its field"],
  ["no list", { extensions: [extension(0, bytes())] }, "invalid 50: a length beyond its field"],
  ["a name of another kind", { extensions: [serverName("a", 1)] }, "invalid 50: a server name of the unknown kind 1"],
  [
    "two names",
    { extensions: [extension(0, vector16(bytes(0), vector16(long(3)), bytes(0), vector16(long(3))))] },
    "invalid 50: bytes behind the server name",
  ],
  [
    "bytes behind the list of names",
    { extensions: [extension(0, Buffer.concat([vector16(bytes(0), vector16(long(3))), bytes(0)]))] },
    "invalid 50: bytes behind the server name",
  ],
  ["no protocols", { extensions: [protocols()] }, "invalid 50: an empty list of protocols"],
  ["a protocol without a name", { extensions: [protocols("h2", "")] }, "invalid 50: a protocol without a name"],
  [
    "bytes behind the protocols",
    { extensions: [extension(16, Buffer.concat([vector16(vector8(long(2))), bytes(0)]))] },
    "invalid 50: bytes behind the protocols",
  ],
  ["no versions", { extensions: [versions()] }, "invalid 50: no list of versions"],
  ["half a version", { extensions: [extension(43, vector8(bytes(3)))] }, "invalid 50: no list of versions"],
  [
    "bytes behind the versions",
    { extensions: [extension(43, bytes(2, 3, 4, 0))] },
    "invalid 50: bytes behind the versions",
  ],
];
describe("hellos", () => {
  for (const [name, parts, want] of HELLOS) {
    test(name, () => {
      const message = helloMessage(parts);
      expect(show(readClientHello(record(message)))).toBe(want);
      expect(show(readClientHello(records(message, Math.ceil(message.length / 3))))).toBe(want);
    });
  }
});

const HEADER_HELLO = [1, 0, 0, 40] as const;
const STARTS: readonly (readonly [name: string, start: Buffer, want: string])[] = [
  ["nothing", bytes(), "more"],
  ["HTTP", Buffer.from("GET / HTTP/1.1\r\n\r\n"), "not-tls"],
  ["the first byte of HTTP", Buffer.from("G"), "not-tls"],
  ["SSH", Buffer.from("SSH-2.0-x\r\n"), "not-tls"],
  ["a hello of SSL 2.0", bytes(0x80, 46, 1, 3, 1, 0, 21, 0, 0, 0, 16), "not-tls"],
  ["an alert", bytes(21, 3, 3, 0, 2, 2, 40), "not-tls"],
  ["a handshake record of something else", bytes(22, 2), "not-tls"],
  ["half a header", bytes(22, 3, 1, 0), "more"],
  ["any minor version", bytes(22, 3, 0x7f, 0, 4, ...HEADER_HELLO), "more"],
  ["an empty record", bytes(22, 3, 1, 0, 0), "invalid 10: an empty handshake record"],
  ["an empty record behind one", bytes(22, 3, 1, 0, 1, 1, 22, 3, 1, 0, 0), "invalid 10: an empty handshake record"],
  ["the largest record", bytes(22, 3, 1, 0x40, 0, ...HEADER_HELLO.slice(0, 2)), "more"],
  ["a record too large", bytes(22, 3, 1, 0x40, 1), "invalid 22: a record of 16385 bytes"],
  ["another message", bytes(22, 3, 1, 0, 4, 2), "invalid 10: a handshake message 2"],
  ["a hello too large", bytes(22, 3, 1, 0, 4, 1, 0, 0x40, 1), "invalid 47: a hello of 16385 bytes"],
  ["another record within", bytes(22, 3, 1, 0, 1, 1, 23), "invalid 10: another record within the hello"],
  [
    "another protocol within",
    bytes(22, 3, 1, 0, 1, 1, 22, 4),
    "invalid 70: a record of another protocol within the hello",
  ],
  ["the header in four records", Buffer.concat([1, 0, 0, 40].map((byte) => record(bytes(byte)))), "more"],
  [
    "seventeen records",
    Buffer.concat([record(bytes(1, 0, 1, 0)), ...Array.from({ length: 16 }, () => record(bytes(0)))]),
    "invalid 47: a hello in more than 16 records",
  ],
  [
    "another message behind it in its record",
    record(Buffer.concat([helloMessage(), bytes(1)])),
    "invalid 10: something follows the hello in its record",
  ],
  [
    "another message announced behind it in its record",
    record(Buffer.concat([helloMessage(), bytes(1)])).subarray(0, -1) as Buffer,
    "invalid 10: something follows the hello in its record",
  ],
  ["early data behind it", Buffer.concat([PLAIN, record(long(9), 23)]), "hello a.example [] 303"],
  ["garbage behind it", Buffer.concat([PLAIN, long(9)]), "hello a.example [] 303"],
];
describe("starts", () => {
  for (const [name, start, want] of STARTS) test(name, () => expect(show(readClientHello(start))).toBe(want));

  test("the largest hello, in as many records as it may", () => {
    const rest = HELLO_BYTES_MAX - (helloMessage({ extensions: [filling(0)] }).length - 4);
    const message = helloMessage({ extensions: [filling(rest)] });
    expect(message.length).toBe(HELLO_BYTES_MAX + 4);
    expect(show(readClientHello(records(message, 1025)))).toBe("hello null [] 303");
    expect(show(readClientHello(records(message, 1024)))).toBe("invalid 47: a hello in more than 16 records");
  });

  test("pieces are kept with what follows the hello", () => {
    const reader = new ClientHelloReader();
    expect(reader.bytes.length).toBe(0);
    expect(reader.push(PLAIN.subarray(0, 3) as Buffer).kind).toBe("more");
    expect(reader.push(Buffer.concat([PLAIN.subarray(3), long(5000)])).kind).toBe("hello");
    expect(reader.bytes.equals(Buffer.concat([PLAIN, long(5000)]))).toBe(true);
  });
});

test("whatever a hello says is read back, however it is cut", () => {
  const label = fc.stringMatching(/^[a-z_][a-z0-9_]{0,20}$/);
  const name = fc.option(fc.array(label, { minLength: 1, maxLength: 5 }).map((labels) => labels.join(".")));
  const protocol = fc.string({ minLength: 1, maxLength: 20, unit: "binary-ascii" }).filter((text) => text.length !== 2);
  fc.assert(
    fc.property(name, fc.array(protocol, { maxLength: 5 }), fc.integer({ min: 20, max: 400 }), (host, alpn, size) => {
      const extensions = [
        ...(host === null ? [] : [serverName(host)]),
        ...(alpn.length === 0 ? [] : [protocols(...alpn)]),
        versions(0x0304),
      ];
      const message = helloMessage({ extensions });
      const result = readClientHello(records(message, Math.max(size, Math.ceil(message.length / 16))));
      expect(result).toEqual({ kind: "hello", serverName: host, alpn, versions: [0x0304], echPresent: false });
    }),
  );
});

test("the law of the fuzzer holds, and every kind of result comes up", () => {
  const kinds = new Map<string, number>();
  tryLaw(
    "client hello",
    (rng) => {
      const kind = clientHelloLaw(rng);
      kinds.set(kind, (kinds.get(kind) ?? 0) + 1);
    },
    1,
    1500,
  );
  expect([...kinds.keys()].sort()).toEqual(["hello", "invalid", "more", "not-tls"]);
});

test("an alert", () => expect([...alertRecord(ALERT.unrecognizedName)]).toEqual([21, 3, 3, 0, 2, 2, 112]));
