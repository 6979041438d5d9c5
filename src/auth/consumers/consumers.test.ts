// Whose credentials are whose: by what each way of authentication vouches for, and never by what somebody calls himself.
import { describe, expect, test } from "bun:test";
import type { CredentialConfig } from "../../config/schema-consumers.ts";
import { consumersSchema } from "../../config/schema-consumers.ts";
import type { Identity } from "../../pipeline/identity.ts";
import { type Shared, UNSHARED } from "../../pipeline/shared.ts";
import { Consumers, configuredConsumers, originalOf } from "./consumers.ts";
import { consumerEntry, credentialEntry } from "./entries.ts";
import { ConsumerTable } from "./table.ts";
import { TableWriter } from "./table-writer.ts";

const ISSUER = "https://issuer.example";
const START = Date.parse("2026-06-01T00:00:00Z");
const BCRYPT = "$2y$05$XTDprtpV4PaUkM.pdiJy8e2HDDyf3gibXyFH6bt3Mpbck49ROVaQy";
const digestOf = (key: string): Buffer => new Bun.CryptoHasher("sha256").update(key).digest();
const hashed = (key: string): string => `sha256:${digestOf(key).toString("hex")}`;

class Rig {
  now = START;
  readonly writer: TableWriter;
  readonly consumers: Consumers;

  constructor(config: object = {}) {
    const live = { current: new ConsumerTable(new SharedArrayBuffer(0)) };
    this.writer = new TableWriter((memory) => {
      live.current = new ConsumerTable(memory);
    });
    live.current = new ConsumerTable(this.writer.memory);
    const shared: Shared = { ...UNSHARED, live: () => live as never, wallNow: () => this.now };
    this.consumers = new Consumers(consumersSchema.parse(config), shared);
  }

  put(name: string, credential: Partial<CredentialConfig>, more: object = {}): void {
    const settings = { groups: [], scopes: [], disabled: false, claims: {}, ...more };
    const one = { disabled: false, ...credential };
    this.writer.put(consumerEntry(name, settings), [credentialEntry("x", one)]);
  }
  /** What becomes of a key. */
  key(text: string): string {
    const found = this.consumers.ofKey(digestOf(text));
    return found === undefined ? "unknown" : "user" in found ? found.consumer : found.why;
  }
  whose(identity: Partial<Identity>): string {
    const judged = this.consumers.judge(identityOf(identity));
    return judged === null ? "nobody" : "user" in judged ? judged.consumer : judged.why;
  }
}

const identityOf = (more: Partial<Identity>): Identity => ({
  ...{ kind: "jwt", user: "ann", issuer: ISSUER, groups: [], scopes: [], plan: "" },
  ...{ consumer: "", limits: null, claims: { sub: "s1" }, ...more },
});

const CONFIG = {
  byToken: { credentials: [{ jwt: { issuer: ISSUER, subject: "s1" } }] },
  bySession: { credentials: [{ oidc: { issuer: ISSUER, subject: "s2" } }] },
  byClient: { credentials: [{ oidc: { issuer: ISSUER, clientId: "c1" } }] },
  byName: { credentials: [{ mtls: { subject: "CN=robot,O=Example" } }] },
  byCa: { credentials: [{ mtls: { subject: "CN=robot,O=Example", issuer: "CN=inner" } }] },
  byPrint: { credentials: [{ mtls: { fingerprint: `${"AB:".repeat(31)}AB` } }] },
  byUser: { credentials: [{ basic: { user: "ann" } }] },
  byPassword: { credentials: [{ basic: { user: "bob", password: BCRYPT } }] },
  off: { disabled: true, credentials: [{ jwt: { issuer: ISSUER, subject: "off" } }] },
  over: { expires: "2026-05-30", credentials: [{ jwt: { issuer: ISSUER, subject: "over" } }] },
};

const certificate = (subject: string, issuer: string, fingerprint = "00"): Partial<Identity> => ({
  ...{ kind: "mtls", user: subject, issuer, claims: { subject, issuer, fingerprint } },
});

