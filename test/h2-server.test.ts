// HTTP/2 clients: how they come to it, and what becomes of their requests and answers.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { H2Peer } from "./support/h2-peer.ts";
import {
  continuation,
  data,
  frame,
  get,
  headers,
  lastData,
  lastHeaders,
  PREFACE,
  post,
  requestFields,
  rst,
  settings,
} from "./support/h2-wire.ts";
import { answer, request } from "./support/message.ts";
import { NodeH2 } from "./support/node-h2.ts";
import { exchange, Peer } from "./support/peer.ts";
import { run } from "./support/programs.ts";
import { proxyTo, startProxy, type TestProxy } from "./support/proxy.ts";
import { RawBackend } from "./support/raw-backend.ts";
import { Folder, runConfig } from "./support/sluice.ts";
import { connectTls, Pki } from "./support/tls.ts";
import { until } from "./support/wait.ts";

const EARLY = "HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n";
const CHUNKED =
  "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n2\r\nok\r\n0\r\nX-Sum: 7\r\n\r\n";
const BIG = "b".repeat(1_000_000);

/** What the server answers, by path; else what it got. */
const ANSWERS: Readonly<Record<string, string>> = {
  "/early": EARLY + answer(200, "late"),
  "/trailers": CHUNKED,
  "/empty": answer(200),
  "/no-content": "HTTP/1.1 204 No Content\r\nX-Note: none\r\n\r\n",
  "/not-modified": 'HTTP/1.1 304 Not Modified\r\nETag: "x"\r\nContent-Length: 55\r\n\r\n',
  "/until-closed": "HTTP/1.1 200 OK\r\n\r\nuntil closed",
  "/big": answer(200, BIG),
  "/cut": "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf",
};
const CLOSED = ["/until-closed", "/cut"];

let backend: RawBackend;
beforeAll(async () => {
  backend = await RawBackend.answering((got, peer) => {
    const path = got.target.split("?")[0]!;
    if (got.method === "HEAD") return "HTTP/1.1 200 OK\r\nContent-Length: 55\r\n\r\n";
    if (CLOSED.includes(path)) {
      peer.send(ANSWERS[path]!).finish();
      return null;
    }
    return ANSWERS[path] ?? answer(200, got.body === "" ? got.target : got.body);
  });
});
afterAll(() => backend[Symbol.asyncDispose]());

const plain = (): Promise<TestProxy> => proxyTo(backend.url, { listener: { h2c: true } });

