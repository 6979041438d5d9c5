import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { refusingPort } from "../../test/support/ports.ts";
import { until } from "../../test/support/wait.ts";
import { checkConfig } from "../config/load.ts";
import type { Config, ConfigInput } from "../config/schema.ts";
import { createLog } from "../observe/log.ts";
import { TestCa } from "../transport/tls.testing.ts";
import { Certificates, type OrderResult } from "./certificates.ts";

type Tls = NonNullable<ConfigInput["listeners"][number]["tls"]>;
const HOUR_MS = 3_600_000;

let folder: string;
let now = 0;
let changes: string[];
let log: string[];
let ordered: OrderResult[];
let certificates: Certificates;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "certificates-"));
  now = Date.now();
  changes = [];
  log = [];
  ordered = [];
  certificates = new Certificates({
    log: createLog("info", { write: (line) => log.push(line) }),
    now: () => now,
    changed: (listener) => changes.push(listener),
    onChallenge: async () => {},
    onOrdered: (result) => ordered.push(result),
  });
});
afterEach(async () => {
  await certificates.stop();
  rmSync(folder, { recursive: true });
});

const write = (name: string, text: string): string => {
  writeFileSync(join(folder, name), text);
  return join(folder, name);
};
async function pair(ca: TestCa, name: string, names: readonly string[]) {
  const { certPem, keyPem } = await ca.issue({ names });
  return { cert: write(`${name}.crt`, certPem), key: write(`${name}.key`, keyPem) };
}
const configOf = (...all: readonly Tls[]): Config =>
  checkConfig({
    listeners: [{ address: ":80" }, ...all.map((tls, at) => ({ address: `:${443 + at}`, tls }))],
    storage: folder,
    routes: [{ respond: {} }],
  }).config;
/** The sources and names of all that an update brings. */
const content = (update: ReturnType<Certificates["update"]>): string[] =>
  (update?.added ?? []).map(({ source, names }) => `${source} ${names.join("+")}`);
const listed = (): string[] =>
  certificates
    .report()
    .map(({ listener, source, names }) => `${listener} ${source} ${names[0]}`)
    .sort();

describe("from files", () => {
  test("ready before they are in use, for listeners with TLS alone; then they are followed", async () => {
    const ca = await TestCa.make();
    const config = configOf(
      { certificates: [await pair(ca, "a", ["a.test"])] },
      { certificates: [await pair(ca, "b", ["b.test"])] },
    );
    const prepared = certificates.prepare(config);
    expect(prepared.updates.map((update) => [update.listener, ...content(update)])).toEqual([
      [":443", "file a.test"],
      [":444", "file b.test"],
    ]);
    expect([certificates.updates, certificates.report(), certificates.update(":443", new Set())]).toEqual([
      [],
      [],
      null,
    ]);
    await prepared.commit();
    expect(listed()).toEqual([":443 file a.test", ":444 file b.test"]);
    await pair(ca, "a", ["a2.test"]);
    await until(() => changes.length > 0, "the change");
    expect(changes).toEqual([":443"]);
    const known = new Set(prepared.updates[0]!.ids);
    expect(content(certificates.update(":443", known))).toEqual(["file a2.test"]);
    expect(content(certificates.update(":444", new Set(prepared.updates[1]!.ids)))).toEqual([]);
  });

  test("a configuration that is discarded, or has been replaced, changes nothing any more", async () => {
    const ca = await TestCa.make();
    const [a, b, c] = [
      await pair(ca, "a", ["a.test"]),
      await pair(ca, "b", ["b.test"]),
      await pair(ca, "c", ["c.test"]),
    ];
    await certificates.prepare(configOf({ certificates: [a] })).commit();
    certificates.prepare(configOf({ certificates: [b] })).discard();
    expect(listed()).toEqual([":443 file a.test"]);
    await certificates.prepare(configOf({ certificates: [c] })).commit();
    await pair(ca, "a", ["a2.test"]);
    await pair(ca, "c", ["c2.test"]);
    await until(() => changes.length > 0, "the change");
    expect([changes, listed()]).toEqual([[":443"], [":443 file c2.test"]]);
  });
});

