import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { readCertificate } from "../certificates/certificate.ts";
import type { TrustedPem } from "../certificates/client-trust.ts";
import type { NameAnswer } from "../certificates/contexts.ts";
import type { CertificateUpdate, ServedCertificate } from "../certificates/served.ts";
import { served } from "../certificates/store.ts";
import { checkConfig } from "../config/load.ts";
import type { ConfigInput, ListenerConfig } from "../config/schema.ts";
import { TimerWheel } from "../core/timers.ts";
import { createLog } from "../observe/log.ts";
import { Metrics } from "../observe/metrics.ts";
import { ChallengeAnswers } from "../server/challenge-answers.ts";
import { TestCa } from "../transport/tls.testing.ts";
import { ListenerTls } from "./listener-tls.ts";

type Tls = NonNullable<ConfigInput["listeners"][number]["tls"]>;
const CA = "/clients.pem";
const REFUSED: NameAnswer = { certificate: null, refusedMs: 60_000 };
const FILES = { certificates: [{ cert: "a.crt", key: "a.key" }] };

let folder: string;
let ca: TestCa;
let one: ServedCertificate;
let two: ServedCertificate;
let trusted: TrustedPem;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "listener-tls-"));
  ca = await TestCa.make();
  const issue = async (name: string): Promise<ServedCertificate> => {
    const { certPem, keyPem } = await ca.issue({ names: [name] });
    return served(readCertificate(certPem, keyPem).certificate!, "file");
  };
  [one, two] = [await issue("one.test"), await issue("two.test")];
  trusted = { ca: CA, crl: undefined, caPem: ca.pem, crlPem: undefined };
});
afterAll(() => rmSync(folder, { recursive: true }));

const optionsOf = (tls: Tls): ListenerConfig =>
  checkConfig({ listeners: [{ address: ":443", tls }], routes: [{ respond: {} }] }).config.listeners[0]!;
const updateOf = (all: readonly ServedCertificate[], more: Partial<CertificateUpdate> = {}): CertificateUpdate => ({
  listener: ":443",
  ids: all.map(({ id }) => id),
  added: [...all],
  trusted: [],
  ...more,
});

function make(tls: Tls, update: CertificateUpdate | null = updateOf([one, two])) {
  const log: string[] = [];
  const asked: string[] = [];
  const listener = new ListenerTls(":443", optionsOf(tls), update, {
    wheel: new TimerWheel(() => 0),
    log: createLog("info", { write: (line) => log.push(line) }),
    metrics: new Metrics(() => {}),
    answers: new ChallengeAnswers(),
    ask: async (name, server) => {
      asked.push(`${name} ${server}`);
      return REFUSED;
    },
  });
  const { select } = listener.listenerOptions();
  return { listener, log, asked, select: select! };
}

describe("certificates", () => {
  test("each name has its context, made once; the first certificate is for clients without a name", async () => {
    const { listener, select } = make(FILES);
    expect(listener.settings.fallback).toEqual([{ certPem: one.chainPem, keyPem: one.keyPem }]);
    const first = select("one.test");
    expect([first === select("ONE.test"), first !== select("two.test"), await select("other.test")]).toEqual([
      true,
      true,
      null,
    ]);
    listener.update(updateOf([two, one], { added: [] }));
    expect([select("one.test") === first, listener.settings.fallback?.[0]?.certPem]).toEqual([true, two.chainPem]);
    listener.update(updateOf([two], { added: [] }));
    expect([await select("one.test"), select("two.test") === null]).toEqual([null, false]);
  });

  test("without any there is no default", () => {
    expect(make({ internal: true }, null).listener.settings.fallback).toBeNull();
  });

  test("one that cannot be used is told, and costs nobody else anything", async () => {
    const { log, select } = make(FILES, updateOf([{ ...one, keyPem: two.keyPem }, two]));
    expect([await select("one.test"), select("two.test") === null]).toEqual([null, false]);
    expect(log.join("")).toContain("a certificate cannot be used");
    expect(log.join("")).toContain("one.test");
  });

  test("unknown names are asked for only where certificates are made on demand", async () => {
    const { listener, asked, select } = make(FILES);
    await select("new.test");
    expect(asked).toEqual([]);
    listener.options = optionsOf({ internal: true });
    expect(await select("new.test")).toBeNull();
    expect(await select("new.test")).toBeNull();
    expect(asked).toEqual([":443 new.test"]);
    // A refusal of before is another matter once the listener is.
    listener.options = optionsOf(FILES);
    listener.options = optionsOf({ internal: true });
    await select("new.test");
    expect(asked).toEqual([":443 new.test", ":443 new.test"]);
  });
});

