import { describe, expect, test } from "bun:test";
import { X509Certificate } from "node:crypto";
import { chmodSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Folder } from "../../test/support/sluice.ts";
import type { Certificate } from "./certificate.ts";
import { InternalCa, type InternalCaOptions, placeholderCertificate } from "./internal-ca.ts";
import { openRoot, rootFile } from "./internal-root.ts";
import { DAY_MS, NOW_MS, selfSigned } from "./make.testing.ts";
import { pemBlocks } from "./pem.ts";
import { defaultStorageFolder } from "./storage-folder.ts";

const OPENER = `
  import { openRoot } from ${JSON.stringify(new URL("internal-root.ts", import.meta.url).pathname)};
  const { root, trouble } = openRoot(process.argv[1], ${NOW_MS});
  process.stdout.write(root?.certPem ?? trouble.message);
`;

describe("the root", () => {
  test("is made once, for Sluice's user alone", () => {
    using folder = new Folder();
    const storage = join(folder.path, "not", "there");
    const { root } = openRoot(storage, NOW_MS);
    const x509 = new X509Certificate(root!.certPem);
    expect(x509.ca && x509.verify(x509.publicKey)).toBe(true);
    expect(x509.validToDate.getTime()).toBe(NOW_MS + 3650 * DAY_MS);
    expect(openRoot(storage, NOW_MS + DAY_MS).root).toMatchObject({
      certPem: root!.certPem,
      commonName: root!.commonName,
    });
    expect(readFileSync(rootFile(storage), "utf8")).toBe(root!.certPem);
    expect(readdirSync(storage)).toEqual(["internal-ca"]);
    const mode = (name: string): number => statSync(join(storage, name)).mode & 0o777;
    expect([".", "internal-ca", "internal-ca/root.key", "internal-ca/root.crt"].map(mode)).toEqual([
      0o700, 0o700, 0o600, 0o600,
    ]);
  });

  test("processes that start together have the same one", async () => {
    using folder = new Folder();
    const command = [process.execPath, "-e", OPENER, folder.path];
    const children = Array.from({ length: 4 }, () =>
      Bun.spawn(command, { stdout: "pipe", stderr: "inherit", timeout: 20_000 }),
    );
    const roots = await Promise.all(children.map((child) => new Response(child.stdout).text()));
    expect(new Set(roots).size).toBe(1);
    expect(roots[0]).toBe(openRoot(folder.path, NOW_MS).root!.certPem);
    expect(readdirSync(folder.path)).toEqual(["internal-ca"]);
  });

  test("permissions that are too wide are narrowed", () => {
    using folder = new Folder();
    openRoot(folder.path, NOW_MS);
    const key = join(folder.path, "internal-ca", "root.key");
    chmodSync(key, 0o644);
    expect(openRoot(folder.path, NOW_MS).root).toBeDefined();
    expect(statSync(key).mode & 0o777).toBe(0o600);
  });

  const foreign = selfSigned(["a.example"]);
  const BROKEN: readonly (readonly [name: string, spoil: (file: (name: string) => string) => void, want: string])[] = [
    ["no key", (file) => rmSync(file("root.key")), "there is no such file"],
    ["a damaged certificate", (file) => writeFileSync(file("root.crt"), "x"), "cannot be used: it is not PEM"],
    [
      "another key",
      (file) => writeFileSync(file("root.key"), foreign.keyPem),
      "the key does not belong to the certificate",
    ],
    [
      "another certificate",
      (file) => {
        writeFileSync(file("root.key"), foreign.keyPem);
        writeFileSync(file("root.crt"), foreign.leafPem);
      },
      "was not made by Sluice",
    ],
  ];
  for (const [name, spoil, want] of BROKEN)
    test(`${name}: it is never replaced by itself`, () => {
      using folder = new Folder();
      openRoot(folder.path, NOW_MS);
      spoil((file) => join(folder.path, "internal-ca", file));
      expect(openRoot(folder.path, NOW_MS).trouble?.message).toContain(want);
      expect(openRoot(folder.path, NOW_MS).trouble?.message).toContain(want);
    });

  test("an expired one, and a folder that cannot be made", () => {
    using folder = new Folder();
    openRoot(folder.path, NOW_MS);
    expect(openRoot(folder.path, NOW_MS + 3651 * DAY_MS).trouble?.message).toContain("expired on 2036-");
    expect(openRoot(folder.write("file", ""), NOW_MS).trouble?.message).toContain("cannot be read or made");
  });

  test("an empty folder in its place is filled", () => {
    using folder = new Folder();
    mkdirSync(join(folder.path, "internal-ca"));
    expect(openRoot(folder.path, NOW_MS).root).toBeDefined();
  });
});

using shared = new Folder();
const { root } = openRoot(shared.path, NOW_MS);

/** An authority with a clock of its own. */
function authority(options: InternalCaOptions = {}) {
  const clock = { now: NOW_MS };
  const ca = new InternalCa(root!, { now: () => clock.now, ...options });
  const get = (name: string): Certificate => {
    const answer = ca.answer(name);
    if (answer.kind !== "certificate") throw new Error(answer.kind);
    return answer.certificate;
  };
  const kind = (name: string): string => ca.answer(name).kind;
  return { ca, clock, get, kind };
}

