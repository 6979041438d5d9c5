// HTTP/2 clients that are slow, that ask for much at a time, and that are to go elsewhere.
import { describe, expect, test } from "bun:test";
import { H2Peer } from "./support/h2-peer.ts";
import { data, get, headers, lastData, ping, post, requestFields, rst, windowUpdate } from "./support/h2-wire.ts";
import { answer } from "./support/message.ts";
import { NodeH2 } from "./support/node-h2.ts";
import type { Peer } from "./support/peer.ts";
import { proxyTo, startProxy } from "./support/proxy.ts";
import { RawBackend } from "./support/raw-backend.ts";
import { expectShort, SHORT } from "./support/short.ts";
import { Folder, runConfig } from "./support/sluice.ts";
import { until } from "./support/wait.ts";

const FINE = { routes: [{ respond: { body: "fine" } }] };
const WINDOW = 65_535;

/** Keeps every request waiting, but `/fine`. */
const holding = (): Promise<RawBackend> =>
  RawBackend.answering((got) => (got.target === "/fine" ? answer(200, "fine") : null));

const expectFine = async (client: H2Peer, stream: number): Promise<void> =>
  expect((await client.get(stream, "/fine")).body).toBe("fine");

describe("time-outs", () => {
  const listener = (timeouts: object) => ({ listener: { h2c: true, timeouts } });

  test("a client that says nothing but its preface is closed", async () => {
    await using proxy = await startProxy({ ...FINE, ...listener({ header: SHORT }) });
    const hello = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    await using client = await H2Peer.connect(proxy.port, { hello, deaf: true });
    await expectShort(() => client.peer.end());
  });

  test("one that asks for nothing is told to go, and closed", async () => {
    await using proxy = await startProxy({ ...FINE, ...listener({ idle: SHORT }) });
    await using client = await H2Peer.connect(proxy.port);
    await expectFine(client, 1);
    await expectShort(() => client.peer.end());
    expect([client.goaway?.code, client.goaway?.last]).toEqual(["NO_ERROR", 1]);
  });

  test("a head that never ends ends the connection, once what was asked for before is answered", async () => {
    const asked: Peer[] = [];
    await using backend = await RawBackend.answering((_, peer) => {
      asked.push(peer);
      return null;
    });
    await using proxy = await proxyTo(backend.url, listener({ header: SHORT }));
    await using client = await H2Peer.connect(proxy.port);
    await client.settled();
    client.send(get(1), headers(3, requestFields("GET", "/"), 0));
    await expectShort(() => client.when(() => client.goaway !== null, "GOAWAY"));
    expect([client.goaway!.code, client.goaway!.last]).toEqual(["ENHANCE_YOUR_CALM", 1]);
    asked[0]!.send(answer(200, "still"));
    expect((await client.answer(1)).body).toBe("still");
    await client.peer.end();
  });

  test("a client that does not acknowledge our SETTINGS is told to go, once what it has asked for is answered", async () => {
    const asked: Peer[] = [];
    await using backend = await RawBackend.answering((_, peer) => {
      asked.push(peer);
      return null;
    });
    await using proxy = await proxyTo(backend.url, listener({ header: SHORT }));
    await using fine = await H2Peer.connect(proxy.port);
    await using client = await H2Peer.connect(proxy.port, { deaf: true });
    fine.send(get(1));
    client.send(get(1));
    await expectShort(() => client.when(() => client.goaway !== null, "GOAWAY"));
    expect([client.goaway!.code, client.goaway!.last]).toEqual(["SETTINGS_TIMEOUT", 1]);
    for (const peer of asked) peer.send(answer(200, "still"));
    expect((await client.answer(1)).body).toBe("still");
    await client.peer.end();
    expect([(await fine.answer(1)).body, fine.goaway]).toEqual(["still", null]);
  });

  test("half a frame is no better", async () => {
    await using proxy = await startProxy({ ...FINE, ...listener({ header: SHORT }) });
    await using client = await H2Peer.connect(proxy.port);
    await expectFine(client, 1);
    client.send(get(3).subarray(0, 12));
    await expectShort(() => client.peer.end());
    expect(client.goaway!.code).toBe("ENHANCE_YOUR_CALM");
  });

  test("a body that stops is answered 408, and the others go on", async () => {
    await using backend = await holding();
    await using proxy = await proxyTo(backend.url, listener({ body: SHORT }));
    await using client = await H2Peer.connect(proxy.port);
    client.send(get(1, "/held"), post(3, "/slow", [["content-length", "9"]]), data(3, "some"));
    await expectShort(() => client.answer(3));
    expect(client.heard(3).status).toBe(408);
    await expectFine(client, 5);
    expect(client.heard(1).reset).toBeNull();
    expect(backend.requests.map(({ target }) => target)).not.toContain("/slow");
  });

  const STALLS: readonly (readonly [name: string, settings: object, piece: number])[] = [
    ["a stream without a window", {}, 100_000],
    ["a connection without a window", { INITIAL_WINDOW_SIZE: 10_000_000 }, 1_000_000],
  ];
  for (const [name, settings, length] of STALLS)
    test(`${name} is reset, its server left alone, and the others go on`, async () => {
      await using backend = await RawBackend.answering((got) =>
        got.target === "/fine"
          ? answer(200, "fine")
          : `HTTP/1.1 200 OK\r\nContent-Length: 4000000000\r\n\r\n${"x".repeat(length)}`,
      );
      await using proxy = await proxyTo(backend.url, listener({ body: SHORT }));
      await using client = await H2Peer.connect(proxy.port, { stingy: true, settings });
      client.send(get(1, "/endless"));
      await client.when(() => client.heard(1).pieces.length > 0, "content");
      await expectShort(() => client.answer(1));
      expect(client.heard(1).reset).toBe("CANCEL");
      await (await backend.peer(0)).end();
      client.send(windowUpdate(0, 100_000));
      await expectFine(client, 3);
    });

  test("one that reads nothing at all is cut off", async () => {
    const stalled: Peer[] = [];
    await using backend = await RawBackend.answering((_, peer) => {
      stalled.push(peer.send("HTTP/1.1 200 OK\r\nContent-Length: 4000000000\r\n\r\n"));
      return null;
    });
    await using proxy = await proxyTo(backend.url, listener({ body: "500ms" }));
    await using client = await H2Peer.connect(proxy.port, { settings: { INITIAL_WINDOW_SIZE: 2 ** 31 - 1 } });
    client.send(windowUpdate(0, 2 ** 30), get(1));
    await client.head(1);
    client.peer.socket.pause();
    await stalled[0]!.sendEndlessly();
  });
});

