import { expect, test } from "bun:test";
import fc from "fast-check";
import { type Rng, tryLaw } from "../core/fuzz.testing.ts";
import { crc32c } from "./crc32c.ts";
import { proxyHeaderLaw } from "./proxy-protocol.fuzz.ts";
import { readProxyHeader, writeProxyHeader } from "./proxy-protocol.ts";

const hex = (text: string): Buffer => Buffer.from(text.replaceAll(" ", ""), "hex");
const latin1 = (text: string): Buffer => Buffer.from(text, "latin1");
const SIGNATURE = "0d0a0d0a000d0a515549540a";
/** A header of version 2 with the right length: version and command, family and transport, and what follows. */
const v2 = (command: string, transport: string, rest: string): Buffer => {
  const body = hex(rest);
  const length = body.length.toString(16).padStart(4, "0");
  return Buffer.concat([hex(SIGNATURE + command + transport + length), body]);
};
const V4 = "c0000201 0a000002 3039 01bb"; // 192.0.2.1:12345 → 10.0.0.2:443
const V6 = `20010db8${"00".repeat(11)}01 20010db8${"00".repeat(11)}02 3039 01bb`;
const MAPPED = `${"00".repeat(10)}ffffc0000201 ${"00".repeat(10)}ffff0a000002 3039 01bb`;
const UNIX = `${Buffer.from("/run/a").toString("hex").padEnd(216, "0")}${"00".repeat(108)}`;

/** One line for each outcome. */
function show(bytes: Buffer): string {
  const result = readProxyHeader(bytes);
  switch (result.kind) {
    case "header": {
      const { source, destination, used } = result;
      if (source === null || destination === null) return `unknown, ${used}`;
      return `${source.address} ${source.port} > ${destination.address} ${destination.port}, ${used}`;
    }
    case "more":
      return result.begun ? "more" : "undecided";
    case "invalid":
      return `invalid: ${result.reason}`;
    case "absent":
      return "absent";
  }
}

const V4_SEEN = "192.0.2.1 12345 > 10.0.0.2 443";
const V6_SEEN = "2001:db8::1 12345 > 2001:db8::2 443";
const LONGEST =
  "PROXY UNKNOWN ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n";
const NO_PORT = "invalid: not an address or port of TCP4";
const NO_V6 = "invalid: not an address or port of TCP6";

/** The checksum covers the whole header, with itself as zeros. */
const withChecksum = (header: Buffer, at: number, xor = 0): Buffer => {
  const bytes = Buffer.from(header);
  bytes.writeUInt32BE((crc32c(bytes, 0, bytes.length, at) ^ xor) >>> 0, at);
  return bytes;
};
const CHECKED = v2("21", "11", `${V4} 030004 00000000`);

