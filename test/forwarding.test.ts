// What crosses the proxy and what does not: fields, Host, what is said of the client, Via, request ids, loops.
import { describe, expect, test } from "bun:test";
import { answer, type Field, type Message, request } from "./support/message.ts";
import { exchange, Peer } from "./support/peer.ts";
import { type ProxyUnderTest, proxyTo, startProxy } from "./support/proxy.ts";
import { ProxyProcess } from "./support/proxy-process.ts";
import { RawBackend } from "./support/raw-backend.ts";

const UUID_V7 = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;
const ADDED = ["x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "x-request-id", "via"];
const TRUSTED = { trustedProxies: ["127.0.0.0/8"] };

/** What a backend gets of the request, and the client of the backend's answer. */
async function cross(
  text: string,
  config: Omit<ProxyUnderTest, "routes"> = {},
  reply = answer(200, "ok"),
): Promise<{ got: Message; came: Message; port: number; backendPort: number }> {
  await using backend = await RawBackend.answering(() => reply);
  await using proxy = await proxyTo(backend.url, config);
  const came = await exchange(proxy.port, text);
  return { got: backend.requests[0]!, came, port: proxy.port, backendPort: backend.port };
}

const own = (message: Message): Field[] => message.fields.filter(([name]) => !ADDED.includes(name.toLowerCase()));

test("method, target, fields, their order and their case cross as they are", async () => {
  const fields = [
    "X-b: 1",
    "x-A:  two words ",
    "ACCEPT: */*",
    "X-b: 2",
    "x-empty:",
    "X-Latin: \xe4\xf6",
    "uSeR-aGeNt: t",
  ];
  const { got } = await cross(request("/a//b/%7Eé?q=%20&r=[1]".replace("é", "%C3%A9"), fields, "PROPFIND"));
  expect(got.first).toBe("PROPFIND /a//b/%7E%C3%A9?q=%20&r=[1] HTTP/1.1");
  expect(own(got)).toEqual([
    ["Host", "app.example"],
    ["X-b", "1"],
    ["x-A", "two words"],
    ["ACCEPT", "*/*"],
    ["X-b", "2"],
    ["x-empty", ""],
    ["X-Latin", "\xe4\xf6"],
    ["uSeR-aGeNt", "t"],
  ]);
});

test("an answer's status, reason, fields and their order cross as they are", async () => {
  const reply = [
    "HTTP/1.1 299 Very Fine",
    "X-One: 1",
    "sEt-CoOkIe: a=1",
    "Set-Cookie: b=2",
    "Date: Tue, 01 Jan 2030 00:00:00 GMT",
    "Server: raw",
    "Content-Length: 2",
  ];
  const { came } = await cross(request("/"), {}, `${reply.join("\r\n")}\r\n\r\nok`);
  expect(came.first).toBe("HTTP/1.1 299 Very Fine");
  expect(own(came)).toEqual([
    ["X-One", "1"],
    ["sEt-CoOkIe", "a=1"],
    ["Set-Cookie", "b=2"],
    ["Date", "Tue, 01 Jan 2030 00:00:00 GMT"],
    ["Server", "raw"],
    ["Content-Length", "2"],
  ]);
  expect(came.body).toBe("ok");
});

test("an answer without Date gets one (RFC 9110 §6.6.1)", async () => {
  const { came } = await cross(request("/"));
  expect(Math.abs(Date.parse(came.field("date") ?? "") - Date.now())).toBeLessThan(5000);
});

describe("hop-by-hop fields", () => {
  const HOP: readonly string[] = [
    "Keep-Alive: timeout=5",
    "Proxy-Connection: keep-alive",
    "TE: gzip",
    "Proxy-Authorization: Basic eDp5",
    "HTTP2-Settings: AAMAAABk",
    "Trailer: x-sum",
  ];
  const names = HOP.map((line) => line.slice(0, line.indexOf(":")).toLowerCase());

  test("stay on the client's side", async () => {
    const { got } = await cross(
      request("/", ["Connection: keep-alive, X-Hop", "X-Hop: 1", "x-hop: 2", "X-Kept: 3", ...HOP]),
    );
    for (const name of [...names, "connection", "x-hop", "upgrade"])
      expect([name, got.field(name)]).toEqual([name, null]);
    expect(got.field("x-kept")).toBe("3");
  });

  test("stay on the server's side", async () => {
    const fields = ["Connection: X-Hop", "X-Hop: 1", "X-Kept: 2", "Upgrade: h2c", "Proxy-Authenticate: Basic", ...HOP];
    const { came } = await cross(request("/"), {}, answer(200, "ok", fields));
    for (const name of [...names, "connection", "x-hop", "upgrade"])
      expect([name, came.field(name)]).toEqual([name, null]);
    expect(came.field("x-kept")).toBe("2");
  });

  test("end-to-end fields cannot be taken away by naming them", async () => {
    const kept = ["Cookie: a=1", "Authorization: Basic eDp5", "Content-Type: text/plain", "Cache-Control: no-cache"];
    const named = "Connection: close, host, cookie, authorization, content-type, content-length, cache-control";
    const forwarded = ", x-forwarded-for, x-forwarded-proto, x-forwarded-host, x-request-id, via";
    const { got } = await cross(request("/", [named + forwarded, ...kept], "POST", "body"));
    expect(own(got)).toEqual([
      ["Host", "app.example"],
      ["Cookie", "a=1"],
      ["Authorization", "Basic eDp5"],
      ["Content-Type", "text/plain"],
      ["Cache-Control", "no-cache"],
      ["Content-Length", "4"],
    ]);
    for (const name of ADDED) expect([name, got.field(name) !== null]).toEqual([name, true]);
    expect(got.body).toBe("body");
  });

  test("an Upgrade that Connection does not name is nobody's", async () => {
    const { got } = await cross(request("/", ["Upgrade: websocket"]));
    expect([got.field("upgrade"), got.field("connection")]).toEqual([null, null]);
  });

  test("TE: trailers is said anew", async () => {
    const { got } = await cross(request("/", ["Connection: TE", "TE: trailers, deflate"]));
    expect([got.field("te"), got.field("connection")]).toEqual(["trailers", "TE"]);
  });
});

describe("Host", () => {
  const CASES: readonly (readonly [name: string, hostHeader: string | undefined, want: (port: number) => string])[] = [
    ["is the client's own by default", undefined, () => "app.example"],
    ["preserve", "preserve", () => "app.example"],
    ["upstream", "upstream", (port) => `127.0.0.1:${port}`],
    ["a literal", "inner.example:81", () => "inner.example:81"],
  ];
  for (const [name, hostHeader, want] of CASES)
    test(name, async () => {
      await using backend = await RawBackend.answering(() => answer(200));
      const app = { servers: [backend.url], ...(hostHeader === undefined ? {} : { hostHeader }) };
      await using proxy = await startProxy({ upstreams: { app }, routes: [{ to: "app" }] });
      await exchange(proxy.port, request("/"));
      expect(backend.requests[0]!.all("host")).toEqual([want(backend.port)]);
      expect(backend.requests[0]!.field("x-forwarded-host")).toBe("app.example");
    });

  test("can be set by a route", async () => {
    await using backend = await RawBackend.answering(() => answer(200));
    await using proxy = await startProxy({
      routes: [{ requestHeaders: { set: { host: "{header.x-tenant}.inner" } }, to: backend.url }],
    });
    await exchange(proxy.port, request("/", ["X-Tenant: blue"]));
    expect(backend.requests[0]!.all("host")).toEqual(["blue.inner"]);
  });

  test("of an absolute target wins, and the target becomes an origin (RFC 9112 §3.2.2)", async () => {
    const { got } = await cross("GET http://App.Example:80/x?y HTTP/1.1\r\nHost: app.example\r\n\r\n");
    expect([got.target, got.all("host").length]).toEqual(["/x?y", 1]);
    expect(got.field("host")?.toLowerCase()).toMatch(/^app\.example(:80)?$/);
  });

  test("an absolute target without a path", async () => {
    const { got } = await cross("GET http://app.example?y=1 HTTP/1.1\r\nHost: app.example\r\n\r\n");
    expect(got.target).toBe("/?y=1");
  });

  test("OPTIONS * is for the proxy's routes like any other", async () => {
    const { got } = await cross("OPTIONS * HTTP/1.1\r\nHost: app.example\r\n\r\n");
    expect(got.first).toBe("OPTIONS * HTTP/1.1");
  });
});

describe("what is said of the client", () => {
  const said = (message: Message) =>
    ["x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "forwarded", "x-real-ip"].map((name) =>
      message.field(name),
    );
  const CLAIMS = [
    "X-Forwarded-For: 192.0.2.1, 198.51.100.7",
    "X-Forwarded-Proto: https",
    "X-Forwarded-Host: shop.example",
    "Forwarded: for=192.0.2.1",
    "X-Real-IP: 192.0.2.1",
  ];

  test("is what the proxy sees, whatever an untrusted peer claims", async () => {
    const { got } = await cross(request("/", CLAIMS));
    expect(said(got)).toEqual(["127.0.0.1", "http", "app.example", null, null]);
  });

  test("is appended to what a trusted peer claims", async () => {
    const { got } = await cross(request("/", CLAIMS), TRUSTED);
    expect(said(got)).toEqual([
      "192.0.2.1, 198.51.100.7, 127.0.0.1",
      "https",
      "shop.example",
      "for=192.0.2.1",
      "192.0.2.1",
    ]);
  });

  test("several fields of a trusted peer become one chain", async () => {
    const { got } = await cross(request("/", ["X-Forwarded-For: 192.0.2.1", "X-Forwarded-For: 192.0.2.2"]), TRUSTED);
    expect(got.all("x-forwarded-for")).toEqual(["192.0.2.1, 192.0.2.2, 127.0.0.1"]);
  });

  test("is filled in where a trusted peer says nothing", async () => {
    const { got } = await cross(request("/"), TRUSTED);
    expect(said(got)).toEqual(["127.0.0.1", "http", "app.example", null, null]);
  });

  const CHAINS: readonly (readonly [chain: string, client: string])[] = [
    ["192.0.2.9", "192.0.2.9"],
    ["203.0.113.66, 192.0.2.9", "192.0.2.9"],
    ["192.0.2.9, 10.1.2.3, 10.4.5.6", "192.0.2.9"],
    ["10.9.9.9, 10.4.5.6", "10.9.9.9"],
    ["192.0.2.9, not-an-address, 10.4.5.6", "10.4.5.6"],
    ["unknown", "127.0.0.1"],
    ["2001:DB8:0:0::9", "2001:db8::9"],
  ];
  for (const [chain, client] of CHAINS)
    test(`the client behind ${chain} is ${client}`, async () => {
      await using proxy = await startProxy({
        trustedProxies: ["127.0.0.1", "10.0.0.0/8"],
        routes: [{ respond: { body: "{ip} {scheme}" } }],
      });
      const { body } = await exchange(
        proxy.port,
        request("/", [`X-Forwarded-For: ${chain}`, "X-Forwarded-Proto: https"]),
      );
      expect(body).toBe(`${client} https`);
    });
});

describe("X-Request-Id", () => {
  test("is a new UUIDv7 for every request", async () => {
    await using backend = await RawBackend.answering(() => answer(200));
    await using proxy = await proxyTo(backend.url);
    await using client = await Peer.connect(proxy.port);
    for (let i = 0; i < 3; i += 1) {
      client.send(request("/", ["X-Request-Id: mine"]));
      await client.response();
    }
    const ids = backend.requests.map((each) => each.field("x-request-id") ?? "");
    for (const id of ids) expect(id).toMatch(UUID_V7);
    expect(new Set(ids).size).toBe(3);
    const times = ids.map((id) => id.slice(0, 13)); // what follows is random within a millisecond
    expect(times).toEqual(times.toSorted());
  });

  test("of a trusted peer is kept, unless it could not be told in a log", async () => {
    const { got } = await cross(request("/", ["X-Request-Id: abc-123"]), TRUSTED);
    expect(got.all("x-request-id")).toEqual(["abc-123"]);
    for (const id of ["with space", "x".repeat(129)]) {
      const other = await cross(request("/", [`X-Request-Id: ${id}`]), TRUSTED);
      expect(other.got.all("x-request-id")).toEqual([expect.stringMatching(UUID_V7)]);
    }
  });
});

describe("Via", () => {
  test("is added both ways, behind what is there", async () => {
    const { got, came } = await cross(request("/", ["Via: 1.0 first"]), {}, answer(200, "ok", ["Via: 1.1 inner"]));
    expect(got.all("via")).toEqual(["1.0 first", expect.stringMatching(/^1\.1 sluice/)]);
    expect(came.all("via")).toEqual(["1.1 inner", expect.stringMatching(/^1\.1 sluice/)]);
  });

  test("tells the version in which the message came", async () => {
    const { got, came } = await cross(
      "GET / HTTP/1.0\r\nHost: app.example\r\n\r\n",
      {},
      "HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n",
    );
    expect(got.field("via")).toMatch(/^1\.0 /);
    expect(came.field("via")).toMatch(/^1\.0 /);
    expect(got.first).toBe("GET / HTTP/1.1");
    expect(came.first).toStartWith("HTTP/1.1 200");
  });
});

test("a request that comes back to the proxy is answered 508", async () => {
  await using first = await RawBackend.answering(() => answer(200));
  await using proxy = await proxyTo(first.url);
  await proxy.proxy.reload({
    listeners: [{ address: "127.0.0.1:0" }],
    shutdown: { drain: "20ms" },
    routes: [{ to: proxy.url }],
  });
  const came = await exchange(proxy.port, request("/"));
  expect(came.status).toBe(508);
  expect(came.field("proxy-status")).toContain("proxy_loop_detected");
});

test("a request that another Sluice has forwarded is no loop", async () => {
  await using backend = await RawBackend.answering(() => answer(200, "through both"));
  await using inner = await proxyTo(backend.url);
  await using outer = await ProxyProcess.start({ routes: [{ to: inner.url }] });
  expect((await exchange(outer.port, request("/"))).body).toBe("through both");
  expect(backend.requests[0]!.all("via").length).toBe(2);
});

test("a listener on every address tells IPv4 peers in dotted form, beside another listener", async () => {
  await using proxy = await startProxy({
    listeners: [{ address: ":0" }, { address: "127.0.0.1:0" }],
    routes: [{ respond: { body: "{ip}" } }],
  });
  for (const address of proxy.proxy.addresses)
    expect((await exchange(Number(address.split(":").at(-1)), request("/"))).body).toBe("127.0.0.1");
});

test("fields with underscores are dropped unless they are allowed", async () => {
  const text = request("/", ["X_User: root", "X-Kept: 1"]);
  expect((await cross(text)).got.field("x_user")).toBeNull();
  expect((await cross(text, { listener: { underscoreHeaders: true } })).got.field("x_user")).toBe("root");
});