describe("clients come to HTTP/2", () => {
  let pki: Pki;
  let proxy: TestProxy;
  let tlsPort: number;
  beforeAll(async () => {
    pki = await Pki.make();
    const certificates = [await pki.files("server", { names: ["localhost"] })];
    const both = { tls: { certificates } };
    proxy = await startProxy({
      listeners: [
        { address: "127.0.0.1:0", h2c: true },
        { address: "127.0.0.1:0", ...both },
        { address: "127.0.0.1:0", ...both, http2: false },
        { address: "127.0.0.1:0" },
      ],
      routes: [{ to: backend.url }],
    });
    tlsPort = portOf(1);
  });
  afterAll(async () => {
    await proxy[Symbol.asyncDispose]();
    pki[Symbol.dispose]();
  });
  const portOf = (at: number): number => Number(proxy.proxy.addresses[at]!.split(":").at(-1));

  const curl = async (...args: readonly string[]): Promise<string> => {
    const { out } = await run("curl", ["-sk", "--max-time", "8", "-w", " %{http_version} %{http_code}", ...args]);
    return out;
  };
  const VERSIONS: readonly (readonly [name: string, args: () => readonly string[], want: string])[] = [
    ["over TLS", () => [`https://localhost:${tlsPort}/a`], "/a 2 200"],
    ["over TLS, which wants HTTP/1.1", () => ["--http1.1", `https://localhost:${tlsPort}/a`], "/a 1.1 200"],
    ["over TLS, without HTTP/2 in the configuration", () => [`https://localhost:${portOf(2)}/a`], "/a 1.1 200"],
    ["that knows before", () => ["--http2-prior-knowledge", `http://localhost:${portOf(0)}/a`], "/a 2 200"],
    ["without TLS", () => ["--http1.1", `http://localhost:${portOf(0)}/a`], "/a 1.1 200"],
    ["that asks for an upgrade", () => ["--http2", `http://localhost:${portOf(0)}/a`], "/a 1.1 200"],
  ];
  for (const [name, args, want] of VERSIONS) test(`curl ${name}`, async () => expect(await curl(...args())).toBe(want));

  test("curl with a large body in both directions", async () => {
    using folder = new Folder();
    const file = folder.write("body", BIG);
    const args = ["--data-binary", `@${file}`, "-o", join(folder.path, "came"), `https://localhost:${tlsPort}/echo`];
    expect(await curl(...args)).toBe(" 2 200");
    expect(readFileSync(join(folder.path, "came"), "latin1") === BIG).toBe(true);
  });

  test("nghttp with several requests at a time", async () => {
    const urls = ["/early", "/trailers", "/big"].map((path) => `https://localhost:${tlsPort}${path}`);
    const { out, code } = await run("nghttp", ["-nv", "-t", "8", ...urls]);
    expect([code, out.match(/:status: 200/g)?.length, out.match(/:status: 103/g)?.length]).toEqual([0, 3, 1]);
    expect(out).toContain("x-sum: 7");
    expect(out).not.toContain("RST_STREAM");
  });

  test("Node.js with a hundred requests at a time", async () => {
    await using node = await NodeH2.connect(`https://localhost:${tlsPort}`);
    const answers = await Promise.all(
      Array.from({ length: 100 }, (_, at) =>
        node.ask({ path: `/n${at}`, method: at % 2 === 0 ? "GET" : "POST", body: at % 2 === 0 ? "" : `body ${at}` }),
      ),
    );
    expect(answers.map(({ status, body }) => `${status} ${body}`)).toEqual(
      answers.map((_, at) => `200 ${at % 2 === 0 ? `/n${at}` : `body ${at}`}`),
    );
  });

  test("one that speaks nothing but HTTP/2 cannot where it is turned off", async () => {
    await using client = await connectTls(tlsPort, { ALPNProtocols: ["h2"] });
    expect(client.tls.alpnProtocol).toBe("h2");
    expect(connectTls(portOf(2), { ALPNProtocols: ["h2"] })).rejects.toThrow();
  });

  test("a proxy in front that announces them, in one piece or in many", async () => {
    await using behind = await startProxy({
      listener: { h2c: true, proxyProtocol: { trusted: ["127.0.0.1"] } },
      routes: [{ respond: { body: "{ip}" } }],
    });
    const hello = Buffer.concat([Buffer.from("PROXY TCP4 192.0.2.7 192.0.2.8 1 2\r\n"), PREFACE, settings(), get(1)]);
    for (const size of [1, 50, hello.length]) {
      await using peer = await Peer.connect(behind.port);
      peer.socket.setNoDelay(true);
      for (let at = 0; at < hello.length - size; at += size) {
        peer.send(hello.subarray(at, at + size));
        await Bun.sleep(0);
      }
      const rest = hello.subarray(Math.floor((hello.length - 1) / size) * size);
      await using client = new H2Peer(peer, "client", { hello: rest });
      expect((await client.answer(1)).body).toBe("192.0.2.7");
    }
  });

  test("the preface on a listener without h2c is no request", async () => {
    await using client = await Peer.connect(portOf(3));
    client.send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    expect((await client.response()).status).toBe(505);
  });
});

describe("what the server behind gets", () => {
  test("a request of HTTP/1.1 that names HTTP/2 in Via", async () => {
    await using proxy = await plain();
    await using client = await H2Peer.connect(proxy.port);
    const fields = [
      ["X-Note".toLowerCase(), "1"],
      ["cookie", "a=1"],
      ["cookie", "b=2"],
      ["te", "trailers"],
    ] as const;
    client.send(post(1, "/in?q=1", [...fields, ["content-length", "4"]]), lastData(1, "body"));
    expect((await client.answer(1)).body).toBe("body");
    const got = backend.requests.at(-1)!;
    expect([got.method, got.target, got.field("host"), got.field("cookie")]).toEqual([
      "POST",
      "/in?q=1",
      "app.example",
      "a=1; b=2",
    ]);
    expect(got.field("via")).toMatch(/^2(\.0)? /);
    expect([got.field("x-forwarded-proto"), got.field("x-forwarded-host")]).toEqual(["http", "app.example"]);
    expect([got.field("content-length"), got.field("transfer-encoding")]).toEqual(["4", null]);
    expect([got.field("x-note"), got.field("te"), got.field("connection")]).toEqual(["1", "trailers", "TE"]);
  });

  test("a body without a length in chunks, and its trailers", async () => {
    await using proxy = await plain();
    await using client = await H2Peer.connect(proxy.port);
    client.send(post(1, "/in"), data(1, "some "), data(1, "body"), lastHeaders(1, [["x-sum", "9"]]));
    expect((await client.answer(1)).body).toBe("some body");
    const got = backend.requests.at(-1)!;
    expect([got.field("transfer-encoding"), got.trailers]).toEqual(["chunked", [["x-sum", "9"]]]);
  });

  test("a head in many pieces", async () => {
    await using proxy = await plain();
    await using client = await H2Peer.connect(proxy.port);
    client.send(headers(1, requestFields("GET", "/pieces"), 1));
    for (let at = 0; at < 5; at += 1) client.send(continuation(1, [["x-piece", String(at)]], at === 4 ? 4 : 0));
    expect((await client.answer(1)).body).toBe("/pieces");
    expect(backend.requests.at(-1)!.field("x-piece")).toBe("0, 1, 2, 3, 4");
  });
});

