// nginx, HAProxy and Caddy around the proxy: as its clients and as its servers in HTTP/2.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { NEIGHBOURS, type Ring, startNeighbour } from "./support/h2-proxies.ts";
import { refusingPort } from "./support/ports.ts";
import { NodeServer, type Running } from "./support/programs.ts";
import { startProxy, type TestProxy } from "./support/proxy.ts";
import { Pki } from "./support/tls.ts";

/** Answers with the versions that a request was spoken in, the digest of its body, and as many bytes as it asks for. */
const END = `(request, response) => {
  const hash = require("node:crypto").createHash("md5");
  request.on("data", (chunk) => hash.update(chunk));
  request.on("end", () => {
    const { via = "", "x-spoke": spoke } = request.headers;
    response.writeHead(200, { "x-in": via.split(" ")[0], "x-out": spoke, "x-md5": hash.digest("hex") });
    response.end("x".repeat(Number(new URL(request.url, "http://a").searchParams.get("size"))));
  });
}`;
const md5 = (bytes: Uint8Array): string => createHash("md5").update(bytes).digest("hex");

let pki: Pki;
let certificate: Ring["certificate"];
let end: NodeServer;
beforeAll(async () => {
  pki = await Pki.make();
  const files = await pki.files("server", { names: ["127.0.0.1", "localhost"] });
  const both = pki.folder.write("both.pem", readFileSync(files.cert, "utf8") + readFileSync(files.key, "utf8"));
  certificate = { ...files, both };
  end = await NodeServer.start(END);
});
afterAll(async () => {
  await end[Symbol.asyncDispose]();
  pki[Symbol.dispose]();
});

/** The proxy under test: what comes to `/plain/` goes on to the neighbour without TLS, the rest with it. */
function startBetween(back: number, backTls: number): Promise<TestProxy> {
  const { cert, key } = certificate;
  return startProxy({
    listeners: [
      { address: "127.0.0.1:0", h2c: true },
      { address: "127.0.0.1:0", tls: { certificates: [{ cert, key }] } },
    ],
    upstreams: {
      plain: { servers: [`h2c://127.0.0.1:${back}`] },
      tls: { servers: [`https://127.0.0.1:${backTls}`], tls: { ca: pki.caFile } },
    },
    routes: [{ match: { path: "/plain/*" }, to: "plain" }, { to: "tls" }],
  });
}

for (const name of Object.keys(NEIGHBOURS) as (keyof typeof NEIGHBOURS)[])
  describe(name, () => {
    let proxy: TestProxy;
    let neighbour: Running;
    let url: string;
    beforeAll(async () => {
      const [front, back, backTls] = [await refusingPort(), await refusingPort(), await refusingPort()];
      proxy = await startBetween(back, backTls);
      const [plain, tls] = proxy.proxy.addresses.map((address) => Number(address.split(":").at(-1)));
      const ring = { front, back, backTls, plain: plain!, tls: tls!, end: Number(new URL(end.url).port), certificate };
      neighbour = await startNeighbour(name, ring);
      url = `http://127.0.0.1:${front}`;
    });
    afterAll(async () => {
      await neighbour?.[Symbol.asyncDispose]();
      await proxy?.[Symbol.asyncDispose]();
    });

    for (const way of ["plain", "tls"]) {
      test(`${way}: HTTP/2 on both sides`, async () => {
        const response = await fetch(`${url}/${way}/a?size=3`, { keepalive: false });
        expect(response.status).toBe(200);
        expect([response.headers.get("x-in"), response.headers.get("x-out")]).toEqual(["2", "HTTP/2.0"]);
        expect(await response.text()).toBe("xxx");
      });

      test(`${way}: bodies of many sizes in both directions, many at a time`, async () => {
        const one = async (n: number): Promise<boolean> => {
          const body = Buffer.alloc((n * 7919) % 70_000, n);
          const size = (n * 104_729) % 90_000;
          const response = await fetch(`${url}/${way}/?size=${size}`, { method: "POST", body, keepalive: false });
          const answered = await response.text();
          return answered === "x".repeat(size) && response.headers.get("x-md5") === md5(body);
        };
        const all = await Promise.all(Array.from({ length: 60 }, (_, n) => one(n)));
        expect(all.filter((isRight) => !isRight).length).toBe(0);
      });

      test(`${way}: 4 MB up and down`, async () => {
        const body = Buffer.alloc(4_000_000, "body of many bytes\n");
        const response = await fetch(`${url}/${way}/?size=4000000`, { method: "PUT", body, keepalive: false });
        expect((await response.text()).length).toBe(4_000_000);
        expect(response.headers.get("x-md5")).toBe(md5(body));
      });
    }
  });
