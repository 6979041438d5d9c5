// Clients and servers that take their time: each is cut off when its own has run out, and the others are served.
import { describe, expect, test } from "bun:test";
import { answer, chunks, request } from "./support/message.ts";
import { exchange, Peer } from "./support/peer.ts";
import { SilentPort } from "./support/ports.ts";
import { proxyTo, startProxy } from "./support/proxy.ts";
import { RawBackend } from "./support/raw-backend.ts";
import { expectShort, SHORT } from "./support/short.ts";
import { timed, until } from "./support/wait.ts";

const FINE = { routes: [{ respond: { body: "fine" } }] };

async function expectServed(port: number): Promise<void> {
  expect((await exchange(port, request("/"))).body).toBe("fine");
}

describe("clients", () => {
  test("that send nothing are closed", async () => {
    await using proxy = await startProxy({ ...FINE, listener: { timeouts: { header: SHORT } } });
    await using client = await Peer.connect(proxy.port);
    await expectShort(() => client.end());
    expect(client.peek()).toBe("");
  });

  test("that dribble their head get 408", async () => {
    await using proxy = await startProxy({ ...FINE, listener: { timeouts: { header: SHORT } } });
    await using client = await Peer.connect(proxy.port);
    const dribble = setInterval(() => client.socket.writable && client.send("x"), 20);
    await expectShort(async () => {
      client.send("GET / HTTP/1.1\r\nX-Slow: ");
      const came = await client.response().finally(() => clearInterval(dribble));
      expect([came.status, came.field("connection")]).toEqual([408, "close"]);
      await expectServed(proxy.port);
    });
    await client.end();
  });

  test("that stop inside a body get 408, and the server's connection ends", async () => {
    await using backend = await RawBackend.answering(() => answer(200));
    await using proxy = await proxyTo(backend.url, { listener: { timeouts: { body: SHORT } } });
    await using client = await Peer.connect(proxy.port);
    await expectShort(async () => {
      client.send(request("/", ["Content-Length: 10"], "POST")).send("12345");
      expect((await client.response()).status).toBe(408);
    });
    await client.end();
    await (await backend.peer(0)).end();
    expect(backend.requests).toEqual([]);
  });

  test("that dribble a body below the minimum rate get 408, others not", async () => {
    await using backend = await RawBackend.answering((got) => answer(200, String(got.body.length)));
    await using proxy = await proxyTo(backend.url, { listener: { limits: { bodyRate: "1KB/s" } } });
    await using slow = await Peer.connect(proxy.port);
    await using steady = await Peer.connect(proxy.port);
    slow.send(request("/slow", ["Transfer-Encoding: chunked"], "POST"));
    steady.send(request("/steady", ["Transfer-Encoding: chunked"], "POST"));
    let pieces = 0;
    const dribble = setInterval(() => {
      pieces += 1;
      if (slow.socket.writable) slow.send(chunks("x"));
      steady.send(chunks("y".repeat(512)));
    }, 50);
    const came = await slow.response("POST", 15_000).finally(() => clearInterval(dribble));
    expect(came.status).toBe(408);
    await slow.end();
    steady.send("0\r\n\r\n");
    expect((await steady.response()).body).toBe(String(pieces * 512));
  }, 20_000);

  test("that do not read their answer are cut off, and its server with them", async () => {
    const stalled: Peer[] = [];
    await using backend = await RawBackend.answering((got, peer) => {
      if (got.target !== "/huge") return answer(200, "fine");
      stalled.push(peer.send("HTTP/1.1 200 OK\r\nContent-Length: 4000000000\r\n\r\n"));
      return null;
    });
    await using proxy = await proxyTo(backend.url, { listener: { timeouts: { body: "500ms" } } });
    await using client = await Peer.connect(proxy.port);
    client.socket.pause();
    client.send(request("/huge"));
    await until(() => stalled.length === 1, "the request at the backend");
    await stalled[0]!.sendEndlessly();
    await expectServed(proxy.port);
    client.socket.resume();
    client.discarding = true;
    await client.when(() => client.ended, "the client's connection to end");
    expect(client.bytesIn).toBeLessThan(100_000_000);
  });

  test("that read steadily are not", async () => {
    await using backend = await RawBackend.answering(() => answer(200, "z".repeat(50_000_000)));
    await using proxy = await proxyTo(backend.url, { listener: { timeouts: { body: SHORT } } });
    await using client = await Peer.connect(proxy.port);
    client.discarding = true;
    client.socket.pause();
    client.send(request("/"));
    // Reads now and then, for several of the time-outs.
    const reading = setInterval(() => {
      client.socket.resume();
      setTimeout(() => client.socket.pause(), 1);
    }, 120);
    const from = performance.now();
    await until(() => client.bytesIn > 50_000_000 || performance.now() - from > 1500, "some reads").finally(() =>
      clearInterval(reading),
    );
    client.socket.resume();
    await client.when(() => client.bytesIn > 50_000_000, "the whole answer");
    expect(client.ended).toBe(false);
  });

  test("that are idle after a request are closed", async () => {
    await using proxy = await startProxy({ ...FINE, listener: { timeouts: { idle: SHORT } } });
    await using client = await Peer.connect(proxy.port);
    for (let i = 0; i < 3; i += 1) expect((await client.send(request("/")).response()).body).toBe("fine");
    await expectShort(() => client.end());
    expect([client.peek(), client.error]).toEqual(["", ""]);
  });

  test("beyond the listener's limit are closed at once, until one leaves", async () => {
    await using proxy = await startProxy({ ...FINE, listener: { limits: { connections: 2 } } });
    const first = await Peer.connect(proxy.port);
    await using second = await Peer.connect(proxy.port);
    await second.send(request("/")).response();
    await using third = await Peer.connect(proxy.port);
    await third.end();
    expect(third.peek()).toBe("");
    await first[Symbol.asyncDispose]();
    await until(async () => {
      await using fourth = await Peer.connect(proxy.port);
      fourth.send(request("/"));
      return await fourth.response().then(
        (came) => came.body === "fine",
        () => false,
      );
    }, "a place for another client");
    expect((await second.send(request("/")).response()).body).toBe("fine");
  });

  test("of one address have a limit of their own", async () => {
    await using proxy = await startProxy({ ...FINE, listener: { limits: { connectionsPerAddress: 2 } } });
    await using one = await Peer.connect(proxy.port);
    await using two = await Peer.connect(proxy.port);
    await two.send(request("/")).response();
    await using three = await Peer.connect(proxy.port);
    await three.end();
    await using other = await Peer.connect(proxy.port, "127.0.0.2");
    expect((await other.send(request("/")).response()).body).toBe("fine");
    expect((await one.send(request("/")).response()).body).toBe("fine");
  });
});