describe("what the client gets", () => {
  const CASES: readonly (readonly [path: string, want: readonly unknown[]])[] = [
    ["/x", [200, "/x", "2"]],
    ["/empty", [200, "", "0"]],
    ["/no-content", [204, "", null]],
    ["/not-modified", [304, "", "55"]],
    ["/until-closed", [200, "until closed", null]],
  ];
  for (const [path, want] of CASES)
    test(path, async () => {
      await using proxy = await plain();
      await using client = await H2Peer.connect(proxy.port);
      const heard = await client.get(1, path);
      expect([heard.status, heard.body, heard.field("content-length")]).toEqual([...want] as never);
      expect(heard.field("via")).toMatch(/^1\.1 sluice-/);
      expect(heard.field("date")).toMatch(/GMT$/);
      expect(heard.reset).toBeNull();
    });

  test("an answer to HEAD without content, and with its length", async () => {
    await using proxy = await plain();
    await using client = await H2Peer.connect(proxy.port);
    const heard = await client.send(lastHeaders(1, requestFields("HEAD", "/head"))).answer(1);
    expect([heard.status, heard.pieces.length, heard.field("content-length")]).toEqual([200, 0, "55"]);
  });

  test("interim answers and trailers", async () => {
    await using proxy = await plain();
    await using client = await H2Peer.connect(proxy.port);
    const early = await client.get(1, "/early");
    expect([early.statuses, early.body]).toEqual([[103, 200], "late"]);
    const heard = await client.get(3, "/trailers");
    expect([heard.body, heard.trailers]).toEqual(["ok", ["x-sum: 7"]]);
  });

  test("the end of content of a known length along with it", async () => {
    await using proxy = await plain();
    await using client = await H2Peer.connect(proxy.port);
    const heard = await client.get(1, "/x");
    expect(heard.pieces.map((piece) => piece.length)).toEqual([2]);
  });

  test("a reset where the server's answer is cut off", async () => {
    await using proxy = await plain();
    await using client = await H2Peer.connect(proxy.port);
    const heard = await client.get(1, "/cut");
    expect([heard.status, heard.reset]).toEqual([200, "INTERNAL_ERROR"]);
    expect((await client.get(3, "/x")).status).toBe(200);
  });

  test("100 Continue before it sends its body", async () => {
    await using server = await RawBackend.start(async (peer) => {
      const got = await peer.head();
      expect(got.field("expect")).toBe("100-continue");
      peer.send("HTTP/1.1 100 Continue\r\n\r\n");
      peer.send(answer(200, await peer.bytes(4)));
      await peer.when(() => peer.ended, "the end");
    });
    await using proxy = await proxyTo(server.url, { listener: { h2c: true } });
    await using client = await H2Peer.connect(proxy.port);
    const heard = client
      .send(
        post(1, "/", [
          ["expect", "100-continue"],
          ["content-length", "4"],
        ]),
      )
      .heard(1);
    await client.when(() => heard.statuses.length === 1, "100 Continue");
    const whole = await client.send(lastData(1, "body")).answer(1);
    expect([whole.statuses, whole.body]).toEqual([[100, 200], "body"]);
  });
});

