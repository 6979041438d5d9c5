// CORS, security headers and reports on the wire.
import { expect, test } from "bun:test";
import { answer, request } from "./support/message.ts";
import { exchange, Peer } from "./support/peer.ts";
import { startProxy } from "./support/proxy.ts";
import { RawBackend } from "./support/raw-backend.ts";
import { Folder, runConfig } from "./support/sluice.ts";

const ORIGIN = "https://app.example";

test("a preflight never reaches the server, and a refusal can be read by the page", async () => {
  await using backend = await RawBackend.answering(() =>
    answer(200, "ok", ["access-control-allow-origin: *", "server: x"]),
  );
  await using proxy = await startProxy({
    routes: [
      {
        cors: { origins: [ORIGIN], credentials: true },
        securityHeaders: true,
        rateLimit: { rate: "1/h", burst: 2 },
        to: backend.url,
      },
    ],
  });
  const preflight = [`origin: ${ORIGIN}`, "access-control-request-method: GET"];
  const first = await exchange(proxy.port, request("/", preflight, "OPTIONS"));
  expect([first.status, first.field("access-control-allow-origin"), first.body]).toEqual([204, ORIGIN, ""]);
  expect(backend.requests).toHaveLength(0);
  const second = await exchange(proxy.port, request("/", [`origin: ${ORIGIN}`]));
  expect([second.status, second.field("access-control-allow-origin"), second.field("server")]).toEqual([
    200,
    ORIGIN,
    null,
  ]);
  expect(second.field("x-content-type-options")).toBe("nosniff");
  const third = await exchange(proxy.port, request("/", [`origin: ${ORIGIN}`]));
  expect([third.status, third.field("access-control-allow-origin"), third.field("vary")]).toEqual([
    429,
    ORIGIN,
    "Origin",
  ]);
});

test("reports of browsers are counted and logged, whatever they are, and never passed on", async () => {
  using folder = new Folder();
  const csp = { policy: "default-src 'self'", report: "/csp" };
  const config = {
    listeners: [{ address: "127.0.0.1:0" }],
    workers: 1,
    routes: [{ name: "site", securityHeaders: { csp }, respond: { body: "page" } }],
  };
  await using proxy = await runConfig(folder, config);
  const port = proxy.port();
  const page = await exchange(port, request("/"));
  expect(page.field("content-security-policy")).toBe("default-src 'self'; report-uri /csp, frame-ancestors 'self'");
  const send = (type: string, body: string) => exchange(port, request("/csp", [`content-type: ${type}`], "POST", body));
  const report = JSON.stringify({
    "csp-report": {
      "document-uri": "https://a.example/\npage",
      "violated-directive": "img-src",
      "blocked-uri": "https://b.example",
    },
  });
  expect((await send("application/csp-report", report)).status).toBe(204);
  await proxy.said(/a page broke its content security policy.*route=site.*directive=img-src/);
  expect(proxy.err).not.toContain("\npage");
  const modern = [
    { type: "csp-violation", body: { documentURL: "https://c.example/", effectiveDirective: "script-src" } },
  ];
  expect((await send("application/reports+json", JSON.stringify(modern))).status).toBe(204);
  await proxy.said(/document=https:\/\/c.example\/ directive=script-src/);
  for (const body of ["", "not json", "null", "[]", '{"csp-report":7}'])
    expect((await send("application/json", body)).status).toBe(204);
  expect((await send("text/plain", "x")).status).toBe(415);
  expect((await send("application/json", "x".repeat(20_000))).status).toBe(413);
  await using slow = await Peer.connect(port);
  slow.send("POST /csp HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{");
  slow.reset();
  await proxy.counted('sluice_csp_reports_total{route="site"}', 7);
  expect((await exchange(port, request("/csp"))).body).toBe("page");
}, 20_000);
