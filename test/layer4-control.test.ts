// Layer 4 across addresses, reloads, drains and commands.
import { describe, expect, test } from "bun:test";
import { createProxy } from "../src/index.ts";
import { answer, request } from "./support/message.ts";
import { exchange, Peer } from "./support/peer.ts";
import { RawBackend } from "./support/raw-backend.ts";
import { Folder, runConfig, type SluiceProcess, sluice } from "./support/sluice.ts";
import { echoes, echoServer, Streams, wasReset } from "./support/streams.ts";
import { udpClient, udpEcho } from "./support/udp.ts";
import { until } from "./support/wait.ts";

describe("the PROXY protocol", () => {
  for (const version of ["v1", "v2"] as const)
    test(`to servers: ${version}`, async () => {
      await using streams = await Streams.start(0);
      streams.servers.push(await RawBackend.start(async (peer) => void peer.send("a")));
      await using proxy = await streams.run({ proxyProtocol: version });
      const { peer } = await streams.open(proxy);
      peer.send("hello");
      const server = await streams.servers[0]!.peer(0);
      const { localPort } = peer.socket as { localPort?: number };
      const [from, to] = [localPort!, proxy.port()];
      const ports = String.fromCharCode(from >> 8, from & 255, to >> 8, to & 255);
      const want =
        version === "v1"
          ? `PROXY TCP4 127.0.0.1 127.0.0.1 ${from} ${to}\r\n`
          : `\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\x7f\0\0\x01\x7f\0\0\x01${ports}`;
      expect(await server.bytes(want.length + 5)).toBe(`${want}hello`);
    });

  test("from a trusted peer: what it announces counts for the log, ip-hash, and the next server", async () => {
    await using streams = await Streams.start(3);
    const trusting = { proxyProtocol: { trusted: ["127.0.0.0/8"] } };
    await using proxy = await streams.run({ balance: "ip-hash" }, {}, trusting);
    const ask = async (client: string): Promise<string> => {
      const peer = await streams.connect(proxy);
      peer.send(`PROXY TCP4 ${client} 192.0.2.99 1000 443\r\nhello`);
      const text = await peer.bytes(6);
      peer.close();
      expect(text.slice(1)).toBe("hello");
      return text.slice(0, 1);
    };
    const clients = Array.from({ length: 12 }, (_, i) => `198.51.100.${i}`);
    const first: string[] = [];
    for (const client of clients) first.push(await ask(client));
    expect(new Set(first).size).toBeGreaterThan(1);
    for (const [at, client] of clients.entries()) expect(await ask(client)).toBe(first[at]!);
    const lines = await streams.logged(24);
    expect(new Set(lines.map(({ ip }) => ip))).toEqual(new Set(clients));
    for (const { bytesIn } of lines) expect(bytesIn).toBe(5); // the header is not the client's

    await streams.reload(proxy, streams.config({ proxyProtocol: "v1" }, {}, trusting));
    const peer = await streams.connect(proxy);
    peer.send("PROXY TCP6 2001:db8::1 2001:db8::2 7 8\r\n");
    expect((await peer.bytes(41)).slice(1)).toBe("PROXY TCP6 2001:db8::1 2001:db8::2 7 8\r\n");
    const bare = await streams.connect(proxy);
    bare.send("hello");
    await bare.end();
    expect(bare.bytesIn).toBe(0);
  });
});