const CASES: readonly (readonly [name: string, bytes: Buffer, want: string])[] = [
  ["v1 TCP4", latin1("PROXY TCP4 192.0.2.1 10.0.0.2 12345 443\r\n"), `${V4_SEEN}, 41`],
  [
    "v1 TCP4, largest",
    latin1("PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n"),
    "255.255.255.255 65535 > 255.255.255.255 65535, 56",
  ],
  ["v1 TCP4, port 0", latin1("PROXY TCP4 192.0.2.1 10.0.0.2 0 0\r\n"), "192.0.2.1 0 > 10.0.0.2 0, 35"],
  ["v1 TCP6", latin1("PROXY TCP6 2001:db8::1 2001:DB8:0::2 12345 443\r\n"), `${V6_SEEN}, 48`],
  ["v1 TCP6, mapped", latin1("PROXY TCP6 ::ffff:192.0.2.1 ::ffff:10.0.0.2 12345 443\r\n"), `${V4_SEEN}, 55`],
  ["v1 UNKNOWN", latin1("PROXY UNKNOWN\r\n"), "unknown, 15"],
  ["v1 UNKNOWN with more, of the longest kind", latin1(LONGEST), "unknown, 107"],
  ["v1, then data", latin1("PROXY UNKNOWN\r\nGET / HTTP/1.1\r\n\r\n"), "unknown, 15"],
  ["v1, 108 bytes", latin1(LONGEST.replace("\r\n", "0\r\n")), "invalid: no line end within 107 bytes"],
  ["v1, endless", latin1(`PROXY UNKNOWN ${"x".repeat(5000)}`), "invalid: no line end within 107 bytes"],
  ["v1, lone line feed", latin1("PROXY UNKNOWN\n"), "invalid: a line feed without a carriage return"],
  ["v1, lone carriage return", latin1("PROXY UNKNOWN\rx"), "invalid: a carriage return without a line feed"],
  ["v1, empty", latin1("PROXY \r\n"), "invalid: neither TCP4, TCP6 nor UNKNOWN"],
  ["v1, UDP4", latin1("PROXY UDP4 192.0.2.1 10.0.0.2 1 2\r\n"), "invalid: neither TCP4, TCP6 nor UNKNOWN"],
  ["v1, lower case", latin1("PROXY tcp4 192.0.2.1 10.0.0.2 1 2\r\n"), "invalid: neither TCP4, TCP6 nor UNKNOWN"],
  ["v1, UNKNOWNS", latin1("PROXY UNKNOWNS\r\n"), "invalid: neither TCP4, TCP6 nor UNKNOWN"],
  ["v1, two spaces", latin1("PROXY TCP4  192.0.2.1 10.0.0.2 1 2\r\n"), "invalid: not two addresses and two ports"],
  ["v1, trailing space", latin1("PROXY TCP4 192.0.2.1 10.0.0.2 1 2 \r\n"), "invalid: not two addresses and two ports"],
  ["v1, tabs", latin1("PROXY TCP4\t192.0.2.1 10.0.0.2 1 2\r\n"), "invalid: neither TCP4, TCP6 nor UNKNOWN"],
  ["v1, no ports", latin1("PROXY TCP4 192.0.2.1 10.0.0.2\r\n"), "invalid: not two addresses and two ports"],
  ["v1, port too large", latin1("PROXY TCP4 192.0.2.1 10.0.0.2 65536 2\r\n"), NO_PORT],
  ["v1, port with leading zero", latin1("PROXY TCP4 192.0.2.1 10.0.0.2 01 2\r\n"), NO_PORT],
  ["v1, port with sign", latin1("PROXY TCP4 192.0.2.1 10.0.0.2 +1 2\r\n"), NO_PORT],
  ["v1, no port", latin1("PROXY TCP4 192.0.2.1 10.0.0.2  2\r\n"), NO_PORT],
  ["v1, octet with leading zero", latin1("PROXY TCP4 192.0.2.01 10.0.0.2 1 2\r\n"), NO_PORT],
  ["v1, IPv6 as TCP4", latin1("PROXY TCP4 ::1 ::1 1 2\r\n"), NO_PORT],
  ["v1, IPv4 as TCP6", latin1("PROXY TCP6 192.0.2.1 10.0.0.2 1 2\r\n"), NO_V6],
  ["v1, zone", latin1("PROXY TCP6 fe80::1%eth0 ::1 1 2\r\n"), NO_V6],

  ["v2 TCP over IPv4", v2("21", "11", V4), `${V4_SEEN}, 28`],
  ["v2 UDP over IPv4", v2("21", "12", V4), `${V4_SEEN}, 28`],
  ["v2 TCP over IPv6", v2("21", "21", V6), `${V6_SEEN}, 52`],
  ["v2 UDP over IPv6", v2("21", "22", V6), `${V6_SEEN}, 52`],
  ["v2 mapped IPv6", v2("21", "21", MAPPED), `${V4_SEEN}, 52`],
  ["v2 unix stream", v2("21", "31", UNIX), "unknown, 232"],
  ["v2 unix datagram", v2("21", "32", UNIX), "unknown, 232"],
  ["v2 UNSPEC", v2("21", "00", ""), "unknown, 16"],
  ["v2 UNSPEC with anything", v2("21", "00", "ffffffffff"), "unknown, 21"],
  ["v2 LOCAL", v2("20", "00", ""), "unknown, 16"],
  ["v2 LOCAL: the family is ignored", v2("20", "ff", "0102"), "unknown, 18"],
  ["v2, then data", Buffer.concat([v2("21", "11", V4), latin1("hello")]), `${V4_SEEN}, 28`],
  ["v2 with TLVs", v2("21", "11", `${V4} 010002 6832 040000 ea0001 ff`), `${V4_SEEN}, 40`],
  ["v2 with checksum", withChecksum(CHECKED, 31), `${V4_SEEN}, 35`],
  ["v2 with a wrong checksum", withChecksum(CHECKED, 31, 1), "invalid: a wrong checksum"],
  ["v2 with a short checksum", v2("21", "11", `${V4} 030003 000000`), "invalid: a malformed checksum TLV"],
  ["v2 with two checksums", v2("21", "11", `${V4} 03000400000000 03000400000000`), "invalid: a malformed checksum TLV"],
  ["v2, TLV cut off", v2("21", "11", `${V4} 0400`), "invalid: a TLV that is cut off"],
  ["v2, TLV too long", v2("21", "11", `${V4} 040002 00`), "invalid: a TLV longer than the header"],
  ["v2, addresses cut off", v2("21", "11", "c0000201 0a000002 3039 01"), "invalid: too short for its addresses"],
  ["v2, IPv6 with room for IPv4", v2("21", "21", V4), "invalid: too short for its addresses"],
  ["v2, largest", v2("21", "11", `${V4} 040fe1${"00".repeat(0xfe1)}`), `${V4_SEEN}, 4096`],
  ["v2, too large", v2("21", "11", `${V4} 040fe2${"00".repeat(0xfe2)}`), "invalid: longer than 4096 bytes"],
  ["v2, far too large, told at once", hex(`${SIGNATURE}2111ffff`), "invalid: longer than 4096 bytes"],
  ["version 1 in binary", v2("11", "11", V4), "invalid: a version other than 2"],
  ["version 3", hex(`${SIGNATURE}31`), "invalid: a version other than 2"],
  ["v2, unknown command", v2("22", "11", V4), "invalid: a command other than LOCAL and PROXY"],
  ["v2, unknown transport", v2("21", "13", V4), "invalid: an unknown address family or transport"],
  ["v2, no transport", v2("21", "10", V4), "invalid: an unknown address family or transport"],
  ["v2, unknown family", v2("21", "41", V4), "invalid: an unknown address family or transport"],

  ["a request", latin1("GET / HTTP/1.1\r\n"), "absent"],
  ["a method like it", latin1("PROXYING / HTTP/1.1\r\n"), "absent"],
  ["blank lines before a request", latin1("\r\n\r\nGET / HTTP/1.1\r\n"), "absent"],
  ["TLS", hex("160301"), "absent"],
  ["nothing", Buffer.alloc(0), "undecided"],
  ["half a signature", latin1("PRO"), "undecided"],
  ["half of the other", hex("0d0a0d0a00"), "undecided"],
  ["a signature", latin1("PROXY "), "more"],
  ["the other signature", hex(SIGNATURE), "more"],
  ["a header without its last byte", latin1("PROXY UNKNOWN\r"), "more"],
];

