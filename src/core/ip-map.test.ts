import { expect, test } from "bun:test";
import fc from "fast-check";
import { Rng } from "./fuzz.testing.ts";
import { parseCidr, parseIp } from "./ip.ts";
import { IpMap } from "./ip-map.ts";

const mapOf = (...texts: readonly string[]): IpMap => IpMap.of(texts.map((text) => parseCidr(text)!));

const CASES: readonly (readonly [networks: string, address: string, prefix: number | null])[] = [
  ["", "10.0.0.1", null],
  ["10.0.0.0/8", "10.0.0.0", 8],
  ["10.0.0.0/8", "10.255.255.255", 8],
  ["10.0.0.0/8", "11.0.0.0", null],
  ["10.0.0.0/8", "9.255.255.255", null],
  ["10.0.0.0/8 10.1.0.0/16 10.1.2.3", "10.1.2.3", 32],
  ["10.0.0.0/8 10.1.0.0/16 10.1.2.3", "10.1.2.4", 16],
  ["10.0.0.0/8 10.1.0.0/16 10.1.2.3", "10.2.0.0", 8],
  ["10.0.0.0/16 10.0.0.0/8", "10.0.0.1", 16],
  ["10.0.0.0/8 10.0.0.0/8", "10.0.0.1", 8],
  ["0.0.0.0/0", "255.255.255.255", 0],
  ["255.255.255.255", "255.255.255.255", 32],
  ["0.0.0.0/0", "::1", null],
  ["::/0 2001:db8::/32", "2001:db8::1", 32],
  ["::/0 2001:db8::/32", "2001:db9::1", 0],
  ["ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", 128],
  ["10.0.0.0/8", "::ffff:10.1.2.3", 8],
  ["10.0.0.0/8", "ten", null],
  ["10.0.0.0/8", "", null],
];
for (const [networks, address, prefix] of CASES)
  test(`${address} in [${networks}]: ${prefix === null ? "none" : `/${prefix}`}`, () => {
    const map = mapOf(...networks.split(" ").filter((text) => text !== ""));
    expect(map.find(address)).toBe(prefix === null ? 0 : prefix + 1);
  });

/** The same, slowly. */
function slow(networks: readonly string[], address: string): number {
  const ip = parseIp(address)!;
  let best = 0;
  for (const text of networks) {
    const cidr = parseCidr(text)!;
    const same = ip.words.every((word, at) => {
      const bits = Math.max(0, Math.min(32, cidr.prefix - at * 32));
      return bits === 0 || word >>> (32 - bits) === cidr.words[at]! >>> (32 - bits);
    });
    if (cidr.family === ip.family && same) best = Math.max(best, cidr.prefix + 1);
  }
  return best;
}

test("any networks and addresses: as one by one", () => {
  // Few different bytes, so that networks lie in one another.
  const byte = fc.constantFrom(0, 1, 127, 128, 255);
  const v4 = fc.tuple(byte, byte, byte, byte).map((parts) => parts.join("."));
  const v6 = fc
    .array(fc.constantFrom("0", "1", "8000", "ffff"), { minLength: 8, maxLength: 8 })
    .map((g) => g.join(":"));
  const network = fc.oneof(
    fc.tuple(v4, fc.nat(32)).map(([ip, prefix]) => `${ip}/${prefix}`),
    // Half of what IPv4 is mapped to would be no network of either.
    fc
      .tuple(v6, fc.nat(128))
      .map(([ip, prefix]) => `${ip}/${prefix}`)
      .filter((text) => parseCidr(text) !== null),
  );
  fc.assert(
    fc.property(fc.array(network, { maxLength: 40 }), fc.array(fc.oneof(v4, v6)), (networks, addresses) => {
      const map = mapOf(...networks);
      for (const address of addresses) expect(map.find(address)).toBe(slow(networks, address));
    }),
    { numRuns: 500 },
  );
});

test("so many networks that there is an index: as without one", () => {
  const rng = new Rng(7);
  const v4 = (): string => `${rng.below(4) * 60 + 1}.${rng.below(256)}.${rng.below(256)}.${rng.below(256)}`;
  const v6 = (): string => `2a0${rng.below(4)}:${rng.below(65_536).toString(16)}:${rng.below(4)}::${rng.below(3)}`;
  for (const address of [v4, v6]) {
    const texts = Array.from({ length: 6000 }, () => `${address()}/${rng.pick([12, 16, 17, 24, 30, 32])}`);
    const map = mapOf(...texts);
    const few = Array.from({ length: 3 }, (_, part) => mapOf(...texts.slice(part * 2000, part * 2000 + 2000)));
    for (let i = 0; i < 5000; i += 1) {
      const asked = address();
      expect([asked, map.find(asked)]).toEqual([asked, Math.max(...few.map((one) => one.find(asked)))]);
    }
  }
});
