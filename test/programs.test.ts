// Real clients and servers around the proxy: curl, nginx, and Node on both sides.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { answer, request } from "./support/message.ts";
import { exchange, Peer } from "./support/peer.ts";
import { Nginx, NodeServer, run } from "./support/programs.ts";
import { proxyTo, startProxy, type TestProxy } from "./support/proxy.ts";
import { RawBackend } from "./support/raw-backend.ts";

describe("curl", () => {
  const directory = mkdtempSync(join(tmpdir(), "curl-"));
  const file = join(directory, "body");
  const body = "curl's body\n".repeat(300_000);
  let node: NodeServer;
  let proxy: TestProxy;

  beforeAll(async () => {
    writeFileSync(file, body);
    node = await NodeServer.start(
      `(request, response) => {
        const length = request.headers["content-length"] ?? "none";
        response.writeHead(200, { "x-got": [request.method, request.httpVersion, length].join(" ") });
        request.pipe(response);
      }`,
    );
    proxy = await proxyTo(node.url);
  });
  afterAll(async () => {
    await proxy[Symbol.asyncDispose]();
    await node[Symbol.asyncDispose]();
    rmSync(directory, { recursive: true });
  });

  const CASES: readonly (readonly [name: string, args: readonly string[], got: RegExp, same?: boolean])[] = [
    ["GET", [], /^GET 1\.1 none$/],
    ["HTTP/1.0", ["--http1.0"], /^GET 1\.1 none$/],
    ["POST", ["--data-binary", "small"], /^POST 1\.1 5$/],
    [
      "a large upload, which waits for 100 Continue",
      ["-T", file, "-H", "Expect: 100-continue"],
      /^PUT 1\.1 3600000$/,
      true,
    ],
    ["a chunked upload", ["-T", file, "-H", "Transfer-Encoding: chunked"], /^PUT 1\.1 none$/, true],
    ["an upload over HTTP/1.0", ["--http1.0", "-T", file], /^PUT 1\.1 3600000$/, true],
  ];
  for (const [name, args, got, same] of CASES)
    test(name, async () => {
      const out = join(directory, `out-${name.length}`);
      const { out: head, err, code } = await run("curl", ["-sS", "-D", "-", "-o", out, ...args, `${proxy.url}/x`]);
      expect([err, code]).toEqual(["", 0]);
      expect(/^x-got: (.*)\r$/m.exec(head)?.[1]).toMatch(got);
      if (same === true) expect(readFileSync(out, "utf8") === body).toBe(true);
    });

  test("several requests over one connection", async () => {
    const urls = Array.from({ length: 5 }, (_, at) => `${proxy.url}/${at}`);
    const { out } = await run("curl", ["-sS", "-w", "%{http_code} %{num_connects}\n", ...urls]);
    expect(out).toBe("200 1\n200 0\n200 0\n200 0\n200 0\n");
  });

  test("HEAD, and an error as a page", async () => {
    expect((await run("curl", ["-sSI", proxy.url])).out).toStartWith("HTTP/1.1 200 OK\r\n");
    const page = await run("curl", ["-sS", "-H", "Accept: text/html", "--path-as-is", `${proxy.url}/%2e%2e/`]);
    expect(page.out).toStartWith("<!doctype html>");
  });
});

describe("nginx behind the proxy", () => {
  const text = "0123456789".repeat(1000);
  let nginx: Nginx;
  let proxy: TestProxy;
  let client: Peer;

  beforeAll(async () => {
    nginx = await Nginx.start(
      `gzip on; gzip_min_length 1; gzip_proxied any; gzip_types *; client_max_body_size 1k;
      add_header x-connection "$connection $connection_requests" always;
      keepalive_requests 1000;
      location /empty { return 204; }
      location /moved { return 301 /file; }
      location /few { keepalive_requests 1; try_files /file =404; }`,
      { file: text },
    );
    proxy = await proxyTo(`unix:${nginx.socket}`);
    client = await Peer.connect(proxy.port);
  });
  afterAll(async () => {
    await client[Symbol.asyncDispose]();
    await proxy[Symbol.asyncDispose]();
    await nginx[Symbol.asyncDispose]();
  });

  test("one connection is kept", async () => {
    const seen: string[][] = [];
    for (let i = 0; i < 4; i += 1) {
      const came = await client.send(request("/file")).response();
      expect(came.body).toBe(text);
      seen.push((came.field("x-connection") ?? "").split(" "));
    }
    const [first] = seen as [string[]];
    expect(seen).toEqual(seen.map((_, at) => [first[0]!, String(Number(first[1]) + at)]));
  });

  test("a connection that it closes after an answer is replaced", async () => {
    for (let i = 0; i < 4; i += 1) expect((await client.send(request("/few")).response()).body).toBe(text);
  });

  test("chunked and compressed", async () => {
    const came = await client.send(request("/file", ["Accept-Encoding: gzip"])).response();
    expect([came.field("transfer-encoding"), came.field("content-encoding")]).toEqual(["chunked", "gzip"]);
    expect(Buffer.from(Bun.gunzipSync(Buffer.from(came.body, "latin1"))).toString()).toBe(text);
  });

  test("304, 206, 416, HEAD, 204, 301", async () => {
    const etag = (await client.send(request("/file")).response()).field("etag");
    const CASES: readonly (readonly [text: string, status: number, length: string | null, body: string])[] = [
      [request("/file", [`If-None-Match: ${etag}`]), 304, null, ""],
      [request("/file", ["Range: bytes=5-14"]), 206, "10", "5678901234"],
      [request("/file", ["Range: bytes=-3"]), 206, "3", "789"],
      [request("/file", ["Range: bytes=99999-"]), 416, null, ""],
      [request("/file", [], "HEAD"), 200, "10000", ""],
      [request("/empty"), 204, null, ""],
      [request("/moved"), 301, null, ""],
    ];
    for (const [text, status, length, body] of CASES) {
      const came = await client.send(text).response(text.slice(0, text.indexOf(" ")));
      expect(came.status).toBe(status);
      if (length !== null) expect(came.field("content-length")).toBe(length);
      if (body !== "") expect(came.body).toBe(body);
    }
  });

  test("its 413 reaches a client that is still sending", async () => {
    await using uploader = await Peer.connect(proxy.port);
    uploader.send(request("/file", ["Content-Length: 20000000"], "POST"));
    const piece = "x".repeat(65_536);
    const feed = setInterval(
      () => uploader.socket.writable && uploader.socket.writableLength < 200_000 && uploader.send(piece),
      1,
    );
    const came = await uploader.response().finally(() => clearInterval(feed));
    expect(came.status).toBe(413);
  });
});