/** Leaf, intermediate and root hold together at this time. */
function expectTrusted(certificate: Certificate, atMs: number): void {
  const chain = [...pemBlocks(certificate.chainPem).map(({ text }) => text), root!.certPem].map(
    (pem) => new X509Certificate(pem),
  );
  expect(chain).toHaveLength(3);
  for (const [at, one] of chain.entries()) {
    expect(one.verify((chain[at + 1] ?? one).publicKey)).toBe(true);
    expect(one.validFromDate.getTime()).toBeLessThanOrEqual(atMs);
    expect(one.validToDate.getTime()).toBeGreaterThan(atMs);
  }
}

describe("certificates on demand", () => {
  test("for names and addresses, one for each", () => {
    const { get, kind, ca } = authority();
    const first = get("a.test");
    expect(first).toMatchObject({ names: ["a.test"], flaws: [], notAfterMs: NOW_MS + 7 * DAY_MS });
    expectTrusted(first, NOW_MS);
    expect(get("A.Test.")).toBe(first);
    expect(get("b.test").id).not.toBe(first.id);
    expect(get("127.0.0.1").names).toEqual(["127.0.0.1"]);
    expect(get("::0001").names).toEqual(["::1"]);
    expect(get("localhost").names).toEqual(["localhost"]);
    for (const name of ["", "*", "*.test", "a b", "1.2.3", "a..b", "x".repeat(300)]) expect(kind(name)).toBe("invalid");
    expect(ca.certificates).toHaveLength(5);
    const answer = ca.answer("localhost", "127.0.0.1", "::1");
    expect(answer.kind === "certificate" && answer.certificate.names).toEqual(["localhost", "127.0.0.1", "::1"]);
    expect(ca.answer("localhost", "127.0.0.1", "::1")).toEqual(answer);
    expect([ca.answer("a.test", "*").kind, ca.answer().kind]).toEqual(["invalid", "invalid"]);
    expect(ca.rootPem).toBe(root!.certPem);
  });

  test("renewed at two thirds of their life, always within what issued them", () => {
    const { get, ca, clock } = authority();
    let before = get("a.test");
    let renewed = 0;
    const intermediates = new Set<string>();
    for (let hour = 0; hour < 24 * 90; hour += 6) {
      clock.now = NOW_MS + hour * 3_600_000;
      const now = get("a.test");
      if (now !== before) renewed += 1;
      before = now;
      intermediates.add(now.issuer);
      expectTrusted(now, clock.now);
      expect(now.notAfterMs - clock.now).toBeGreaterThan(2 * DAY_MS);
    }
    expect(renewed).toBe(18); // 90 days, each for 14/3 days and until the next look
    expect(intermediates.size).toBe(4); // each for 20 days and until the next leaf
    expect(ca.certificates).toHaveLength(1);
  });

  test("a clock that was set back makes them anew", () => {
    const { get, clock } = authority();
    const first = get("a.test");
    clock.now = NOW_MS - 5 * 3_600_000;
    const second = get("a.test");
    expect(second.id).not.toBe(first.id);
    expectTrusted(second, clock.now);
  });

  test("those not asked for the longest are forgotten", () => {
    const { get, ca } = authority({ namesMax: 3 });
    const names = (): string => ca.certificates.flatMap(({ names: all }) => all).join(" ");
    for (const name of ["a", "b", "c"]) get(name);
    get("a");
    get("d");
    expect(names()).toBe("c a d");
  });

  test("only so many new ones in a time; what is there is still given out", () => {
    const { get, kind, clock } = authority({ issuedPerSecond: 10, issuedAtOnce: 2 });
    const first = get("a.test");
    get("b.test");
    expect(kind("c.test")).toBe("busy");
    expect(get("a.test")).toBe(first);
    clock.now += 100;
    expect([kind("c.test"), kind("d.test")]).toEqual(["certificate", "busy"]);
    clock.now += 5 * DAY_MS; // a, b and c are due, and two can be made
    expect([get("b.test"), get("c.test")].every(({ notBeforeMs }) => notBeforeMs > NOW_MS)).toBe(true);
    expect(get("a.test")).toBe(first);
  });

  test("none outlives the root", () => {
    const { get, clock } = authority();
    clock.now = root!.notAfterMs - DAY_MS;
    expect(get("a.test").notAfterMs).toBe(root!.notAfterMs);
  });
});

test("a placeholder stands in for any number of names", () => {
  const names = Array.from({ length: 1000 }, (_, n) => `n${n}.example`);
  const placeholder = placeholderCertificate(names, NOW_MS);
  expect(placeholder).toMatchObject({ selfSigned: true, chainLength: 1, names });
  expect(new X509Certificate(placeholder.chainPem).checkHost("n0.example")).toBe("n0.example");
});

test("the storage folder", () => {
  expect(defaultStorageFolder({ XDG_DATA_HOME: "/data" }, 0)).toBe("/var/lib/sluice");
  expect(defaultStorageFolder({ XDG_DATA_HOME: "/data", HOME: "/h" }, 1000)).toBe("/data/sluice");
  expect(defaultStorageFolder({ XDG_DATA_HOME: "relative", HOME: "/h" }, 1000)).toBe("/h/.local/share/sluice");
  expect(defaultStorageFolder({ HOME: "/h" }, 1000)).toBe("/h/.local/share/sluice");
});
