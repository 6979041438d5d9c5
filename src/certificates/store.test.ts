import { describe, expect, test } from "bun:test";
import { type Certificate, readCertificate } from "./certificate.ts";
import { lasting, type Made, makeOdd, NOW_MS, Pki, selfSigned } from "./make.testing.ts";
import { certificateReport, expirySeries } from "./report.ts";
import { applyUpdate, type CertificateSource } from "./served.ts";
import { CertificateStore } from "./store.ts";

const pki = new Pki();
function read({ chainPem, keyPem }: Made): Certificate {
  return readCertificate(chainPem, keyPem).certificate!;
}
const [a, b, c] = ["a.test", "b.test", "c.test"].map((name, at) => read(pki.make([name], lasting(30 + at)))) as [
  Certificate,
  Certificate,
  Certificate,
];

test("listeners have what all sources have for them, files first", () => {
  const changes: string[] = [];
  const store = new CertificateStore((listener) => changes.push(listener));
  store.replace(":1", "acme", [b]);
  store.replace(":1", "file", [a]);
  store.replace(":2", "acme", [b, a]);
  store.replace(":1", "acme", [b]); // as it was
  store.replace(":3", "acme", []);
  expect(changes).toEqual([":1", ":1", ":2"]);
  expect(store.update(":1").ids).toEqual([a.id, b.id]);
  expect(store.update(":2").ids).toEqual([b.id, a.id]);
  expect(store.update(":3")).toEqual({ listener: ":3", ids: [], added: [], trusted: [] });
  expect(store.update(":1").added.map(({ source }) => source)).toEqual(["file", "acme"]);
  store.keepOnly(new Set([":2"]));
  expect(store.all.map(({ listener }) => listener)).toEqual([":2", ":2"]);
});

test("workers get what they do not have", () => {
  const store = new CertificateStore(() => undefined);
  store.replace(":1", "file", [a, b]);
  let held = applyUpdate([], store.update(":1"));
  const kept = held[1];
  store.replace(":1", "file", [b, c]);
  const update = store.update(":1", new Set(held.map(({ id }) => id)));
  expect(update.added.map(({ id }) => id)).toEqual([c.id]);
  held = applyUpdate(held, update);
  expect(held.map(({ names }) => names[0])).toEqual(["b.test", "c.test"]);
  expect(held[0]).toBe(kept!);
});

test("a certificate that two sources have goes out once", () => {
  const store = new CertificateStore(() => undefined);
  store.replace(":1", "acme", [a]);
  store.replace(":1", "file", [a, a]);
  expect(store.update(":1").added).toHaveLength(1);
  expect(store.update(":1").added[0]?.source).toBe("file");
});

test("the report has no keys, and the next to expire first", async () => {
  const store = new CertificateStore(() => undefined);
  const rsa = read(await makeOdd("rsa2048", ["rsa.test"]));
  store.replace(":1", "file", [rsa, b, a]);
  store.replace(":1", "placeholder", [read(selfSigned(["p.test"], lasting(-1.5)))]);
  const report = certificateReport(store.all, NOW_MS);
  expect(report.map(({ names, source, daysLeft, key }) => [names[0], source, daysLeft, key])).toEqual([
    ["p.test", "placeholder", -1, "ECDSA P-256"],
    ["a.test", "file", 30, "ECDSA P-256"],
    ["b.test", "file", 31, "ECDSA P-256"],
    ["rsa.test", "file", 90, "RSA 2048"],
  ]);
  expect(report[1]).toMatchObject({
    listener: ":1",
    issuer: "CN=Test intermediate",
    notBefore: "2026-05-31T12:00:00.000Z",
    notAfter: "2026-07-01T12:00:00.000Z",
    fingerprint256: a.fingerprint256,
    selfSigned: false,
    chainLength: 2,
  });
  expect(JSON.stringify(report)).not.toContain("BEGIN");
});

test("days that are left are whole ones, before and after", () => {
  const left = (days: number): number | undefined => {
    const certificate = read(selfSigned(["a.test"], lasting(days)));
    return certificateReport([{ listener: ":1", source: "file", certificate }], NOW_MS)[0]?.daysLeft;
  };
  expect([1.5, 1, 0.5, -0.5, -1, -1.1, -2.5].map(left)).toEqual([1, 1, 0, 0, -1, -1, -2]);
});

describe("the metric", () => {
  /** What it says of certificates by listener and source: the names with the days that are left, or 0. */
  const told = (...all: readonly (readonly [string, CertificateSource, Certificate])[]): string[] => {
    const store = new CertificateStore(() => undefined);
    for (const key of new Set(all.map(([listener, source]) => `${listener} ${source}`))) {
      const mine = all.filter(([listener, source]) => `${listener} ${source}` === key);
      store.replace(
        mine[0]![0],
        mine[0]![1],
        mine.map(([, , certificate]) => certificate),
      );
    }
    const days = (value: number): string => (value === 0 ? "0" : `${(value * 1000 - NOW_MS) / 86_400_000} d`);
    return expirySeries(store.all).map(({ name, value }) => `${name} ${days(value)}`);
  };
  const ofA = (days: number): Certificate => read(pki.make(["a.test"], lasting(days)));

  test("has each name once, with the first listener's to expire, and none that clients chose", () => {
    expect(told([":1", "file", ofA(60)], [":2", "file", a], [":2", "acme", b], [":2", "internal", c])).toEqual([
      "a.test 30 d",
      "b.test 31 d",
    ]);
  });
  test("speaks of what is served: not of one in the place of which a later one is", () =>
    expect(told([":1", "file", ofA(-1)], [":1", "file", ofA(60)])).toEqual(["a.test 60 d"]));
  test("speaks of both kinds of keys", async () => {
    const rsa = read(await makeOdd("rsa2048", ["a.test"]));
    expect(told([":1", "file", rsa], [":1", "file", ofA(100)])).toEqual(["a.test 90 d"]);
    expect(told([":1", "file", rsa], [":1", "file", ofA(-1)])).toEqual(["a.test -1 d"]);
  });
  test("has 0 for names that wait for theirs, whatever else they are served by", () => {
    const waits = read(selfSigned(["a.test", "d.test"], lasting(90)));
    expect(told([":1", "placeholder", waits])).toEqual(["a.test 0", "d.test 0"]);
    expect(told([":1", "placeholder", waits], [":1", "acme", ofA(60)])).toEqual(["a.test 60 d", "d.test 0"]);
  });
  test("has addresses where clients that name no server get the certificate", async () => {
    const one = read(pki.make(["a.test", "192.0.2.1"], lasting(50)));
    const other = read(pki.make(["b.test", "192.0.2.2"], lasting(40)));
    expect(told([":1", "file", one], [":1", "file", other])).toEqual(["a.test 50 d", "b.test 40 d", "192.0.2.1 50 d"]);
  });
});
