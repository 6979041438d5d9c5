import { describe, expect, test } from "bun:test";
import { certificatePairs, coverageProblems, type TlsListener } from "./coverage.ts";

type Tls = NonNullable<TlsListener["tls"]>;
const listener = (tls: Partial<Tls> | null): TlsListener =>
  tls === null ? { address: ":80" } : { address: ":443", tls: { certificates: [], internal: false, ...tls } };

const NAMES = ["a.test", "*.w.test", "one.x.test", "192.0.2.1", "xn--bcher-kva.test"];
const HOSTS = [
  ["a.test", "A.test", "x.w.test", "*.w.test", "*", "192.0.2.1", "bücher.test", "a.test."],
  ["w.test", "*.x.test", "other.test", "192.0.2.2", "a.b.w.test", "[2001:db8::1]"],
];
const missing = HOSTS[1]!.join(" ");

const CASES: readonly (readonly [
  name: string,
  listeners: readonly TlsListener[],
  names: readonly string[],
  want: string,
])[] = [
  ["files", [listener({})], NAMES, missing],
  ["names to get by ACME", [listener({ acme: { domains: NAMES.slice(0, 3) } })], NAMES.slice(3), missing],
  ["any name by ACME", [listener({ acme: { domains: [], onDemand: {} } })], [], ""],
  ["any name by the internal authority", [listener({}), listener({ internal: true })], [], ""],
  ["no TLS", [listener(null)], [], ""],
];
describe("hosts without a certificate", () => {
  for (const [name, listeners, names, want] of CASES)
    test(name, () => {
      const problems = coverageProblems(listeners, [{}, { match: {} }, { match: { host: HOSTS.flat() } }], names);
      expect(problems.every(({ severity }) => severity === "warning")).toBe(true);
      expect(problems.map(({ path }) => HOSTS.flat()[Number(path[4])]).join(" ")).toBe(want);
    });

  test("one that stands alone is told at its key", () => {
    const [problem] = coverageProblems([listener({})], [{ match: { host: "b.test" } }], []);
    expect(problem).toMatchObject({
      path: ["routes", 0, "match", "host"],
      message: 'no certificate is for "b.test": clients that come over TLS refuse to talk to it',
    });
  });
});

test("pairs have absolute paths and the key of their entry", () => {
  const certificates = [
    { cert: "tls/a.crt", key: "/keys/a.key" },
    { cert: "b.pem", key: "b.pem" },
  ];
  expect(certificatePairs([listener(null), listener({ certificates })], "/conf")).toEqual([
    { listener: ":443", path: ["listeners", 1, "tls", "certificates", 0], cert: "/conf/tls/a.crt", key: "/keys/a.key" },
    { listener: ":443", path: ["listeners", 1, "tls", "certificates", 1], cert: "/conf/b.pem", key: "/conf/b.pem" },
  ]);
});
