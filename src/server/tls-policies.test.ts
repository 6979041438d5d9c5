import { describe, expect, test } from "bun:test";
import { millis } from "../core/units.ts";
import { TlsPolicies } from "./tls-policies.ts";

const CA = { ca: "/ca.pem", mode: "require" } as const;
const base = { minVersion: "1.2", policies: [] } as const;
type Options = ConstructorParameters<typeof TlsPolicies>[0];
const policies = (options: Partial<Options>): TlsPolicies => new TlsPolicies({ ...base, policies: [], ...options });

describe("the policy of a host", () => {
  const all = policies({
    policies: [
      { hosts: ["vault.test", "*.vault.test"], clientAuth: CA },
      { hosts: ["open.vault.test"], minVersion: "1.3" },
      { hosts: ["same.test"], minVersion: "1.2" },
    ],
  });
  const CASES: readonly (readonly [host: string, version: string, asks: boolean])[] = [
    ["www.test", "1.2", false],
    ["same.test", "1.2", false],
    ["vault.test", "1.2", true],
    ["vault.test.", "1.2", true],
    ["a.b.vault.test", "1.2", true],
    ["open.vault.test", "1.3", false],
    ["x.open.vault.test", "1.2", true],
    ["evilvault.test", "1.2", false],
    // What no client can name in its hello.
    ["", "1.2", true],
    ["10.0.0.1", "1.2", true],
    ["[::1]", "1.2", true],
    ["vault..test", "1.2", true],
    ["vault.test:443", "1.2", true],
    ["-a.test", "1.2", true],
    ["%61.test", "1.2", true],
    [`${"a".repeat(64)}.test`, "1.2", true],
  ];
  for (const [host, version, asks] of CASES)
    test(`${host || "none"}`, () => {
      const { minVersion, needsCertificate, clientAuth } = all.of(host);
      expect([minVersion, needsCertificate, clientAuth !== null]).toEqual([version as never, asks, asks]);
    });
  test("names of the same terms share a policy", () => {
    expect(all.of("same.test")).toBe(all.of("www.test"));
    expect(all.of("www.test")).toBe(all.usual);
    expect(all.all.length).toBe(3);
  });
});

describe("the strictest", () => {
  const required = { hosts: ["a.test"], clientAuth: CA };
  const optional = { hosts: ["b.test"], clientAuth: { ...CA, mode: "optional" as const } };
  const newer = { hosts: ["c.test"], minVersion: "1.3" as const };
  const CASES: readonly (readonly [name: string, options: Partial<Options>, host: string])[] = [
    ["nothing differs", {}, "www.test"],
    ["a version", { policies: [newer] }, "c.test"],
    ["who may show a certificate before the version", { policies: [newer, optional] }, "b.test"],
    ["who must before who may", { policies: [optional, required, newer] }, "a.test"],
    ["what the listener asks, policies do too", { clientAuth: CA, policies: [newer] }, "c.test"],
    [
      "a listener that asks, and names where it does not",
      { clientAuth: CA, policies: [{ hosts: ["d.test"], clientAuth: false }] },
      "www.test",
    ],
    [
      "the first of two that are as strict",
      { policies: [required, { hosts: ["e.test"], clientAuth: { ...CA, ca: "/other.pem" } }] },
      "a.test",
    ],
  ];
  for (const [name, options, host] of CASES)
    test(name, () => {
      const all = policies(options);
      expect(all.strictest.key).toBe(all.of(host).key);
    });
});

describe("terms are the same or not", () => {
  const key = (options: Partial<Options>): string => policies(options).usual.key;
  const timeouts = { handshakeTimeout: millis(1) };
  const CASES: readonly (readonly [name: string, a: object, b: object, same: boolean])[] = [
    ["nothing said", {}, {}, true],
    ["what is no matter of terms", {}, timeouts, true],
    ["version", {}, { minVersion: "1.3" }, false],
    ["suites", {}, { ciphers: "A" }, false],
    ["suites that nobody can use", { minVersion: "1.3" }, { minVersion: "1.3", ciphers: "A" }, true],
    ["CA", { clientAuth: CA }, { clientAuth: { ...CA, ca: "/b" } }, false],
    ["mode", { clientAuth: CA }, { clientAuth: { ...CA, mode: "optional" } }, false],
    ["revocation lists", { clientAuth: CA }, { clientAuth: { ...CA, crl: "/c" } }, false],
    [
      "file names that run together",
      { clientAuth: { ...CA, ca: "a", crl: "b" } },
      { clientAuth: { ...CA, ca: 'a","b' } },
      false,
    ],
  ];
  for (const [name, a, b, same] of CASES) test(name, () => expect(key(a) === key(b)).toBe(same));
});
