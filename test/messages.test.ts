// Messages on a connection, from end to end: versions, keep-alive, pipelining, bodies, interim responses, trailers.
import { describe, expect, test } from "bun:test";
import { answer, chunks, request } from "./support/message.ts";
import { exchange, Peer } from "./support/peer.ts";
import { proxyTo, startProxy } from "./support/proxy.ts";
import { RawBackend } from "./support/raw-backend.ts";
import { until } from "./support/wait.ts";

const echo = () => RawBackend.answering((got) => answer(200, `${got.method} ${got.target} ${got.body}`));

describe("persistence", () => {
  const CASES: readonly (readonly [head: string, stays: boolean, said: string | null])[] = [
    ["GET / HTTP/1.1\r\nHost: a\r\n\r\n", true, null],
    ["GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", false, "close"],
    ["GET / HTTP/1.1\r\nHost: a\r\nConnection: Keep-Alive, CLOSE\r\n\r\n", false, "close"],
    ["GET / HTTP/1.0\r\nHost: a\r\n\r\n", false, "close"],
    ["GET / HTTP/1.0\r\n\r\n", false, "close"],
    ["GET / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n", true, "keep-alive"],
  ];
  for (const [head, stays, said] of CASES)
    test(JSON.stringify(head), async () => {
      await using backend = await echo();
      await using proxy = await proxyTo(backend.url);
      await using client = await Peer.connect(proxy.port);
      const came = await client.send(head).response();
      expect([came.status, came.first.slice(0, 8), came.field("connection")]).toEqual([200, "HTTP/1.1", said]);
      if (stays) {
        expect((await client.send(head).response()).status).toBe(200);
        expect(client.ended).toBe(false);
      } else await client.end();
    });

  test("an HTTP/1.0 client gets a body of unknown length up to the end of the connection", async () => {
    const reply = `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n${chunks("one ", "two")}0\r\n\r\n`;
    await using backend = await RawBackend.answering(() => reply);
    await using proxy = await proxyTo(backend.url);
    await using client = await Peer.connect(proxy.port);
    const came = await client.send("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n").response();
    expect([came.field("transfer-encoding"), came.field("connection"), came.body]).toEqual([null, "close", "one two"]);
    await client.end();
  });

  test("a request without Host, which HTTP/1.0 may send, gets the server's name as Host", async () => {
    await using backend = await echo();
    await using proxy = await proxyTo(backend.url);
    await exchange(proxy.port, "GET / HTTP/1.0\r\n\r\n");
    expect(backend.requests[0]!.all("host")).toEqual([`127.0.0.1:${backend.port}`]);
  });
});