describe("CAs of clients", () => {
  test("come with the certificates of their listener, those of policies too, and are followed", async () => {
    const ca = await TestCa.make();
    const files = await pair(ca, "a", ["a.test"]);
    const [one, two] = [write("one.pem", ca.pem), write("two.pem", ca.pem)];
    const policies = [{ hosts: ["b.test"], clientAuth: { ca: two } }];
    const config = configOf({ certificates: [files], clientAuth: { ca: one }, policies }, { certificates: [files] });
    const prepared = certificates.prepare(config);
    expect(prepared.updates.map(({ trusted }) => trusted.map((each) => each.ca))).toEqual([[one, two], []]);
    await prepared.commit();
    const next = await TestCa.make("next");
    write("two.pem", next.pem);
    await until(() => changes.length > 0, "the change");
    expect(changes).toEqual([":443"]);
    const { added, trusted } = certificates.update(":443", new Set(prepared.updates[0]!.ids))!;
    expect([added.length, trusted.map(({ caPem }) => caPem)]).toEqual([0, [ca.pem, next.pem]]);
  });

  test("files that cannot be used are an error that names them", () => {
    const bad = configOf({ internal: true, clientAuth: { ca: write("bad.pem", "garbage") } });
    expect(() => certificates.prepare(bad)).toThrow("bad.pem");
  });
});

describe("by the local CA", () => {
  test("for this machine at once, for other names when they are asked for, and all of them are listed", async () => {
    const config = configOf({ internal: true }, { certificates: [await pair(await TestCa.make(), "a", ["a.test"])] });
    await certificates.prepare(config).commit();
    const answer = await certificates.answer(":443", "new.test");
    expect(answer.certificate).toMatchObject({ source: "internal", names: ["new.test"] });
    await certificates.answer(":443", "NEW.test");
    expect(listed()).toEqual([":443 internal localhost", ":443 internal new.test", ":444 file a.test"]);
    // Nobody else's business: the other listener makes none.
    expect(await certificates.answer(":444", "new.test")).toMatchObject({ certificate: null });
    // It is not renewed unless somebody asks for it, so it goes when it is over.
    now += 8 * 24 * HOUR_MS;
    expect(listed()).not.toContain(":443 internal new.test");
    await certificates.answer(":443", "new.test");
    expect(listed()).toContain(":443 internal new.test");
    await certificates.prepare(configOf({ certificates: [await pair(await TestCa.make(), "a", ["a.test"])] })).commit();
    expect(listed()).toEqual([":443 file a.test"]);
  });

  test("names that cannot be are refused for longer than those for which there was no time", async () => {
    await certificates.prepare(configOf({ internal: true })).commit();
    expect(await certificates.answer(":443", "not a name")).toEqual({ certificate: null, refusedMs: 600_000 });
    let busy: unknown = null;
    for (let i = 0; i < 1500 && busy === null; i += 1) {
      const answer = await certificates.answer(":443", `n${i}.test`);
      if (answer.certificate === null) busy = answer;
    }
    expect(busy).toEqual({ certificate: null, refusedMs: 1000 });
  });

  test("the same root for all configurations", async () => {
    const issuer = (): string => certificates.report()[0]!.issuer;
    await certificates.prepare(configOf({ internal: true })).commit();
    const first = issuer();
    await certificates.prepare(configOf({ internal: true, minVersion: "1.3" })).commit();
    expect(issuer()).toBe(first);
  });
});

describe("from an authority", () => {
  const fromCa = (domains: readonly string[]): Tls => ({ acme: { email: "a@b.test", domains: [...domains] } });

  test("one placeholder for all names that wait, behind what files have", async () => {
    const files = await pair(await TestCa.make(), "a", ["a.test"]);
    const prepared = certificates.prepare(configOf({ certificates: [files], ...fromCa(["b.test", "C.test"]) }));
    expect(content(prepared.updates[0]!)).toEqual([
      "file a.test",
      expect.stringMatching(/^placeholder b\.test\+c\.test$/i),
    ]);
    prepared.discard();
  });

  test("that cannot be reached: the order counts as failed, and the metric says that the name has none", async () => {
    const directory = `https://127.0.0.1:${await refusingPort()}/directory`;
    const acme = { email: "a@b.test", domains: ["b.test"], directory };
    await certificates.prepare(configOf({ acme })).commit();
    expect(certificates.expiry()).toEqual([{ name: "b.test", value: 0 }]);
    await until(() => ordered.length > 0, "the order");
    expect(ordered).toEqual(["failed"]);
    expect(certificates.expiry()).toEqual([{ name: "b.test", value: 0 }]);
  });

  test("without any there is nothing to answer", async () => {
    await certificates.prepare(configOf({ internal: true })).commit();
    expect([await certificates.responseTo("token"), certificates.challenges]).toEqual([null, []]);
  });
});