for (const [name, bytes, want] of CASES)
  test(name, () => {
    expect(show(bytes)).toBe(want);
    // However the bytes are cut, no part of them says something else than the whole.
    for (let length = 0; length < bytes.length; length += 1) {
      const seen = show(bytes.subarray(0, length) as Buffer);
      if (seen !== want) expect(["undecided", "more"]).toContain(seen);
    }
  });

test("CRC-32C as in RFC 3720 B.4", () => {
  const of = (bytes: Buffer): string => crc32c(bytes, 0, bytes.length, bytes.length).toString(16);
  expect(of(latin1("123456789"))).toBe("e3069283");
  expect(of(Buffer.alloc(32))).toBe("8a9136aa");
  expect(of(Buffer.alloc(32, 0xff))).toBe("62a8ab43");
  expect(of(Buffer.from(Array.from({ length: 32 }, (_, i) => i)))).toBe("46dd794e");
});

const WRITTEN: readonly (readonly [name: string, made: Buffer, want: Buffer])[] = [
  [
    "v1 IPv4",
    writeProxyHeader("v1", { address: "192.0.2.1", port: 12_345 }, { address: "10.0.0.2", port: 443 }),
    latin1("PROXY TCP4 192.0.2.1 10.0.0.2 12345 443\r\n"),
  ],
  [
    "v1 IPv6 and IPv4",
    writeProxyHeader("v1", { address: "2001:db8::1", port: 1 }, { address: "10.0.0.2", port: 2 }),
    latin1("PROXY TCP6 2001:db8::1 ::ffff:10.0.0.2 1 2\r\n"),
  ],
  [
    "v2 IPv4",
    writeProxyHeader("v2", { address: "192.0.2.1", port: 12_345 }, { address: "10.0.0.2", port: 443 }),
    v2("21", "11", V4),
  ],
  [
    "v2 IPv6",
    writeProxyHeader("v2", { address: "2001:db8::1", port: 12_345 }, { address: "2001:db8::2", port: 443 }),
    v2("21", "21", V6),
  ],
  [
    "v2 IPv4 and IPv6",
    writeProxyHeader("v2", { address: "192.0.2.1", port: 12_345 }, { address: "2001:db8::2", port: 443 }),
    v2("21", "21", `${"00".repeat(10)}ffffc0000201 20010db8${"00".repeat(11)}02 3039 01bb`),
  ],
  ["v1, nobody", writeProxyHeader("v1", null, null), latin1("PROXY UNKNOWN\r\n")],
  ["v2, nobody", writeProxyHeader("v2", null, null), v2("20", "00", "")],
  [
    "v1, a unix socket",
    writeProxyHeader("v1", { address: "", port: 0 }, { address: "", port: 0 }),
    latin1("PROXY UNKNOWN\r\n"),
  ],
];
for (const [name, made, want] of WRITTEN)
  test(`written: ${name}`, () => expect(made.toString("hex")).toBe(want.toString("hex")));