describe("Sluice answers by itself", () => {
  let proxy: TestProxy;
  beforeAll(async () => {
    proxy = await startProxy({
      listener: { h2c: true, limits: { requestLine: "100B", headers: "500B", fields: 10 } },
      routes: [
        { match: { path: "/respond" }, respond: { status: 200, body: "here" } },
        { match: { path: "/redirect" }, redirect: { to: "/elsewhere" } },
        { match: { path: "/nobody" }, to: "http://127.0.0.1:1", retry: false },
        { match: { path: "/small" }, limits: { body: "10B" }, to: backend.url },
      ],
    });
  });
  afterAll(() => proxy[Symbol.asyncDispose]());
  const ROWS: readonly (readonly [name: string, bytes: (at: number) => Buffer, status: number])[] = [
    ["a fixed answer", (at) => get(at, "/respond"), 200],
    ["a fixed answer to HEAD", (at) => lastHeaders(at, requestFields("HEAD", "/respond")), 200],
    ["a redirect", (at) => get(at, "/redirect"), 308],
    ["no route", (at) => get(at, "/none"), 404],
    ["no server there", (at) => get(at, "/nobody"), 502],
    ["a path that can be read in two ways", (at) => get(at, "/a/%00"), 400],
    [
      "CONNECT",
      (at) =>
        lastHeaders(at, [
          [":method", "CONNECT"],
          [":authority", "db:5432"],
        ]),
      405,
    ],
    ["a target too long", (at) => get(at, `/${"t".repeat(200)}`), 414],
    ["a head too large", (at) => get(at, "/respond", [["x", "x".repeat(600)]]), 431],
    [
      "too many fields",
      (at) =>
        get(
          at,
          "/respond",
          Array.from({ length: 11 }, (_, i) => [`x${i}`, ""] as const),
        ),
      431,
    ],
    ["an expectation unknown", (at) => get(at, "/respond", [["expect", "tea"]]), 417],
    ["a body said to be too large", (at) => post(at, "/small", [["content-length", "11"]]), 413],
    ["a body that turns out too large", (at) => Buffer.concat([post(at, "/small"), data(at, "12345678901")]), 413],
    ["a body that nobody wants", (at) => post(at, "/respond"), 200],
  ];
  for (const [name, bytes, status] of ROWS)
    test(`${name}: ${status}, and the connection goes on`, async () => {
      await using client = await H2Peer.connect(proxy.port);
      const heard = await client.send(bytes(1)).answer(1);
      expect(heard.status).toBe(status);
      expect(heard.field("content-length")).toBe(String(name.includes("HEAD") ? 4 : heard.body.length));
      expect((await client.get(3, "/respond")).body).toBe("here");
      expect(client.goaway).toBeNull();
      if (name.includes("body")) {
        await client.when(() => client.heard(1).reset !== null, "a client that still sends to be told to stop");
        expect(client.heard(1).reset).toBe("NO_ERROR");
      } else expect(client.heard(1).reset).toBeNull();
    });

  test("more requests at a time than allowed are refused, to be sent again", async () => {
    await using stuck = await RawBackend.start(
      async (peer) => void (await peer.when(() => peer.ended, "the end", 2 ** 30)),
    );
    await using few = await proxyTo(stuck.url, { listener: { h2c: true, limits: { streams: 3 } } });
    await using client = await H2Peer.connect(few.port);
    client.send(get(1), get(3), get(5), get(7));
    expect((await client.answer(7)).reset).toBe("REFUSED_STREAM");
    expect(client.settings.get(3)).toBe(3);
    expect([1, 3, 5].map((at) => client.heard(at).reset)).toEqual([null, null, null]);
  });
});