describe("pipelining", () => {
  const COUNT = 200;

  test("many requests in one packet are answered in order, and each once", async () => {
    await using backend = await RawBackend.answering(async (got) => {
      // The earlier an answer is due, the longer it takes: only waiting keeps the order.
      for (let turns = Number(got.target.slice(1)) % 7; turns < 7; turns += 1) await Bun.sleep(0);
      return answer(200, got.target);
    });
    await using proxy = await proxyTo(backend.url);
    await using client = await Peer.connect(proxy.port);
    const targets = Array.from({ length: COUNT }, (_, at) => `/${at}`);
    client.send(targets.map((target) => request(target)).join(""));
    for (const target of targets) expect((await client.response()).body).toBe(target);
    expect(backend.requests.map((each) => each.target)).toEqual(targets);
    expect(client.peek()).toBe("");
  });

  test("answers of the proxy's own and of a server keep their order, with bodies between them", async () => {
    await using backend = await echo();
    await using proxy = await startProxy({
      routes: [{ match: { path: "/own/*" }, respond: { body: "{path}" } }, { to: backend.url }],
    });
    await using client = await Peer.connect(proxy.port);
    const chunked = `${request("/c", ["Transfer-Encoding: chunked"], "PUT")}${chunks("ab", "cde")}0\r\n\r\n`;
    client.send(
      [
        request("/own/1"),
        request("/a", [], "POST", "GET /x HTTP/1.1\r\n\r\n"),
        request("/own/2", [], "POST", "dropped"),
        chunked,
        request("/own/3"),
        request("/z"),
      ].join(""),
    );
    const bodies: string[] = [];
    for (let i = 0; i < 6; i += 1) bodies.push((await client.response()).body);
    expect(bodies).toEqual([
      "/own/1",
      "POST /a GET /x HTTP/1.1\r\n\r\n",
      "/own/2",
      "PUT /c abcde",
      "/own/3",
      "GET /z ",
    ]);
  });

  test("a packet cut anywhere reads the same", async () => {
    await using backend = await echo();
    await using proxy = await proxyTo(backend.url);
    const wire =
      request("/1", [], "POST", "abc") +
      `${request("/2", ["Transfer-Encoding: chunked"], "POST")}${chunks("d", "ef")}0\r\nX-T: 1\r\n\r\n` +
      request("/3");
    await Promise.all(
      Array.from({ length: wire.length - 1 }, async (_, at) => {
        await using client = await Peer.connect(proxy.port);
        client.send(wire.slice(0, at + 1));
        await until(() => client.socket.writableLength === 0, "the first part to be sent");
        await Bun.sleep(at % 5);
        client.send(wire.slice(at + 1));
        const bodies = [await client.response(), await client.response(), await client.response()].map((m) => m.body);
        expect([at, bodies]).toEqual([at, ["POST /1 abc", "POST /2 def", "GET /3 "]]);
      }),
    );
  });

  test("requests behind a Connection: close are not served", async () => {
    await using backend = await echo();
    await using proxy = await proxyTo(backend.url);
    await using client = await Peer.connect(proxy.port);
    client.send(request("/1", ["Connection: close"]) + request("/2"));
    expect((await client.response()).body).toBe("GET /1 ");
    await client.end();
    expect([client.peek(), backend.requests.length]).toEqual(["", 1]);
  });
});