describe("terms by name", () => {
  const policies = [
    { hosts: ["two.test"], clientAuth: { ca: CA } },
    { hosts: ["new.test"], minVersion: "1.3" as const },
  ];
  const terms: Tls = { ...FILES, policies };
  const all = (): CertificateUpdate => updateOf([one, two], { trusted: [trusted] });

  test("names of one policy share its terms; without a name the strictest hold", () => {
    const { listener } = make(terms, all());
    const strict = listener.termsFor("two.test");
    expect([listener.termsFor(null), listener.termsFor("10.0.0.1")]).toEqual([strict, strict]);
    expect([strict.policy?.needsCertificate, listener.termsFor("one.test").policy?.needsCertificate]).toEqual([
      true,
      false,
    ]);
    expect(listener.termsFor("new.test")).not.toBe(listener.termsFor("one.test"));
    expect(listener.termsFor("two.test")).toBe(strict);
    expect(strict.native).toMatchObject({ requestCert: true });
    expect(listener.termsFor("one.test").native).toMatchObject({ requestCert: false });
    expect(listener.settings.requestClientCertificate).toBe(false);
  });

  test("other certificates, other CAs: what was made of those of before is not used again", async () => {
    const { listener, select } = make(terms, all());
    const [strict, usual] = [listener.termsFor("two.test"), listener.termsFor("one.test")];
    const [strictContext, usualContext] = [select("two.test"), select("one.test")];
    listener.update(updateOf([one, two], { added: [], trusted: [{ ...trusted }] })); // the same again
    expect([select("two.test"), select("one.test")]).toEqual([strictContext, usualContext]);
    const next = await TestCa.make("next");
    listener.update(updateOf([one, two], { added: [], trusted: [{ ...trusted, caPem: next.pem }] }));
    expect(select("two.test")).not.toBe(strictContext);
    expect(select("one.test")).toBe(usualContext);
    expect([listener.termsFor("two.test") === strict, listener.termsFor("one.test") === usual]).toEqual([false, false]);
  });

  test("a reload keeps what has the same terms", () => {
    const { listener, select } = make(terms, all());
    const [before, other] = [select("two.test"), select("one.test")];
    listener.options = optionsOf({ ...FILES, policies: policies.slice(0, 1) });
    expect([select("two.test"), select("one.test")]).toEqual([before, other]);
    listener.options = optionsOf({ ...FILES, minVersion: "1.3", policies: [] });
    expect([listener.settings.minVersion, listener.policies.all.length]).toEqual(["1.3", 1]);
    expect(select("two.test")).not.toBe(before);
  });

  test("nobody is believed by other CAs than those of the policy", () => {
    expect(() => make(terms, updateOf([one, two]))).toThrow(`the CAs of clients are not there: ${CA}`);
    expect(() => make({ ...FILES, clientAuth: { ca: CA } }, null)).toThrow(CA);
    const { listener, log } = make(FILES, updateOf([one]));
    const before = listener.policies;
    listener.options = optionsOf(terms);
    expect(log.join("")).toContain("the terms of TLS stay those of before");
    expect(listener.policies).toBe(before);
    expect(listener.termsFor("two.test").policy?.needsCertificate).toBe(false);
  });

  test("CAs that have gone from an update stay for those whose terms need them", () => {
    const { listener } = make(terms, all());
    listener.update(updateOf([one, two], { added: [] }));
    expect(listener.termsFor("two.test").policy?.needsCertificate).toBe(true);
  });
});

test("keys of connections go to the file that is asked for, and nobody else can read it", () => {
  const keyLog = join(folder, "keys.txt");
  const { listener, log } = make({ ...FILES, keyLog });
  const write = listener.listenerOptions().keyLog!;
  write("CLIENT_RANDOM a b");
  write("CLIENT_RANDOM c d");
  expect(readFileSync(keyLog, "utf8")).toBe("CLIENT_RANDOM a b\nCLIENT_RANDOM c d\n");
  expect(statSync(keyLog).mode & 0o777).toBe(0o600);
  expect(log).toEqual([]);
  const nowhere = make({ ...FILES, keyLog: join(folder, "none", "keys.txt") });
  nowhere.listener.listenerOptions().keyLog!("x");
  expect(nowhere.log.join("")).toContain("the key log cannot be written");
  expect(make(FILES).listener.listenerOptions().keyLog).toBeUndefined();
});