describe("policies do not know the difference", () => {
  test("another try, with the body, where the first server fails", async () => {
    await using bad = await RawBackend.start(async (peer) => {
      await peer.request();
      peer.reset();
    });
    await using proxy = await proxyTo("app", {
      listener: { h2c: true },
      upstreams: {
        app: {
          servers: [bad.url, backend.url],
          balance: "round-robin",
          outlier: false,
          retry: { on: ["reset"], unsafeMethods: true },
        },
      },
    });
    await using client = await H2Peer.connect(proxy.port);
    for (const at of [1, 3]) {
      client.send(post(at, "/again"), data(at, "the "), lastHeaders(at, [["x-sum", "1"]]));
      expect((await client.answer(at)).body).toBe("the ");
      expect(backend.requests.at(-1)!.trailers).toEqual([["x-sum", "1"]]);
    }
    expect(bad.peers.length).toBeGreaterThan(0);
  });

  test("fields that are set and taken away, and a copy for another server", async () => {
    await using shadow = await RawBackend.answering(() => answer(200));
    await using proxy = await startProxy({
      listener: { h2c: true },
      upstreams: { shadow: { servers: [shadow.url] } },
      routes: [
        {
          to: backend.url,
          mirror: { to: "shadow" },
          requestHeaders: { set: { "X-In": "{method} {scheme}" }, remove: ["x-gone"] },
          responseHeaders: { set: { "X-Out": "yes" } },
        },
      ],
    });
    await using client = await H2Peer.connect(proxy.port);
    client.send(post(1, "/edit", [["x-gone", "1"]]), lastData(1, "copy"));
    expect((await client.answer(1)).field("x-out")).toBe("yes");
    const got = backend.requests.at(-1)!;
    expect([got.field("x-in"), got.field("x-gone")]).toEqual(["POST http", null]);
    await shadow.received(1);
    expect([shadow.requests[0]!.body, shadow.requests[0]!.field("x-in")]).toEqual(["copy", "POST http"]);
  });

  test("a second server is asked while the first one thinks", async () => {
    await using slow = await RawBackend.answering(() => null);
    await using proxy = await proxyTo("app", {
      listener: { h2c: true },
      upstreams: {
        app: { servers: [{ url: slow.url, zone: "a" }, backend.url], preferZone: "a", hedge: { after: "20ms" } },
      },
    });
    await using client = await H2Peer.connect(proxy.port);
    expect((await client.get(1, "/hedged")).body).toBe("/hedged");
    await (await slow.peer(0)).end();
  });

  test("clients show certificates, which routes and fields can use", async () => {
    using pki = await Pki.make();
    const certificates = [await pki.files("server", { names: ["localhost"] })];
    await using proxy = await startProxy({
      listeners: [{ address: "127.0.0.1:0", tls: { certificates, clientAuth: { ca: pki.caFile, mode: "optional" } } }],
      routes: [
        {
          match: { clientCert: { subject: "CN=robot" } },
          requestHeaders: { set: { "X-Client": "{clientCert.subject}" } },
          to: backend.url,
        },
        { respond: { status: 403 } },
      ],
    });
    const ask = async (options: object): Promise<number> => {
      const peer = await connectTls(proxy.port, { ALPNProtocols: ["h2"], ...options });
      await using client = new H2Peer(peer, "client");
      return (await client.get(1, "/known")).status;
    };
    expect(await ask(await pki.pems({ subject: "CN=robot", usage: "client" }))).toBe(200);
    expect(backend.requests.at(-1)!.field("x-client")).toBe("CN=robot");
    expect(await ask({})).toBe(403);
  });

  test("the access log", async () => {
    using folder = new Folder();
    const file = join(folder.path, "access.log");
    await using proxy = await proxyTo(backend.url, {
      listener: { h2c: true },
      log: { access: { path: file, format: "json" } },
    });
    await using client = await H2Peer.connect(proxy.port);
    await client.get(1, "/logged");
    await until(() => readFileSync(file, "utf8").includes("/logged"), "a line of the log");
    expect(JSON.parse(readFileSync(file, "utf8").split("\n")[0]!)).toMatchObject({
      version: "2.0",
      status: 200,
      bytesOut: 7,
    });
  });
});

test("metrics", async () => {
  using folder = new Folder();
  await using held = await RawBackend.answering(() => null);
  await using proxy = await runConfig(folder, {
    workers: 1,
    listeners: [{ address: "127.0.0.1:0", h2c: true, limits: { streams: 2 } }],
    routes: [{ match: { path: "/held" }, to: held.url }, { respond: { body: "here" } }],
  });
  await using client = await H2Peer.connect(proxy.port());
  client.send(get(1, "/held"), get(3, "/held"), get(5));
  expect((await client.answer(5)).reset).toBe("REFUSED_STREAM");
  const count = async (name: string, label = ""): Promise<number> => {
    const all = [...(await proxy.metrics())].filter(([key]) => key.startsWith(`${name}{`) && key.includes(label));
    return all.reduce((sum, [, value]) => sum + value, 0);
  };
  expect(await count("sluice_http2_streams")).toBe(2);
  expect(await count("sluice_http2_glitches_total", 'kind="refused"')).toBe(1);
  await client.send(rst(1), rst(3)).settled();
  expect((await client.get(7)).body).toBe("here");
  expect(await count("sluice_http2_streams")).toBe(0);
  expect(await count("sluice_http2_resets_total", 'by="client"')).toBe(2);
  expect(await count("sluice_requests_total", 'code="499"')).toBe(2);
  client.send(frame("PING", 0, 0, "short"));
  await client.peer.end();
  await until(async () => (await count("sluice_http2_goaways_total", 'reason="h2.protocol"')) === 1, "the GOAWAY");
});

test("a connection that is broken takes no other along", async () => {
  await using proxy = await plain();
  await using rude = await H2Peer.connect(proxy.port);
  await using client = await H2Peer.connect(proxy.port);
  rude.send(frame("PING", 0, 0, "short"));
  await rude.when(() => rude.goaway !== null, "GOAWAY");
  expect(rude.goaway!.code).toBe("FRAME_SIZE_ERROR");
  expect((await client.get(1, "/x")).status).toBe(200);
  expect((await exchange(proxy.port, request("/y"))).body).toBe("/y");
});
