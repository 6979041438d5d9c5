import { expect, test } from "bun:test";
import { type Certificate, readCertificate } from "./certificate.ts";
import { lasting, type Made, makeOdd, NOW_MS, Pki, selfSigned } from "./make.testing.ts";
import { certificateReport, expirySeries } from "./report.ts";
import { applyUpdate } from "./served.ts";
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
  store.replace(":1", "placeholder", [read(selfSigned(["p.test"], lasting(-0.5)))]);
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

test("the metric has each name once, with the first to expire, and none that clients chose", () => {
  const store = new CertificateStore(() => undefined);
  const later = read(pki.make(["a.test"], lasting(60)));
  store.replace(":1", "file", [later, a]);
  store.replace(":2", "acme", [b]);
  store.replace(":2", "internal", [c]);
  expect(expirySeries(store.all)).toEqual([
    { name: "a.test", value: a.notAfterMs / 1000 },
    { name: "b.test", value: b.notAfterMs / 1000 },
  ]);
});
