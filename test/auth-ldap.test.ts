// Passwords that a directory knows, asked of OpenLDAP.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { type Message, request } from "./support/message.ts";
import { exchange } from "./support/peer.ts";
import { refusingPort } from "./support/ports.ts";
import { startProxy, type TestProxy } from "./support/proxy.ts";
import { Slapd } from "./support/slapd.ts";
import { Pki } from "./support/tls.ts";

const person = (uid: string, more = ""): string => `dn: uid=${uid},ou=people,dc=example,dc=com
objectClass: inetOrgPerson
uid: ${uid}
cn: ${uid}
sn: ${uid}
mail: ${uid}@example.com
userPassword: secret of ${uid}
${more}
`;
const group = (cn: string, members: readonly string[]): string => `dn: cn=${cn},ou=groups,dc=example,dc=com
objectClass: groupOfNames
cn: ${cn}
${members.map((uid) => `member: uid=${uid},ou=people,dc=example,dc=com`).join("\n")}

`;
const unit = (ou: string): string => `dn: ou=${ou},dc=example,dc=com\nobjectClass: organizationalUnit\nou: ${ou}\n\n`;
const ENTRIES = `dn: dc=example,dc=com
objectClass: dcObject
objectClass: organization
dc: example
o: Example

${unit("people")}${unit("groups")}${person("ann", "departmentNumber: 7\n")}${person("bob")}${person("jörg")
  .replace(/mail.*/, "mail: j@example.com")
  .replace(
    /^(dn|uid|cn|sn|userPassword): (.*)$/gm,
    (_, key, value) => `${key}:: ${Buffer.from(value).toString("base64")}`,
  )}${person("(x)*")}${group("staff", ["ann"])}${group("ops", ["ann", "bob"])}`;

let pki: Pki;
let slapd: Slapd;
let proxy: TestProxy;
let address = 0;

const ask = (path: string, user: string, password: string): Promise<Message> => {
  address += 1;
  const token = Buffer.from(`${user}:${password}`).toString("base64");
  const fields = [`X-Forwarded-For: 198.18.0.${address}`, `Authorization: Basic ${token}`];
  return exchange(proxy.port, request(path, fields));
};

beforeAll(async () => {
  pki = await Pki.make();
  slapd = await Slapd.start(ENTRIES, await pki.files("ldap", { names: ["localhost"] }));
  const plain = `ldap://127.0.0.1:${slapd.port}`;
  const people = "ou=people,dc=example,dc=com";
  const service = { bindDn: "cn=manager,dc=example,dc=com", bindPassword: "manager" };
  const groups = { base: "ou=groups,dc=example,dc=com" };
  const secured = { url: `ldaps://localhost:${slapd.securePort}`, base: people, ...service };
  const respond = { body: "{user} {claim.email} {claim.dn}" };
  proxy = await startProxy({
    trustedProxies: ["127.0.0.1"],
    routes: [
      { match: { path: "/search" }, auth: { ldap: { url: plain, base: people, ...service } }, respond },
      {
        match: { path: "/template" },
        auth: { ldap: { url: plain, userDn: `uid={user},${people}`, groups }, require: { groups: ["staff"] } },
        respond,
      },
      { match: { path: "/all" }, auth: { ldap: { url: plain, userDn: `uid={user},${people}` } }, respond },
      {
        match: { path: "/groups" },
        auth: { ldap: { url: plain, base: people, ...service, groups }, allow: { groups: ["staff"] } },
        respond,
      },
      {
        match: { path: "/number" },
        auth: {
          ldap: { url: plain, base: people, ...service, groupsAttribute: "departmentNumber" },
          allow: { groups: ["7"], emails: ["bob@example.com"] },
        },
        respond,
      },
      {
        match: { path: "/several" },
        auth: { ldap: { url: plain, base: people, ...service, filter: "(|(uid={user})(uid=ann))" } },
        respond,
      },
      { match: { path: "/secure" }, auth: { ldap: { ...secured, tls: { ca: pki.caFile } } }, respond },
      {
        match: { path: "/start" },
        auth: { ldap: { ...secured, url: `ldap://localhost:${slapd.port}`, startTls: true, tls: { ca: pki.caFile } } },
        respond,
      },
      { match: { path: "/untrusted" }, auth: { ldap: secured }, respond },
      {
        match: { path: "/gone" },
        auth: { ldap: { url: `ldap://127.0.0.1:${await refusingPort()}`, base: people } },
        respond,
      },
      {
        match: { path: "/denied" },
        auth: { ldap: { url: plain, base: people, bindDn: service.bindDn, bindPassword: "wrong" } },
        respond,
      },
    ],
  });
}, 20_000);
afterAll(async () => {
  await proxy[Symbol.asyncDispose]();
  await slapd[Symbol.asyncDispose]();
  pki[Symbol.dispose]();
});

describe("who gets in", () => {
  const ANN = "ann ann@example.com uid=ann,ou=people,dc=example,dc=com";
  const CASES: readonly (readonly [
    name: string,
    path: string,
    user: string,
    password: string,
    want: number | string | RegExp,
  ])[] = [
    ["by a search", "/search", "ann", "secret of ann", ANN],
    ["in another case: the directory says who it is", "/search", "ANN", "secret of ann", ANN],
    ["a wrong password", "/search", "ann", "secret of bob", 401],
    ["no password, which directories take for nobody's", "/search", "ann", "", 401],
    ["somebody unknown", "/search", "carl", "secret of carl", 401],
    ["a star is no wildcard", "/search", "a*", "secret of ann", 401],
    ["a filter within the name", "/search", "ann)(uid=*", "secret of ann", 401],
    [
      "a name of such characters",
      "/search",
      "(x)*",
      "secret of (x)*",
      "(x)* (x)*@example.com uid=(x)*,ou=people,dc=example,dc=com",
    ],
    ["by a template", "/template", "ann", "secret of ann", ANN],
    ["a name that would be another's", "/template", "ann,ou=people", "secret of ann", 401],
    ["by a template, not in the group", "/template", "bob", "secret of bob", 403],
    ["in the group", "/groups", "ann", "secret of ann", ANN],
    ["not in the group", "/groups", "bob", "secret of bob", 403],
    ["by an attribute", "/number", "ann", "secret of ann", ANN],
    [
      "by a verified address",
      "/number",
      "bob",
      "secret of bob",
      "bob bob@example.com uid=bob,ou=people,dc=example,dc=com",
    ],
    ["two that are found are nobody", "/several", "bob", "secret of bob", 401],
    ["over TLS", "/secure", "ann", "secret of ann", ANN],
    ["over TLS that is begun later", "/start", "ann", "secret of ann", ANN],
    ["a directory that cannot prove who it is", "/untrusted", "ann", "secret of ann", 503],
    ["no directory", "/gone", "ann", "secret of ann", 503],
    ["a directory that does not let Sluice search", "/denied", "ann", "secret of ann", 503],
  ];
  for (const [name, path, user, password, want] of CASES)
    test(name, async () => {
      const got = await ask(path, user, password);
      const found = got.status === 200 ? Buffer.from(got.body, "latin1").toString() : got.status;
      if (want instanceof RegExp) expect(found).toMatch(want);
      else expect(found).toBe(want);
    });
});