describe("back-pressure", () => {
  test("a client's window holds the server's answer up, and the memory small", async () => {
    await using backend = await RawBackend.answering(() => answer(200, "z".repeat(60_000_000)));
    await using proxy = await proxyTo(backend.url, { listener: { h2c: true } });
    await using client = await H2Peer.connect(proxy.port, { stingy: true });
    client.send(get(1));
    await client.when(() => client.heard(1).body.length === WINDOW, "a window of content");
    const server = await backend.peer(0);
    let before = -1;
    while (before !== server.socket.writableLength) {
      before = server.socket.writableLength;
      for (let i = 0; i < 20; i += 1) await client.settled();
    }
    expect(before).toBeGreaterThan(30_000_000);
    client.send(windowUpdate(0, 2 ** 30), windowUpdate(1, 2 ** 30));
    await client.answer(1);
    expect(client.heard(1).body.length).toBe(60_000_000);
  }, 20_000);

  test("a server that does not read holds its client up, and no other request", async () => {
    await using backend = await RawBackend.start(async (peer) => {
      const { target } = await peer.head();
      if (target === "/fine") peer.send(answer(200, "fine"));
      else peer.socket.pause();
      await peer.when(() => peer.ended, "the end", 2 ** 30);
    });
    await using proxy = await proxyTo(backend.url, { listener: { h2c: true } });
    await using client = await H2Peer.connect(proxy.port);
    await client.settled();
    client.send(post(1, "/stuck"));
    let sent = 0;
    let quiet = 0;
    while (quiet < 20) {
      const credit = Math.min(client.window(1) - sent, client.window(0) - sent, 16_384);
      if (credit > 0) client.send(data(1, "u".repeat(credit)));
      sent += Math.max(0, credit);
      quiet = credit > 0 ? 0 : quiet + 1;
      await client.settled();
      if (sent > 100_000_000) throw new Error("nothing holds the client up");
    }
    expect(client.window(0)).toBeGreaterThan(sent); // the connection's window is for the others too
    await expectFine(client, 3);
    const server = await backend.peer(0);
    server.discarding = true;
    server.socket.resume();
    await client.when(() => client.window(1) - sent > 0, "window for more");
  }, 20_000);

  test("a body that nobody asked for yet takes no more than its window", async () => {
    await using backend = await RawBackend.start(
      async (peer) => void (await peer.when(() => peer.ended, "the end", 2 ** 30)),
    );
    await using proxy = await proxyTo("app", {
      listener: { h2c: true },
      upstreams: { app: { servers: [backend.url], limits: { connections: 1 } } },
    });
    await using client = await H2Peer.connect(proxy.port);
    client.send(get(1, "/first"));
    await backend.peer(0);
    client.send(post(3, "/queued"), ...Array.from({ length: 4 }, () => data(3, "u".repeat(16_000))));
    await client.settled();
    expect(client.window(3)).toBe(client.settings.get(4) ?? WINDOW);
  });
});

