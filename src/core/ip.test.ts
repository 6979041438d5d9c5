import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { addressKey, CidrSet, canonicalIp, parseCidr, parseIp } from "./ip.ts";

const CANONICAL: readonly (readonly [text: string, want: string | null])[] = [
  ["192.0.2.1", "192.0.2.1"],
  ["0.0.0.0", "0.0.0.0"],
  ["255.255.255.255", "255.255.255.255"],
  ["::", "::"],
  ["::1", "::1"],
  ["2001:DB8::1", "2001:db8::1"],
  ["2001:0db8:0000:0000:0001:0000:0000:0001", "2001:db8::1:0:0:1"],
  ["2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"],
  ["1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:0"],
  ["::2:3:4:5:6:7:8", "0:2:3:4:5:6:7:8"],
  ["::ffff:192.0.2.1", "192.0.2.1"],
  ["::FFFF:c000:201", "192.0.2.1"],
  ["64:ff9b::192.0.2.33", "64:ff9b::c000:221"],
  ["1:2:3:4:5:6:1.2.3.4", "1:2:3:4:5:6:102:304"],
  // Refused.
  ["", null],
  ["1.2.3", null],
  ["1.2.3.4.5", null],
  ["1.2.3.256", null],
  ["01.2.3.4", null],
  ["1..3.4", null],
  [".1.2.3.4", null],
  ["1.2.3.4.", null],
  [" 1.2.3.4", null],
  ["0x1.2.3.4", null],
  ["::1%eth0", null],
  ["[::1]", null],
  [":", null],
  [":::", null],
  ["1::2::3", null],
  ["1:2:3:4:5:6:7", null],
  ["1:2:3:4:5:6:7:8:9", null],
  ["1:2:3:4:5:6:7:8::", null],
  ["1:2:3:4:5:6:7:1.2.3.4", null],
  ["12345::", null],
  ["1:2:", null],
  [":1:2:3:4:5:6:7", null],
  ["::1.2.3", null],
  ["::g", null],
];

for (const [text, want] of CANONICAL)
  test(`address ${JSON.stringify(text)} is ${want}`, () => expect(canonicalIp(text)).toBe(want));

const NETWORKS: readonly (readonly [text: string, ip: string, want: boolean])[] = [
  ["10.0.0.0/8", "10.255.255.255", true],
  ["10.0.0.0/8", "11.0.0.0", false],
  ["10.9.8.7/8", "10.0.0.0", true],
  ["0.0.0.0/0", "255.255.255.255", true],
  ["0.0.0.0/0", "::1", false],
  ["::/0", "1.2.3.4", false],
  ["::/0", "ffff::", true],
  ["192.0.2.7", "192.0.2.7", true],
  ["192.0.2.7", "192.0.2.8", false],
  ["10.0.0.0/8", "::ffff:10.1.2.3", true],
  ["::ffff:10.0.0.0/104", "10.1.2.3", true],
  ["2001:db8::/32", "2001:db8:ffff::", true],
  ["2001:db8::/32", "2001:db9::", false],
  ["2001:db8::/65", "2001:db8:0:0:8000::", false],
  ["fe80::/10", "fe80::1%eth0", false],
  ["10.0.0.0/8", "nonsense", false],
];

for (const [network, ip, want] of NETWORKS)
  test(`${ip} ${want ? "in" : "not in"} ${network}`, () => expect(new CidrSet([network]).has(ip)).toBe(want));

for (const text of ["", "10.0.0.0/", "10.0.0.0/33", "10.0.0.0/08", "::/129", "::ffff:1.2.3.4/8", "10.0.0.0/8/8", "a/8"])
  test(`network ${JSON.stringify(text)} is refused`, () => {
    expect(parseCidr(text)).toBeNull();
    expect(() => new CidrSet([text])).toThrow(RangeError);
  });

test("limits count IPv6 by its /64 and IPv4 by the address", () => {
  expect(addressKey("192.0.2.1")).toBe("192.0.2.1");
  expect(addressKey("::ffff:192.0.2.1")).toBe("192.0.2.1");
  expect(addressKey("2001:db8:1:2:3:4:5:6")).toBe("2001:db8:1:2::/64");
  expect(addressKey("2001:db8:1:2::9")).toBe("2001:db8:1:2::/64");
});

describe("properties", () => {
  const ipv4 = fc.ipV4();
  const ipv6 = fc.ipV6();

  test("canonical text parses to the same address", () => {
    fc.assert(
      fc.property(fc.oneof(ipv4, ipv6), (text) => {
        const ip = parseIp(text);
        expect(ip).not.toBeNull();
        expect(parseIp(canonicalIp(text)!)).toEqual(ip);
      }),
    );
  });

  test("a set agrees with asking its networks one by one", () => {
    const v4 = fc.tuple(
      fc.constantFrom("10.0.0.0", "10.1.0.0", "10.1.2.3", "11.0.0.0", "9.9.9.9"),
      fc.integer({ min: 0, max: 32 }),
    );
    const v6 = fc.tuple(
      fc.constantFrom("::", "2001:db8::", "2001:db8::1", "ffff::1"),
      fc.integer({ min: 0, max: 128 }),
    );
    const asked = fc.constantFrom("10.0.0.0", "10.1.2.3", "11.2.3.4", "8.8.8.8", "::1", "2001:db8::7", "ffff::2");
    fc.assert(
      fc.property(fc.array(fc.oneof(v4, v6), { maxLength: 12 }), asked, (networks, ip) => {
        const texts = networks.map(([address, prefix]) => `${address}/${prefix}`);
        expect(new CidrSet(texts).has(ip)).toBe(texts.some((text) => inNetwork(ip, text)));
      }),
    );
  });
});

/** The slow way: compares the leading bits as text. */
function inNetwork(ip: string, network: string): boolean {
  const [address, prefix] = network.split("/");
  const bits = (text: string) =>
    parseIp(text)!
      .words.map((word) => word.toString(2).padStart(32, "0"))
      .join("");
  const [a, b] = [bits(ip), bits(address!)];
  return a.length === b.length && a.slice(0, Number(prefix)) === b.slice(0, Number(prefix));
}