describe("identities", () => {
  const CASES: readonly (readonly [name: string, identity: Partial<Identity>, want: string])[] = [
    ["a token", {}, "byToken"],
    ["a token that was asked about", { kind: "introspection" }, "byToken"],
    ["a token of another issuer", { issuer: "https://other.example" }, "nobody"],
    ["a token without a subject", { claims: {} }, "nobody"],
    ["a token whose user is called like a subject", { user: "s1", claims: { sub: "other" } }, "nobody"],
    ["a subject that is no text", { claims: { sub: ["s1"] } }, "nobody"],
    ["a token of a session's subject", { claims: { sub: "s2" } }, "bySession"],
    ["a token of a client", { claims: { sub: "c1", client_id: "c1" } }, "byClient"],
    ["a token for a client", { claims: { sub: "x", azp: "c1" } }, "byClient"],
    ["a token whose client is another", { claims: { sub: "x", client_id: "c2", azp: "c1" } }, "nobody"],
    ["a session", { kind: "oidc", claims: { sub: "s2" } }, "bySession"],
    ["a session with the subject of tokens", { kind: "oidc", claims: { sub: "s1" } }, "nobody"],
    ["a session of a client", { kind: "oidc", claims: { sub: "x", azp: "c1" } }, "nobody"],
    ["a certificate", certificate("O=Example, CN=robot", "CN=any"), "byName"],
    ["a certificate of a CA", certificate("CN=robot,O=Example", "CN=inner"), "byCa"],
    ["a certificate with more in its name", certificate("CN=robot,O=Example,OU=x", "CN=inner"), "nobody"],
    ["a certificate by its digest", certificate("CN=x", "CN=y", "ab".repeat(32)), "byPrint"],
    ["a user of a list", { kind: "basic", issuer: "", user: "ann" }, "byUser"],
    ["a user of a list who is called like one with a password", { kind: "basic", user: "bob" }, "nobody"],
    ["a user of a directory", { kind: "ldap", user: "ann" }, "nobody"],
    ["what an auth server says", { kind: "forward", user: "ann" }, "nobody"],
    ["a key of the route", { kind: "apiKey", user: "byToken", issuer: "" }, "nobody"],
    ["somebody who is disabled", { claims: { sub: "off" } }, "the consumer is disabled"],
    ["somebody who has ended", { claims: { sub: "over" } }, "the consumer or the credential has expired"],
    ["somebody who is known as a consumer already", { consumer: "whoever" }, "whoever"],
  ];
  for (const [name, identity, want] of CASES)
    test(name, () => {
      expect(new Rig(CONFIG).whose(identity)).toBe(want);
    });

  test("become those of the consumer, and remain what they were besides", () => {
    const rig = new Rig({
      acme: {
        ...{ groups: ["g"], scopes: ["read", "write"], plan: "gold", claims: { tenant: 1 }, limits: { rate: "5/s" } },
        credentials: [{ jwt: { issuer: ISSUER, subject: "s1" }, scopes: ["read", "admin"] }],
      },
    });
    const before = identityOf({ groups: ["h", "g"], claims: { sub: "s1", tenant: 2, email: "e" }, plan: "free" });
    const mapped = rig.consumers.judge(before) as Identity;
    expect(mapped).toMatchObject({
      ...{ kind: "jwt", user: "ann", issuer: ISSUER, consumer: "acme", plan: "gold", groups: ["g", "h"] },
      ...{ claims: { sub: "s1", tenant: 1, email: "e" }, limits: { rate: { count: 5 } }, scopes: ["read", "admin"] },
    });
    expect(originalOf(mapped)).toBe(before);
    expect(originalOf(before)).toBe(before);
    // A token is for what it names, and of that for what its credential allows.
    const named = rig.consumers.judge(identityOf({ scopes: ["write", "admin"] })) as Identity;
    expect(named.scopes).toEqual(["admin"]);
    expect(rig.consumers.judge(before)).toBe(mapped);
  });
});