describe("answers without a body", () => {
  const CASES: readonly (readonly [name: string, method: string, reply: string, length: string | null])[] = [
    [
      "HEAD, with the length of what GET would bring",
      "HEAD",
      "HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n",
      "5000",
    ],
    ["HEAD, chunked", "HEAD", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", null],
    ["HEAD, no length at all", "HEAD", "HTTP/1.1 200 OK\r\n\r\n", null],
    ["204", "GET", "HTTP/1.1 204 No Content\r\n\r\n", null],
    [
      "304, with the length of what 200 would bring",
      "GET",
      "HTTP/1.1 304 Not Modified\r\nContent-Length: 77\r\n\r\n",
      "77",
    ],
    ["an empty 200", "GET", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "0"],
  ];
  for (const [name, method, reply, length] of CASES)
    test(name, async () => {
      await using backend = await RawBackend.answering((got) => (got.target === "/next" ? answer(200, "next") : reply));
      await using proxy = await proxyTo(backend.url);
      await using client = await Peer.connect(proxy.port);
      client.send(request("/", [], method) + request("/next"));
      const came = await client.response(method);
      expect([came.status, came.field("content-length"), came.body]).toEqual([Number(reply.slice(9, 12)), length, ""]);
      expect((await client.response()).body).toBe("next");
      expect(backend.peers.length).toBe(1);
    });
});

describe("bodies", () => {
  test("chunked requests and answers cross chunked, and the connection goes on", async () => {
    await using backend = await RawBackend.answering(
      (got) => `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n${chunks(got.body, "!")}0\r\n\r\n`,
    );
    await using proxy = await proxyTo(backend.url);
    await using client = await Peer.connect(proxy.port);
    for (const word of ["first", "second"]) {
      client.send(
        `${request("/", ["Transfer-Encoding: chunked"], "POST")}${chunks(word.slice(0, 2), word.slice(2))}0\r\n\r\n`,
      );
      const came = await client.response();
      expect([came.field("transfer-encoding"), came.field("content-length"), came.body]).toEqual([
        "chunked",
        null,
        `${word}!`,
      ]);
    }
    expect(backend.requests[0]!.field("transfer-encoding")).toBe("chunked");
    expect(backend.peers.length).toBe(1);
  });

  test("a body that ends with the server's connection becomes chunked", async () => {
    await using backend = await RawBackend.answering((_, peer) => {
      peer.send("HTTP/1.1 200 OK\r\n\r\nto the ");
      setTimeout(() => {
        peer.send("end");
        peer.finish();
      }, 20);
      return null;
    });
    await using proxy = await proxyTo(backend.url);
    await using client = await Peer.connect(proxy.port);
    for (let i = 0; i < 2; i += 1) {
      const came = await client.send(request("/")).response();
      expect([came.field("transfer-encoding"), came.body]).toEqual(["chunked", "to the end"]);
    }
    expect(backend.peers.length).toBe(2);
  });

  test("pieces of an answer arrive as they are sent", async () => {
    let server: Peer | null = null;
    await using backend = await RawBackend.answering((_, peer) => {
      server = peer.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Type: text/event-stream\r\n\r\n");
      return null;
    });
    await using proxy = await proxyTo(backend.url);
    await using client = await Peer.connect(proxy.port);
    expect((await client.send(request("/")).head()).status).toBe(200);
    for (let i = 0; i < 5; i += 1) {
      server!.send(chunks(`data: ${i}\n\n`));
      expect(await client.chunk()).toBe(`data: ${i}\n\n`);
    }
    server!.send("0\r\n\r\n");
    expect(await client.chunk()).toBeNull();
  });

  test("pieces of a request arrive as they are sent", async () => {
    await using backend = await RawBackend.start(async (peer) => {
      await peer.head();
      for (let i = 0; i < 5; i += 1) peer.send(`HTTP/1.1 103 Early Hints\r\nX-Got: ${await peer.chunk()}\r\n\r\n`);
      peer.send(answer(200));
    });
    await using proxy = await proxyTo(backend.url);
    await using client = await Peer.connect(proxy.port);
    client.send(request("/", ["Transfer-Encoding: chunked"], "POST"));
    for (let i = 0; i < 5; i += 1) {
      client.send(chunks(`piece ${i}`));
      expect((await client.head()).field("x-got")).toBe(`piece ${i}`);
    }
    expect((await client.response()).status).toBe(200);
  });

  test("every size around the buffers' bounds arrives whole", async () => {
    await using backend = await RawBackend.answering((got) => answer(200, got.body));
    await using proxy = await proxyTo(backend.url);
    await using client = await Peer.connect(proxy.port);
    for (const bound of [1024, 16_384, 32_768, 65_536, 131_072, 1_048_576])
      for (const size of [bound - 1, bound, bound + 1]) {
        const body = "0123456789abcdef".repeat(Math.ceil(size / 16)).slice(0, size);
        const came = await client.send(request("/", [], "POST", body)).response();
        expect(came.body === body).toBe(true);
      }
  });
});

describe("interim responses", () => {
  test("100-continue goes from end to end", async () => {
    await using backend = await RawBackend.start(async (peer, self) => {
      const head = await peer.head();
      self.requests.push(head);
      peer.send("HTTP/1.1 100 Continue\r\nX-Note: go\r\n\r\n");
      const body = await peer.bytes(Number(head.field("content-length")));
      peer.send(answer(200, body));
    });
    await using proxy = await proxyTo(backend.url);
    await using client = await Peer.connect(proxy.port);
    client.send(request("/", ["Expect: 100-continue", "Content-Length: 5"], "POST"));
    const interim = await client.response();
    expect([interim.status, interim.field("x-note")]).toEqual([100, "go"]);
    expect(backend.requests[0]!.field("expect")).toBe("100-continue");
    const came = await client.send("hello").response();
    expect([came.status, came.body]).toEqual([200, "hello"]);
  });

  test("a final answer in place of 100 reaches the client, and its connection ends", async () => {
    await using backend = await RawBackend.start(async (peer) => {
      await peer.head();
      peer.send(answer(403, "no"));
    });
    await using proxy = await proxyTo(backend.url);
    await using client = await Peer.connect(proxy.port);
    const came = await client.send(request("/", ["Expect: 100-continue", "Content-Length: 5"], "POST")).response();
    expect([came.status, came.body, came.field("connection")]).toEqual([403, "no", "close"]);
  });

  test("an answer of the proxy's own in place of 100 ends the connection too", async () => {
    await using proxy = await startProxy({ routes: [{ respond: { status: 403 } }] });
    await using client = await Peer.connect(proxy.port);
    const came = await client.send(request("/", ["Expect: 100-continue", "Content-Length: 5"], "POST")).response();
    expect([came.status, came.field("connection")]).toEqual([403, "close"]);
    await client.end();
  });

  test("103 passes, with its fields, and more than once", async () => {
    const hint = (n: number) =>
      `HTTP/1.1 103 Early Hints\r\nLink: </${n}.css>\r\nConnection: x-hop\r\nX-Hop: 1\r\n\r\n`;
    await using backend = await RawBackend.answering(() => hint(1) + hint(2) + answer(200, "ok"));
    await using proxy = await proxyTo(backend.url);
    await using client = await Peer.connect(proxy.port);
    client.send(request("/"));
    for (const link of ["</1.css>", "</2.css>"]) {
      const interim = await client.response();
      expect([interim.status, interim.field("link"), interim.field("x-hop")]).toEqual([103, link, null]);
      expect(interim.field("content-length")).toBeNull();
    }
    expect((await client.response()).body).toBe("ok");
  });

  test("HTTP/1.0 clients get none", async () => {
    await using backend = await RawBackend.answering(() => `HTTP/1.1 103 Early Hints\r\n\r\n${answer(200, "ok")}`);
    await using proxy = await proxyTo(backend.url);
    expect((await exchange(proxy.port, "GET / HTTP/1.0\r\n\r\n")).status).toBe(200);
  });

  test("a server that sends nothing but interim responses is broken", async () => {
    await using backend = await RawBackend.answering(() => "HTTP/1.1 103 Early Hints\r\n\r\n".repeat(40));
    await using proxy = await proxyTo(backend.url);
    await using client = await Peer.connect(proxy.port);
    client.send(request("/"));
    let came = await client.response();
    while (came.status < 200) came = await client.response();
    expect(came.status).toBe(502);
  });
});

describe("trailers", () => {
  test("cross both ways, without those that may not stand there", async () => {
    await using backend = await RawBackend.answering(
      (got) =>
        `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n${chunks(JSON.stringify(got.trailers))}` +
        "0\r\nX-Sum: 7\r\nSet-Cookie: a=1\r\nContent-Length: 9\r\n\r\n",
    );
    await using proxy = await proxyTo(backend.url);
    await using client = await Peer.connect(proxy.port);
    for (let i = 0; i < 2; i += 1) {
      client.send(request("/", ["Transfer-Encoding: chunked", "TE: trailers", "Connection: TE"], "POST"));
      client.send(`${chunks("x")}0\r\nX-Check: ${i}\r\nHost: evil\r\nAuthorization: x\r\nTransfer-Encoding: x\r\n\r\n`);
      const came = await client.response();
      expect(JSON.parse(came.body)).toEqual([["X-Check", String(i)]]);
      expect(came.trailers).toEqual([["X-Sum", "7"]]);
    }
  });

  test("of a server are dropped for HTTP/1.0, which cannot carry them", async () => {
    await using backend = await RawBackend.answering(
      () => `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n${chunks("x")}0\r\nX-Sum: 7\r\n\r\n`,
    );
    await using proxy = await proxyTo(backend.url);
    expect((await exchange(proxy.port, "GET / HTTP/1.0\r\n\r\n")).body).toBe("x");
  });
});