describe("reload", () => {
  test("from HTTP to TCP and back, with connections that stay what they are", async () => {
    await using streams = await Streams.start(1);
    await using web = await RawBackend.answering(() => answer(200, "web"));
    const tcp = streams.config();
    const http = { ...streams.config(), listeners: [{ address: "127.0.0.1:0" }], routes: [{ to: web.url }] };
    await using proxy = await runConfig(streams.folder, http);
    await using one = await Peer.connect(proxy.port());
    expect((await one.send(request("/")).response()).body).toBe("web");
    await streams.reload(proxy, tcp);
    const { peer } = await streams.open(proxy);
    expect((await one.send(request("/")).response()).status).toBe(404); // HTTP still, with the routes of now
    await streams.reload(proxy, http);
    expect((await exchange(proxy.port(), request("/"))).body).toBe("web");
    expect(await echoes(peer, "still TCP")).toBe(true);
    expect((await one.send(request("/")).response()).body).toBe("web");
    peer.finish();
    await peer.when(() => peer.closed, "the end");
    expect(peer.error).toBe("");
  });

  test("another upstream, another server: open sessions stay, new ones go there", async () => {
    await using streams = await Streams.start(2);
    await using proxy = await streams.run({ servers: [streams.address(0)] });
    const { peer, server } = await streams.open(proxy);
    expect(server).toBe("a");
    const config = { ...streams.config(), upstreams: { other: { servers: [streams.address(1)] } } };
    await streams.reload(proxy, { ...config, listeners: [{ address: "127.0.0.1:0", tcp: { to: "other" } }] });
    expect((await streams.open(proxy)).server).toBe("b");
    expect(await echoes(peer, "still here")).toBe(true);
    peer.finish();
    expect((await streams.logged(1))[0]).toMatchObject({ upstream: "app", server: streams.address(0) });
  });

  test("a client that waits when its upstream is taken away is not forgotten", async () => {
    await using streams = await Streams.start(2);
    const limits = { connections: 1, queueTimeout: "20s" };
    await using proxy = await streams.run({ servers: [streams.address(0)], limits });
    const { peer } = await streams.open(proxy);
    const waiting = await streams.connect(proxy);
    await until(async () => (await proxy.metrics()).get(`sluice_upstream_queued{upstream="app"}`) === 1, "one to wait");
    const to = { listeners: [{ address: "127.0.0.1:0", tcp: { to: streams.address(1) } }], upstreams: {} };
    await streams.reload(proxy, { ...streams.config(), ...to });
    expect((await streams.open(proxy)).server).toBe("b");
    peer.finish();
    expect(await waiting.bytes(1)).toBe("a");
  });

  test("a listener that goes: its sessions end by themselves, or are cut after the drain time", async () => {
    await using streams = await Streams.start(1);
    const [first, second] = [
      { address: "127.0.0.1:0", tcp: { to: "app" } },
      { address: "localhost:0", tcp: { to: "app" } },
    ];
    const config = { ...streams.config(), shutdown: { drain: "800ms" } };
    await using proxy = await runConfig(streams.folder, { ...config, listeners: [first, second] });
    const [one, two] = [await streams.open(proxy), await streams.open(proxy)];
    await streams.reload(proxy, { ...config, listeners: [second] });
    expect(await echoes(one.peer, "hello")).toBe(true);
    one.peer.finish();
    await one.peer.when(() => one.peer.closed, "the end");
    expect(one.peer.error).toBe("");
    expect(await echoes(two.peer, "hello")).toBe(true);
    const server = await streams.servers[0]!.peer(1);
    expect(await wasReset(two.peer)).toBe(true);
    expect(await wasReset(server)).toBe(true);
    expect((await streams.logged(2)).map(({ fault }) => fault)).toEqual([undefined, "proxy.shutdown"]);
  });
});

describe("drain", () => {
  test("sessions go on until the drain time is over, and are cut then", async () => {
    await using streams = await Streams.start(1);
    await using proxy = await runConfig(streams.folder, { ...streams.config(), shutdown: { drain: "900ms" } });
    const [one, two] = [await streams.open(proxy), await streams.open(proxy)];
    proxy.signal("SIGTERM");
    await until(
      async () =>
        (await Peer.connect(proxy.port()).then(
          (peer) => peer.close(),
          () => "refused",
        )) === "refused",
      "no more",
    );
    expect(await echoes(one.peer, "hello")).toBe(true);
    one.peer.finish();
    await one.peer.when(() => one.peer.closed, "the end");
    expect(await echoes(two.peer, "still")).toBe(true);
    expect(await wasReset(two.peer)).toBe(true);
    expect(await proxy.exited).toBe(0);
    // Beside those of the clients that came until nobody listened.
    const lines = streams.lines.filter(({ bytesIn }) => bytesIn > 0);
    expect(lines.map(({ fault }) => fault)).toEqual([undefined, "proxy.shutdown"]);
  });

  test("the process ends as soon as the last session does", async () => {
    await using streams = await Streams.start(1);
    await using proxy = await runConfig(streams.folder, { ...streams.config(), shutdown: { drain: "60s" } });
    const { peer } = await streams.open(proxy);
    proxy.signal("SIGTERM");
    expect(await echoes(peer, "hello")).toBe(true);
    peer.finish();
    expect(await proxy.exited).toBe(0);
  });
});