test("what is written is read", () => {
  const address = fc.oneof(fc.ipV4(), fc.ipV6());
  const end = fc.record({ address, port: fc.nat(65_535) });
  const canonical = (bytes: Buffer): string => {
    const result = readProxyHeader(Buffer.concat([bytes, latin1("and more")]));
    return result.kind === "header" ? JSON.stringify([result.source, result.destination, result.used]) : result.kind;
  };
  fc.assert(
    fc.property(end, end, (source, destination) => {
      const [one, two] = (["v1", "v2"] as const).map((version) => writeProxyHeader(version, source, destination));
      const [a, b] = [JSON.parse(canonical(one!)), JSON.parse(canonical(two!))];
      expect([a[2], b[2]]).toEqual([one!.length, two!.length]);
      expect(a.slice(0, 2)).toEqual(b.slice(0, 2));
      expect([a[0].port, a[1].port]).toEqual([source.port, destination.port]);
      // Canonical text survives a second round as it is.
      expect(canonical(writeProxyHeader("v1", a[0], a[1]))).toBe(JSON.stringify(a));
    }),
    { numRuns: 500, seed: 7 },
  );
});

test("fuzz: whatever comes, wherever it is cut", () => {
  const kinds = new Set<string>();
  const law = (rng: Rng): void => {
    kinds.add(proxyHeaderLaw(rng));
  };
  expect(tryLaw("proxy header", law, 1, 3000)).toBe(3000);
  expect([...kinds].sort()).toEqual(["absent", "header", "invalid", "more"]);
});
