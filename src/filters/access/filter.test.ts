import { describe, expect, test } from "bun:test";
import { parseAddressFile } from "../../config/address-file.ts";
import { accessSchema } from "../../config/schema-access.ts";
import { IpMap } from "../../core/ip-map.ts";
import { exchangeOf } from "../../pipeline/exchange.fixture.ts";
import { isFault, type Outcome } from "../../pipeline/exchange.ts";
import { type Shared, UNSHARED } from "../../pipeline/shared.ts";
import { contextOf } from "../context.testing.ts";
import { access } from "./filter.ts";
import { mmdbOf } from "./mmdb.testing.ts";

const FILES: Readonly<Record<string, string>> = {
  "drop.txt": "192.0.2.0/24 ; SBL1\n2001:db8:bad::/48",
  "ours.txt": "10.0.0.0/8",
};
const PLACES = mmdbOf({
  "192.0.2.0/24": { country: { iso_code: "DE" }, autonomous_system_number: 64_500 },
  "198.51.100.0/24": { registered_country: { iso_code: "FR" }, autonomous_system_number: 64_501 },
  "2001:db8::/32": { country: { iso_code: "DE" } },
  "203.0.113.0/24": { city: "Nowhere" },
});

const sharedAt = (wallMs = 0): Shared => ({
  ...UNSHARED,
  addresses: (file) => IpMap.of(parseAddressFile(FILES[file]!)),
  live: (_name, read) => {
    const memory = new SharedArrayBuffer(PLACES.length);
    new Uint8Array(memory).set(PLACES);
    return { current: read(memory) };
  },
  wallNow: () => wallMs,
});

const filterOf = (config: unknown, wallMs?: number) =>
  access.compile({ access: accessSchema.parse(config) }, contextOf({ shared: sharedAt(wallMs) }))[0]!;

/** What becomes of a request: "" or the code of the fault. */
function asked(config: unknown, ip: string, { method = "GET", wallMs = 0 } = {}): string {
  const outcome = filterOf(config, wallMs).request!(exchangeOf({ ip, method })) as Outcome | undefined;
  return outcome === undefined ? "" : isFault(outcome) ? outcome.code : "a reply";
}

describe("addresses: the most specific network decides", () => {
  const CASES: readonly (readonly [config: unknown, may: readonly string[], mayNot: readonly string[]])[] = [
    [{ allow: ["10.0.0.0/8"] }, ["10.1.2.3", "::ffff:10.1.2.3"], ["11.0.0.1", "2001:db8::1", ""]],
    [{ deny: ["10.0.0.0/8"] }, ["11.0.0.1", "2001:db8::1", ""], ["10.1.2.3"]],
    [{ allow: ["10.0.0.0/8"], deny: ["10.6.6.6"] }, ["10.6.6.5"], ["10.6.6.6", "11.0.0.1"]],
    [{ allow: ["10.6.6.6"], deny: ["10.0.0.0/8"] }, ["10.6.6.6"], ["10.6.6.5", "11.0.0.1"]],
    [{ allow: ["10.0.0.0/8"], deny: ["10.0.0.0/8"] }, [], ["10.6.6.5"]],
    [{ allow: ["0.0.0.0/0", "::/0", "10.6.6.6"], deny: ["10.0.0.0/8"] }, ["10.6.6.6", "11.0.0.1", "::1"], ["10.6.6.5"]],
    [{ denyFiles: ["drop.txt"] }, ["10.0.0.1"], ["192.0.2.77", "2001:db8:bad::1"]],
    [
      { denyFiles: ["drop.txt"], allow: ["192.0.2.77"], allowFiles: ["ours.txt"] },
      ["192.0.2.77", "10.1.1.1"],
      ["192.0.2.1", "11.1.1.1"],
    ],
    [{ allow: [] }, [], ["10.0.0.1"]],
  ];
  for (const [config, may, mayNot] of CASES)
    test(JSON.stringify(config), () => {
      for (const ip of may) expect([ip, asked(config, ip)]).toEqual([ip, ""]);
      for (const ip of mayNot) expect([ip, asked(config, ip)]).toEqual([ip, "access.denied"]);
    });
});

