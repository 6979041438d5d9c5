// Which listeners can speak HTTP/3.
import { expect, test } from "bun:test";
import { listenerSchema } from "./schema-listeners.ts";
import { checkHttp3 } from "./validate-http3.ts";

const TLS = { certificates: [{ cert: "a.crt", key: "a.key" }] };
const CASES: readonly (readonly [what: string, listener: object, message: string])[] = [
  ["none", { tls: TLS }, ""],
  ["none, said so", { tls: TLS, http3: false }, ""],
  ["with TLS", { tls: TLS, http3: true }, ""],
  ["another port", { tls: TLS, http3: { port: 443 } }, ""],
  ["an address", { tls: TLS, http3: true, address: "[::1]:1" }, ""],
  ["without TLS", { http3: true }, "error: HTTP/3 needs a listener that answers HTTPS"],
  ["layer 4", { tls: TLS, tcp: { to: "x" }, http3: true }, "error: HTTP/3 needs a listener that answers HTTPS"],
  ["datagrams", { udp: { to: "x" }, http3: true }, "error: HTTP/3 needs a listener that answers HTTPS"],
  [
    "certificates of clients",
    { tls: { ...TLS, clientAuth: { ca: "ca.pem" } }, http3: true },
    "error: certificates of clients cannot be asked for over HTTP/3",
  ],
  [
    "terms by name",
    { tls: { ...TLS, policies: [{ hosts: ["a.test"], minVersion: "1.3" }] }, http3: true },
    "error: over HTTP/3 the terms of TLS are the same for all names",
  ],
  [
    "sni",
    { tls: TLS, sni: { "*": "terminate" }, http3: true },
    "error: connections of HTTP/3 cannot be passed on by name",
  ],
  [
    "the PROXY protocol",
    { tls: TLS, proxyProtocol: { trusted: ["10.0.0.0/8"] }, http3: true },
    "error: the PROXY protocol is not spoken over UDP",
  ],
  ["a unix socket", { tls: TLS, address: "unix:/x.sock", http3: true }, "error: there is no HTTP/3 over a unix socket"],
  ["a name", { tls: TLS, address: "a.test:443", http3: true }, "error: HTTP/3 listens on an IP address, not on a name"],
];

for (const [what, listener, message] of CASES) {
  test(`${what}: ${message === "" ? "nothing to say" : message}`, () => {
    const found = checkHttp3(listenerSchema.parse({ address: ":443", ...listener }), ["http3"]);
    expect(found.map(({ severity, message: text }) => `${severity ?? "error"}: ${text}`).join("; ")).toBe(message);
  });
}

test("a port of 0, or none at all, is no port to tell", () => {
  for (const http3 of [{ port: 0 }, { port: 65_536 }, "on", { maxAge: "-1s" }])
    expect(listenerSchema.safeParse({ address: ":443", tls: TLS, http3 }).success).toBe(false);
});