describe("Node behind the proxy", () => {
  test("trailers, early hints and 100-continue of its own http", async () => {
    await using node = await NodeServer.start(
      `(request, response) => {
        response.writeEarlyHints({ link: "</a.css>; rel=preload" });
        response.writeHead(200, { trailer: "x-sum" });
        request.on("data", (chunk) => response.write(chunk));
        request.on("end", () => {
          response.addTrailers({ "x-sum": JSON.stringify(request.trailers) });
          response.end();
        });
      }`,
      `server.on("checkContinue", (request, response) => {
        response.writeContinue();
        server.emit("request", request, response);
      });`,
    );
    await using proxy = await proxyTo(node.url);
    await using client = await Peer.connect(proxy.port);
    client.send(
      request("/", ["Transfer-Encoding: chunked", "Expect: 100-continue", "TE: trailers", "Connection: TE"], "POST"),
    );
    expect((await client.response()).status).toBe(100);
    client.send("5\r\nhello\r\n0\r\nX-Check: 1\r\n\r\n");
    const hints = await client.response();
    expect([hints.status, hints.field("link")]).toEqual([103, "</a.css>; rel=preload"]);
    const came = await client.response();
    expect([came.status, came.body]).toEqual([200, "hello"]);
    expect(came.trailers).toEqual([["x-sum", '{"x-check":"1"}']]);
  });

  test("its short keep-alive costs no request", async () => {
    await using node = await NodeServer.start(
      `(request, response) => response.end(request.url)`,
      `server.keepAliveTimeout = 20; server.keepAliveTimeoutBuffer = 0;`,
    );
    await using proxy = await proxyTo(node.url);
    for (let i = 0; i < 20; i += 1) {
      expect((await exchange(proxy.port, request(`/${i}`))).body).toBe(`/${i}`);
      await Bun.sleep(18 + (i % 5)); // around the moment at which it closes
    }
  });

  test("Node as the client: its pooled agent, bodies of many sizes, many at once", async () => {
    await using node = await NodeServer.start(
      `(request, response) => {
        const hash = require("node:crypto").createHash("md5");
        request.on("data", (chunk) => hash.update(chunk));
        request.on("end", () => response.end(hash.digest("hex") + "x".repeat(Number(request.url.slice(1)))));
      }`,
    );
    await using proxy = await proxyTo(node.url);
    const program = `
      const http = require("node:http");
      const { createHash } = require("node:crypto");
      const agent = new http.Agent({ keepAlive: true, maxSockets: 16 });
      const one = (n) => new Promise((resolve, reject) => {
        const body = Buffer.alloc((n * 7919) % 70000, n);
        const size = (n * 104729) % 90000;
        const options = { agent, method: n % 2 ? "POST" : "PUT" };
        if (n % 3 === 0) options.headers = { "transfer-encoding": "chunked" };
        const request = http.request(${JSON.stringify(proxy.url)} + "/" + size, options, async (response) => {
          let text = "";
          for await (const chunk of response) text += chunk;
          resolve(text === createHash("md5").update(body).digest("hex") + "x".repeat(size));
        });
        request.on("error", reject);
        request.end(body);
      });
      Promise.all(Array.from({ length: 400 }, (_, n) => one(n))).then((all) => {
        console.log(all.filter(Boolean).length);
        agent.destroy();
      });`;
    expect(await run("node", ["-e", program])).toEqual({ out: "400\n", err: "", code: 0 });
  });
});

test("nginx as the next hop", async () => {
  await using backend = await RawBackend.answering((got) => answer(200, got.body));
  await using inner = await Nginx.start(
    `location / { proxy_pass ${backend.url}; proxy_http_version 1.1; proxy_pass_request_headers on; }`,
    {},
  );
  await using outer = await startProxy({ routes: [{ to: `unix:${inner.socket}` }] });
  expect((await exchange(outer.port, request("/", [], "POST", "through"))).body).toBe("through");
});