describe("countries and networks", () => {
  const database = "geo.mmdb";
  const CASES: readonly (readonly [config: unknown, may: readonly string[], mayNot: readonly string[]])[] = [
    [
      { countries: { database, allow: ["DE"] } },
      ["192.0.2.1", "2001:db8::1"],
      ["198.51.100.1", "203.0.113.1", "10.0.0.1", ""],
    ],
    [{ countries: { database, deny: ["FR"] } }, ["192.0.2.1", "203.0.113.1", "10.0.0.1", ""], ["198.51.100.1"]],
    [{ networks: { database, deny: [64_500] } }, ["198.51.100.1", "10.0.0.1"], ["192.0.2.1"]],
    [{ networks: { database, allow: [64_500] } }, ["192.0.2.1"], ["198.51.100.1", "10.0.0.1"]],
    [{ countries: { database, allow: ["DE", "FR"], deny: ["FR"] } }, ["192.0.2.1"], ["198.51.100.1"]],
  ];
  for (const [config, may, mayNot] of CASES)
    test(JSON.stringify(config), () => {
      for (const ip of may) expect([ip, asked(config, ip)]).toEqual([ip, ""]);
      for (const ip of mayNot) expect([ip, asked(config, ip)]).toEqual([ip, "access.denied"]);
    });
});

describe("times", () => {
  const OFFICE = { days: ["mon", "tue", "wed", "thu", "fri"], from: "08:00", to: "18:00", zone: "Europe/Berlin" };
  const CASES: readonly (readonly [window: unknown, at: string, open: boolean])[] = [
    [OFFICE, "2026-07-06T06:00:00Z", true], // Monday, 08:00 in summer
    [OFFICE, "2026-07-06T05:59:59Z", false],
    [OFFICE, "2026-07-06T15:59:59Z", true],
    [OFFICE, "2026-07-06T16:00:00Z", false],
    [OFFICE, "2026-12-07T07:00:00Z", true], // 08:00 in winter
    [OFFICE, "2026-12-07T06:59:00Z", false],
    [OFFICE, "2026-07-05T10:00:00Z", false], // Sunday
    [{ from: "22:00", to: "06:00", days: ["fri"] }, "2026-07-10T22:00:00Z", true], // Friday
    [{ from: "22:00", to: "06:00", days: ["fri"] }, "2026-07-11T05:59:00Z", true],
    [{ from: "22:00", to: "06:00", days: ["fri"] }, "2026-07-11T06:00:00Z", false],
    [{ from: "22:00", to: "06:00", days: ["fri"] }, "2026-07-10T05:00:00Z", false],
    [{ days: ["sat"] }, "2026-07-11T00:00:00Z", true],
    [{ days: ["sat"] }, "2026-07-11T23:59:59Z", true],
    [{ days: ["sat"] }, "2026-07-12T00:00:00Z", false],
  ];
  for (const [window, at, open] of CASES)
    test(`${JSON.stringify(window)} at ${at}`, () =>
      expect(asked({ times: [window] }, "10.0.0.1", { wallMs: Date.parse(at) })).toBe(open ? "" : "access.denied"));
});

test("methods: what may not is told what may", () => {
  const config = { methods: ["GET", "POST"] };
  for (const [method, code] of [
    ["GET", ""],
    ["HEAD", ""],
    ["POST", ""],
    ["DELETE", "access.method"],
    ["PURGE", "access.method"],
  ] as const)
    expect([method, asked(config, "10.0.0.1", { method })]).toEqual([method, code]);
  const x = exchangeOf({ method: "PUT" });
  filterOf(config).request!(x);
  expect(x.errorFields).toEqual([["allow", "GET, HEAD, POST"]]);
});

describe("refused", () => {
  const CASES: readonly (readonly [config: unknown, message: RegExp, path: readonly (string | number)[]])[] = [
    [{}, /says nothing/, []],
    [{ deny: ["10.0.0.1", "ten"] }, /"ten" is not an address/, ["deny", 1]],
    [{ countries: { database: "geo.mmdb" } }, /say which may/, ["countries"]],
    [{ methods: ["GET", "A B"] }, /"A B" is not a method/, ["methods", 1]],
    [{ times: [{ zone: "Mars/Olympus" }] }, /is not a time zone/, ["times", 0]],
    [{ times: [{ from: "08:00", to: "08:00" }] }, /never open/, ["times", 0]],
  ];
  for (const [config, message, path] of CASES)
    test(JSON.stringify(config), () => {
      let error: { message: string; path?: unknown } = { message: "none" };
      try {
        filterOf(config);
      } catch (thrown) {
        error = thrown as Error;
      }
      expect(error.message).toMatch(message);
      expect(error.path ?? []).toEqual([...path]);
    });
});
