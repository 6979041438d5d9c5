import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { checkConfig } from "../config/load.ts";
import type { ConfigInput } from "../config/schema.ts";
import { TestCa } from "../transport/tls.testing.ts";
import { configProblems } from "./verify.ts";

type Tls = NonNullable<ConfigInput["listeners"][number]["tls"]>;
let folder = "";
let files: { readonly cert: string; readonly key: string };
let foreign: { readonly cert: string; readonly key: string };

const write = (name: string, text: string): string => {
  writeFileSync(join(folder, name), text);
  return join(folder, name);
};
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "verify-"));
  const ca = await TestCa.make();
  write("ca.pem", ca.pem);
  write("garbage.pem", "garbage");
  const pair = async (name: string, names: string[]) => {
    const { certPem, keyPem } = await ca.issue({ names, notAfter: Date.now() + 80 * 86_400_000 });
    return { cert: write(`${name}.crt`, certPem), key: write(`${name}.key`, keyPem) };
  };
  files = await pair("a", ["a.test"]);
  foreign = await pair("b", ["b.test"]);
});
afterAll(() => rmSync(folder, { recursive: true }));

/** Severity, place and message of all that is wrong; that no client knows our CA is no news. */
function problems(config: Partial<ConfigInput>): string[] {
  const input = { listeners: [{ address: ":80" }], routes: [{ respond: {} }], ...config } as ConfigInput;
  return configProblems(checkConfig(input).config)
    .filter(({ message }) => !message.includes("the chain is incomplete"))
    .map(({ severity, path, message }) => `${severity} ${path.join(".")}: ${message.replaceAll(folder, "")}`);
}
const withTls = (tls: Tls): Partial<ConfigInput> => ({ listeners: [{ address: ":443", tls }] });
const at = (name: string): string => join(folder, name);

const CASES: readonly (readonly [name: string, config: () => Partial<ConfigInput>, want: readonly RegExp[]])[] = [
  ["nothing to find", () => ({}), []],
  ["a good pair, and CAs for clients", () => withTls({ certificates: [files], clientAuth: { ca: at("ca.pem") } }), []],
  [
    "the key of another",
    () => withTls({ certificates: [{ cert: files.cert, key: foreign.key }] }),
    [/^error listeners\.0\.tls\.certificates\.0\.key: .*b\.key/],
  ],
  [
    "a host without a certificate",
    () => ({ ...withTls({ certificates: [files] }), routes: [{ match: { host: "c.test" }, respond: {} }] }),
    [/^warning routes\.0\.match\.host.*: no certificate is for "c\.test"/],
  ],
  [
    "CAs that cannot be read",
    () => withTls({ certificates: [files], clientAuth: { ca: at("none.pem") } }),
    [/^error listeners\.0\.tls\.clientAuth\.ca: .*none\.pem: there is no such file$/],
  ],
  [
    "CAs that are none",
    () => withTls({ certificates: [files], clientAuth: { ca: at("garbage.pem") } }),
    [/^error listeners\.0\.tls\.clientAuth\.ca: the CAs of clients cannot be used: there is no certificate in it$/],
  ],
  [
    "a certificate of nobody's clients in place of CAs",
    () => withTls({ certificates: [files], clientAuth: { ca: files.cert } }),
    [/^warning listeners\.0\.tls\.clientAuth\.ca: "CN=.*" is not a CA: no other certificate is believed for its sake$/],
  ],
  [
    "a key in place of CAs",
    () => withTls({ certificates: [files], clientAuth: { ca: files.key } }),
    [/^error listeners\.0\.tls\.clientAuth\.ca: the CAs of clients cannot be used: there is no certificate in it$/],
  ],
  [
    "revocation lists that are none, of one policy among good ones",
    () => {
      const good = { hosts: ["a.test"], clientAuth: { ca: at("ca.pem") } };
      const bad = { hosts: ["b.test"], clientAuth: { ca: at("ca.pem"), crl: at("garbage.pem") } };
      return withTls({ certificates: [files], policies: [good, bad, { hosts: ["c.test"], clientAuth: false }] });
    },
    [/^error listeners\.0\.tls\.policies\.1\.clientAuth\.crl: the revocation lists cannot be used/],
  ],
  [
    "what is shown to servers",
    () => ({
      upstreams: {
        good: { servers: ["https://a"], tls: { ca: at("ca.pem"), ...files } },
        torn: { servers: ["https://a"], tls: { cert: files.cert, key: foreign.key } },
        gone: { servers: ["https://a"], tls: { ca: at("none.pem") } },
        empty: { servers: ["https://a"], tls: { ca: files.key } },
      },
    }),
    [
      /^error upstreams\.torn\.tls: it cannot be used: the key does not belong to the certificate$/,
      /^error upstreams\.gone\.tls: .*none\.pem: there is no such file$/,
      /^error upstreams\.empty\.tls: .*a\.key: there is no certificate in it$/,
    ],
  ],
];

for (const [name, config, want] of CASES)
  test(name, () => expect(problems(config())).toEqual(want.map((each) => expect.stringMatching(each))));
