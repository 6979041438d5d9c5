import { expect, test } from "bun:test";
import { resolve } from "node:path";
import { checkConfig } from "./load.ts";
import { withAbsolutePaths } from "./paths.ts";

const CA = "https://ca.test/directory";

test("files of certificates, CAs, lists and logs start from the configuration's folder; absolute ones stay", () => {
  const { config } = checkConfig({
    listeners: [
      {
        address: ":1",
        tls: {
          certificates: [
            { cert: "a.crt", key: "../a.key" },
            { cert: "/abs/b.crt", key: "/abs/b.key" },
          ],
          clientAuth: { ca: "clients.pem", crl: "tls/crl.pem" },
          acme: { directory: CA, ca: "acme.pem", domains: ["a.test"], challenge: "tls-alpn-01" },
          keyLog: "keys.log",
        },
      },
      { address: ":2" },
    ],
    upstreams: {
      secure: { servers: ["https://a:1"], tls: { ca: "ca.pem", cert: "c.crt", key: "./c.key" } },
      plain: { servers: ["a:1"] },
    },
    routes: [{ to: "secure" }, { files: { root: "public" } }, { files: { root: "/srv/www" } }],
    storage: "kept",
    admin: { address: "127.0.0.1:1", state: "state.json" },
  });
  // A configuration without a file has the working folder for its own.
  const { listeners, upstreams, routes, storage, admin } = config;
  expect(routes.map(({ files }) => files?.root)).toEqual([undefined, resolve("public"), "/srv/www"]);
  expect(listeners[0]?.tls).toMatchObject({
    certificates: [
      { cert: resolve("a.crt"), key: resolve("../a.key") },
      { cert: "/abs/b.crt", key: "/abs/b.key" },
    ],
    clientAuth: { ca: resolve("clients.pem"), crl: resolve("tls/crl.pem") },
    acme: { ca: resolve("acme.pem"), directory: CA },
    keyLog: resolve("keys.log"),
  });
  expect(upstreams.secure?.tls).toMatchObject({
    ca: resolve("ca.pem"),
    cert: resolve("c.crt"),
    key: resolve("c.key"),
  });
  expect(storage).toBe(resolve("kept"));
  expect(admin).toMatchObject({ state: resolve("state.json") });
  expect(withAbsolutePaths(config, "/elsewhere")).toEqual(config);
});

test("what is not there stays away", () => {
  const { config } = checkConfig({ listeners: [{ address: ":1" }], routes: [{ respond: {} }], admin: false });
  expect(withAbsolutePaths(config, "/etc/sluice")).toEqual(config);
});