describe("commands and the admin API without any routes", () => {
  const listeners = [
    { address: "127.0.0.1:0", tcp: { to: "db" } },
    { address: "127.0.0.1:0", udp: { to: "127.0.0.1:9" } },
  ];
  const config = { listeners, upstreams: { db: { servers: ["127.0.0.1:1"] } } };

  test("check and explain", async () => {
    using folder = new Folder();
    const file = folder.write("sluice.json", config);
    expect(await sluice(["check", "-c", file])).toMatchObject({ code: 0, err: "" });
    const explained = await sluice(["explain", "-c", file, "http://example.com/"]);
    expect(explained.out).toContain("no listener speaks HTTP");
    expect(explained.out).not.toContain("127.0.0.1:0");
  });

  test("check says where it is wrong", async () => {
    using folder = new Folder();
    const file = folder.write(
      "sluice.yaml",
      'listeners:\n  - address: ":1"\n    tcp: { to: bd }\nupstreams:\n  db: { servers: ["127.0.0.1:1"] }\n',
    );
    const { code, err } = await sluice(["check", "-c", file]);
    expect(code).toBe(1);
    expect(err).toContain('sluice.yaml:3:16: error: there is no upstream named "bd"\n  hint: did you mean "db"?');
  });

  test("the proxy is ready, and says what it listens to", async () => {
    using folder = new Folder();
    await using proxy: SluiceProcess = await runConfig(folder, { ...config, workers: 2 });
    expect(proxy.addresses.map((address) => address.split(":")[0])).toEqual(["tcp", "udp"]);
    expect((await proxy.admin("GET", "/readyz")).status).toBe(200);
    const { listeners: bound } = await proxy.status();
    expect(bound.map((each) => each.bound)).toEqual(proxy.addresses);
  });
});

describe("createProxy", () => {
  test("with a TCP and a UDP listener, which a reload moves", async () => {
    await using server = await echoServer("a");
    await using datagrams = await udpEcho("u");
    const config = {
      admin: false as const,
      shutdown: { drain: "20ms" },
      listeners: [
        { address: "127.0.0.1:0", tcp: { to: `127.0.0.1:${server.port}` } },
        { address: "127.0.0.1:0", udp: { to: `127.0.0.1:${datagrams.port}` } },
      ],
    };
    const proxy = await createProxy(config);
    try {
      const [tcp, udp] = proxy.addresses.map((address) => Number(address.split(":").at(-1)));
      await using peer = await Peer.connect(tcp!);
      expect(await peer.bytes(1)).toBe("a");
      expect(await echoes(peer, "hello")).toBe(true);
      await using client = await udpClient(udp!);
      expect(await client.ask("hello")).toBe("u:hello");
      await proxy.reload(config);
      expect(proxy.addresses.map((address) => Number(address.split(":").at(-1)))).toEqual([tcp!, udp!]);
      expect(await echoes(peer, "still")).toBe(true);
      expect(await client.ask("still")).toBe("u:still");
      await proxy.reload({ ...config, listeners: config.listeners.slice(0, 1) });
      expect(proxy.addresses).toEqual([`127.0.0.1:${tcp}`]);
      expect(await echoes(peer, "again")).toBe(true);
    } finally {
      await proxy.close();
    }
  });
});