describe("the table", () => {
  test("is looked at behind the configuration, and followed at once", () => {
    const rig = new Rig({ own: { credentials: [{ apiKey: hashed("a") }] } });
    expect([rig.key("a"), rig.key("b")]).toEqual(["own", "unknown"]);
    rig.put("acme", { apiKey: hashed("b") });
    rig.put("thief", { apiKey: hashed("a") });
    expect([rig.key("a"), rig.key("b")]).toEqual(["own", "acme"]);
    rig.put("acme", { apiKey: hashed("b") }, { disabled: true });
    expect(rig.key("b")).toBe("the consumer is disabled");
    rig.put("acme", { apiKey: hashed("b"), disabled: true });
    expect(rig.key("b")).toBe("the credential is disabled");
    rig.put("acme", { apiKey: hashed("b"), expires: "2026-06-01T00:00:01Z" });
    expect(rig.key("b")).toBe("acme");
    rig.now += 1000;
    expect(rig.key("b")).toBe("the consumer or the credential has expired");
    rig.writer.remove("acme");
    expect(rig.key("b")).toBe("unknown");
  });

  test("makes somebody who was nobody a consumer, and the other way", () => {
    const rig = new Rig();
    const identity = identityOf({});
    const judge = (): string | null => {
      const judged = rig.consumers.judge(identity);
      return judged !== null && "user" in judged ? judged.consumer : null;
    };
    expect(judge()).toBeNull();
    rig.put("acme", { jwt: { issuer: ISSUER, subject: "s1" } });
    expect(judge()).toBe("acme");
    const permission = rig.consumers.permissionOf(rig.consumers.judge(identity) as Identity, () => true)!;
    rig.put("acme", { jwt: { issuer: ISSUER, subject: "s1" } }, { groups: ["new"] });
    expect(permission.isOver(START)).toBe(false);
    rig.writer.remove("acme");
    expect([judge(), permission.isOver(START)]).toEqual([null, true]);
  });

  test("ends what somebody has under way who is no longer one of those who may", () => {
    const rig = new Rig();
    const asked: Identity[] = [];
    const may = (identity: Identity): boolean => {
      asked.push(identity);
      return identity.groups.includes("staff") && identity.groups.includes("g");
    };
    const put = (groups: readonly string[]): void => {
      rig.put("key", { apiKey: hashed("a") }, { groups });
      rig.put("token", { jwt: { issuer: ISSUER, subject: "s1" } }, { groups });
    };
    put(["staff", "g"]);
    const found = [rig.consumers.ofKey(digestOf("a")), rig.consumers.judge(identityOf({ groups: ["g"] }))];
    const all = found.map((identity) => rig.consumers.permissionOf(identity as Identity, may)!);
    const over = (): boolean[] => all.map((permission) => permission.isOver(START));
    expect([over(), asked.length]).toEqual([[false, false], 0]);
    put(["staff"]);
    expect(over()).toEqual([true, false]);
    expect(asked.map(({ kind, consumer }) => [kind, consumer])).toEqual([
      ["apiKey", "key"],
      ["jwt", "token"],
    ]);
    put(["g"]);
    expect(over()).toEqual([true, true]);
  });

  test("makes somebody another consumer once a credential says more exactly who it is", () => {
    const rig = new Rig();
    const identity = identityOf({ claims: { sub: "s1", azp: "c1" } });
    const judge = (): string | null => {
      const judged = rig.consumers.judge(identity);
      return judged === null ? null : "user" in judged ? judged.consumer : judged.why;
    };
    rig.put("app", { oidc: { issuer: ISSUER, clientId: "c1" } });
    expect(judge()).toBe("app");
    const before = rig.consumers.judge(identity);
    rig.put("other", { apiKey: hashed("x") });
    expect(rig.consumers.judge(identity)).toBe(before);
    rig.put("ann", { jwt: { issuer: ISSUER, subject: "s1" } }, { disabled: true });
    expect(judge()).toBe("the consumer is disabled");
    rig.writer.remove("ann");
    expect(judge()).toBe("app");
  });

  test("has credentials of consumers of the configuration, which says who they are", () => {
    const rig = new Rig({ own: { groups: ["of the file"], plan: "gold" } });
    const put = (name: string): void => {
      const entry = consumerEntry(name, { groups: ["of the table"], scopes: [], disabled: false, claims: {} });
      const details = { ...entry.details, isConfigured: true };
      rig.writer.put({ ...entry, details }, [credentialEntry("x", { disabled: false, apiKey: hashed(name) })]);
    };
    put("own");
    put("forgotten");
    expect([rig.key("own"), rig.key("forgotten")]).toEqual(["own", "unknown"]);
    const identity = rig.consumers.ofKey(digestOf("own")) as Identity;
    expect([identity.groups, identity.plan]).toEqual([["of the file"], "gold"]);
  });

  test("has passwords and keys for signatures", () => {
    const rig = new Rig(CONFIG);
    expect(rig.consumers.withPassword("bob")?.consumer.name).toBe("byPassword");
    expect(rig.consumers.withPassword("ann")).toBeNull();
    rig.put("acme", { signature: { keyId: "k", algorithm: "hmac-sha256", secret: "s".repeat(32) } });
    const known = rig.consumers.signer("k")!;
    expect([known.identity.consumer, rig.consumers.isCurrent(known.identity)]).toEqual(["acme", true]);
    rig.writer.remove("acme");
    expect([rig.consumers.signer("k"), rig.consumers.isCurrent(known.identity)]).toEqual([null, false]);
  });
});

describe("a configuration with", () => {
  const key = { apiKey: hashed("a") };
  const CASES: readonly (readonly [name: string, config: object, path: string, message: RegExp])[] = [
    ["a key twice", { a: { credentials: [key] }, b: { credentials: [key] } }, "b.credentials.0", /"a" has the same/],
    [
      "a password that is no hash",
      { a: { credentials: [{ basic: { user: "x", password: "y" } }] } },
      "a.credentials.0.basic.password",
      /no hash/,
    ],
    [
      "a name that is none",
      { a: { credentials: [{ mtls: { subject: "x" } }] } },
      "a.credentials.0.mtls.subject",
      /CN=/,
    ],
    [
      "a signature without a secret",
      { a: { credentials: [key, { signature: { keyId: "k" } }] } },
      "a.credentials.1.signature",
      /needs a `secret`/,
    ],
  ];
  for (const [name, config, path, message] of CASES)
    test(`${name} is refused`, () => {
      try {
        configuredConsumers(consumersSchema.parse(config));
        expect.unreachable();
      } catch (error) {
        expect((error as { path: unknown[] }).path.join(".")).toBe(path);
        expect((error as Error).message).toMatch(message);
      }
    });
});