describe("servers", () => {
  test("whose connect hangs: 504, and another server is tried where there is one", async () => {
    await using silent = await SilentPort.open();
    await using backend = await RawBackend.answering(() => answer(200, "fine"));
    const hangs = `http://127.0.0.1:${silent.port}`;
    await using proxy = await startProxy({
      upstreams: { hangs: { servers: [hangs], timeouts: { connect: SHORT } } },
      routes: [
        { match: { path: "/alone" }, to: "hangs" },
        { match: { path: "/quicker" }, timeouts: { connect: SHORT }, to: [hangs] },
        { timeouts: { connect: SHORT }, to: [hangs, backend.url] },
      ],
    });
    for (const path of ["/alone", "/quicker"])
      await expectShort(async () => {
        const came = await exchange(proxy.port, request(path));
        expect([came.status, came.field("proxy-status")]).toEqual([504, "sluice; error=connection_timeout"]);
      });
    await expectServed(proxy.port);
    // It is passed over for a while: nobody waits for it again.
    const ms = await timed(() => Promise.all([expectServed(proxy.port), expectServed(proxy.port)]));
    expect(ms).toBeLessThan(250);
  });

  test("that do not answer: 504, and their connection is not used again", async () => {
    await using backend = await RawBackend.answering((got) => (got.target === "/never" ? null : answer(200, "fine")));
    await using proxy = await startProxy({
      upstreams: { app: { servers: [backend.url], timeouts: { response: SHORT } } },
      routes: [{ to: "app" }],
    });
    await expectShort(async () => {
      const came = await exchange(proxy.port, request("/never"));
      expect([came.status, came.field("proxy-status")]).toEqual([504, "sluice; error=http_response_timeout"]);
    });
    await (await backend.peer(0)).end();
    await expectServed(proxy.port);
    expect(backend.peers.length).toBe(2);
  });

  test("a route's own response time-out replaces the upstream's", async () => {
    await using backend = await RawBackend.answering(() => null);
    await using proxy = await startProxy({ routes: [{ timeouts: { response: SHORT }, to: backend.url }] });
    await expectShort(async () => expect((await exchange(proxy.port, request("/"))).status).toBe(504));
  });

  test("that stop inside their answer cut it off", async () => {
    await using backend = await RawBackend.answering(() => "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc");
    await using proxy = await startProxy({ routes: [{ timeouts: { response: SHORT }, to: backend.url }] });
    await using client = await Peer.connect(proxy.port);
    await expectShort(async () => {
      expect((await client.send(request("/")).head()).status).toBe(200);
      await client.end();
    });
    expect(client.peek()).toBe("abc");
  });

  test("a long upload is not their fault", async () => {
    await using backend = await RawBackend.answering((got) => answer(200, got.body));
    await using proxy = await startProxy({ routes: [{ timeouts: { response: SHORT }, to: backend.url }] });
    await using client = await Peer.connect(proxy.port);
    client.send(request("/", ["Content-Length: 10"], "POST"));
    for (let i = 0; i < 10; i += 1) {
      await Bun.sleep(100);
      client.send(String(i));
    }
    expect((await client.response()).body).toBe("0123456789");
  });
});