describe("priorities", () => {
  test("what is more urgent goes first, and the server's word counts more than the client's", async () => {
    await using backend = await RawBackend.answering(({ target }) =>
      answer(200, "p".repeat(200_000), target === "/urgent" ? ["Priority: u=0"] : []),
    );
    await using proxy = await proxyTo(backend.url, { listener: { h2c: true } });
    await using client = await H2Peer.connect(proxy.port, {
      stingy: true,
      settings: { INITIAL_WINDOW_SIZE: 1_000_000 },
    });
    client.send(get(1));
    await client.when(() => client.heard(1).body.length === WINDOW, "the whole window");
    client.send(
      get(3, "/", [["priority", "u=5"]]),
      get(5, "/", [["priority", "u=2"]]),
      get(7, "/urgent", [["priority", "u=7"]]),
    );
    for (const at of [3, 5, 7]) await client.head(at);
    await client.settled();
    for (const next of [7, 5, 1, 3]) {
      const before = client.frames.length;
      client.send(windowUpdate(0, 32_768));
      const came = () => client.frames.slice(before).filter(({ type }) => type === "DATA");
      await client.when(() => came().length === 2, "two frames");
      expect(came().map(({ stream }) => stream)).toEqual([next, next]);
      await client.send(rst(next)).settled();
    }
  });
});

describe("clients that leave", () => {
  test("a request that is cancelled is cancelled at the server", async () => {
    await using backend = await holding();
    await using proxy = await proxyTo(backend.url, { listener: { h2c: true } });
    await using client = await H2Peer.connect(proxy.port);
    client.send(get(1, "/held"));
    await backend.received(1);
    client.send(rst(1));
    await (await backend.peer(0)).end();
    await expectFine(client, 3);
  });

  test("a connection that is lost takes its requests along", async () => {
    await using backend = await holding();
    await using proxy = await proxyTo(backend.url, { listener: { h2c: true } });
    await using client = await H2Peer.connect(proxy.port);
    client.send(get(1, "/held"), get(3, "/held"), post(5, "/held"), data(5, "half"));
    await backend.received(2);
    const third = await backend.peer(2);
    client.peer.reset();
    for (const peer of [await backend.peer(0), await backend.peer(1), third]) await peer.end();
  });
});

describe("the end", () => {
  test("GOAWAY in two steps: what comes between them is served, and what has begun is finished", async () => {
    const asked: Peer[] = [];
    await using backend = await RawBackend.answering(({ target }, peer) => {
      if (target !== "/held") return answer(200, "fine");
      asked.push(peer);
      return null;
    });
    await using proxy = await proxyTo(backend.url, { listener: { h2c: true }, shutdown: { drain: "8s" } });
    await using client = await H2Peer.connect(proxy.port, { deaf: true });
    await using idle = await H2Peer.connect(proxy.port);
    await idle.settled();
    client.send(get(1, "/held"));
    await until(() => asked.length === 1, "the request at the server");
    const closed = proxy.proxy.close();
    await client.when(() => client.goaway !== null, "GOAWAY");
    expect([client.goaway!.code, client.goaway!.last]).toEqual(["NO_ERROR", 2 ** 31 - 1]);
    await idle.peer.end();
    idle.peer.close();
    await expectFine(client, 3);
    const warning = client.frames.findLast(({ type }) => type === "PING")!;
    client.send(ping(warning.payload.latin1Slice(), 1));
    await client.when(() => client.goaway!.last === 3, "the second GOAWAY");
    await client.send(get(5, "/fine"));
    asked[0]!.send(answer(200, "finished"));
    expect((await client.answer(1)).body).toBe("finished");
    await client.peer.end();
    expect(client.heard(5).blocks).toEqual([]);
    client.peer.close();
    await closed;
  });

  test("a reload that takes the listener away loses no request of Node.js", async () => {
    const gates: (() => void)[] = [];
    await using backend = await RawBackend.answering(async ({ target }) => {
      if (target === "/held") await new Promise<void>((resolve) => gates.push(resolve));
      return answer(200, target);
    });
    using folder = new Folder();
    const config = (h2c: readonly object[]) => ({
      admin: { address: "127.0.0.1:0" },
      workers: 1,
      shutdown: { drain: "8s" },
      listeners: [{ address: "127.0.0.1:0" }, ...h2c],
      routes: [{ to: backend.url }],
    });
    await using proxy = await runConfig(folder, config([{ address: "127.0.0.2:0", h2c: true }]));
    await using node = await NodeH2.connect(`http://127.0.0.2:${proxy.port(1)}`);
    const held = node.ask({ path: "/held" });
    await until(() => gates.length === 1, "the request at the server");
    folder.write("sluice.json", config([]));
    expect((await proxy.reload()).status).toBe(200);
    await until(() => node.events.some(({ kind }) => kind === "goaway"), "GOAWAY");
    gates[0]!();
    expect(await held).toMatchObject({ status: 200, body: "/held", error: "" });
    await until(() => node.events.some(({ kind }) => kind === "closed"), "the end of the connection");
    expect(node.events.filter(({ kind }) => kind === "error")).toEqual([]);
  });

  test("a client that closes its side is answered", async () => {
    await using backend = await RawBackend.answering(() => answer(200, "late"));
    await using proxy = await proxyTo(backend.url, { listener: { h2c: true } });
    await using client = await H2Peer.connect(proxy.port, { deaf: true, stingy: true });
    client.send(post(1), lastData(1, "x"));
    client.peer.finish();
    expect((await client.answer(1)).body).toBe("late");
    await client.peer.end();
  });
});
