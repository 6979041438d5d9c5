// The PROXY protocol in front of HTTP: who the client is, and who may say so.
import { describe, expect, test } from "bun:test";
import { join } from "node:path";
import { writeProxyHeader } from "../src/transport/proxy-protocol.ts";
import { request } from "./support/message.ts";
import { Peer } from "./support/peer.ts";
import { startProxy } from "./support/proxy.ts";
import { Folder } from "./support/sluice.ts";
import { until } from "./support/wait.ts";

const SOURCE = { address: "203.0.113.7", port: 40_000 };
const DESTINATION = { address: "198.51.100.1", port: 443 };
const HEADERS = [
  ["version 1", writeProxyHeader("v1", SOURCE, DESTINATION)],
  ["version 2", writeProxyHeader("v2", SOURCE, DESTINATION)],
] as const;
/** Answers with what it takes for the client's address. */
const WHO = { routes: [{ respond: { body: "{ip}" } }] };
const FROM_HERE = { trusted: ["127.0.0.1"] };

async function whoAmI(client: Peer): Promise<string> {
  client.send(request("/"));
  return (await client.response()).body;
}

for (const [name, header] of HEADERS)
  test(`${name} of a trusted proxy says who the client is, for all requests of the connection`, async () => {
    await using proxy = await startProxy({ ...WHO, listener: { proxyProtocol: FROM_HERE } });
    await using client = await Peer.connect(proxy.port);
    client.send(Buffer.concat([header, Buffer.from(request("/"))]));
    expect((await client.response()).body).toBe(SOURCE.address);
    expect(await whoAmI(client)).toBe(SOURCE.address);
  });

test("a header in pieces", async () => {
  await using proxy = await startProxy({ ...WHO, listener: { proxyProtocol: FROM_HERE } });
  await using client = await Peer.connect(proxy.port);
  for (const byte of HEADERS[0][1]) {
    client.send(Buffer.of(byte));
    await Bun.sleep(0);
  }
  expect(await whoAmI(client)).toBe(SOURCE.address);
});

test("peers that are not trusted are taken as they are: their header is a malformed request", async () => {
  await using proxy = await startProxy({ ...WHO, listener: { proxyProtocol: { trusted: ["192.0.2.0/24"] } } });
  await using plain = await Peer.connect(proxy.port);
  expect(await whoAmI(plain)).toBe("127.0.0.1");
  await using forger = await Peer.connect(proxy.port);
  forger.send(HEADERS[0][1]).send(request("/"));
  expect((await forger.response()).status).toBe(400);
});

test("without one, a trusted proxy's connection is closed, unless none is required", async () => {
  await using strict = await startProxy({ ...WHO, listener: { proxyProtocol: FROM_HERE } });
  await using refused = await Peer.connect(strict.port);
  refused.send(request("/"));
  await refused.end();
  expect(refused.peek()).toBe("");
  await using lenient = await startProxy({
    ...WHO,
    listener: { proxyProtocol: { ...FROM_HERE, required: false } },
  });
  await using client = await Peer.connect(lenient.port);
  expect(await whoAmI(client)).toBe("127.0.0.1");
});

test("one that does not come in time, or is malformed, closes the connection", async () => {
  await using proxy = await startProxy({ ...WHO, listener: { proxyProtocol: { ...FROM_HERE, timeout: "200ms" } } });
  for (const sent of ["", "PROXY TCP4 203.0", "PROXY TCP4 203.0.113.7 nobody 1 2\r\n"]) {
    await using client = await Peer.connect(proxy.port);
    client.send(sent);
    await client.end();
    expect(client.peek()).toBe("");
  }
});

test("limits for an address are those of the client, not of the proxy in front", async () => {
  await using proxy = await startProxy({
    ...WHO,
    listener: { proxyProtocol: FROM_HERE, limits: { connectionsPerAddress: 1 } },
  });
  const connect = async (address: string): Promise<Peer> => {
    const client = await Peer.connect(proxy.port);
    return client.send(writeProxyHeader("v2", { address, port: 1 }, DESTINATION));
  };
  await using one = await connect("203.0.113.1");
  expect(await whoAmI(one)).toBe("203.0.113.1");
  await using two = await connect("203.0.113.2");
  expect(await whoAmI(two)).toBe("203.0.113.2");
  {
    await using more = await connect("203.0.113.1");
    more.send(request("/"));
    await more.end();
    expect(more.peek()).toBe("");
  }
  one.socket.destroy();
  // Its place is free again, under the name that it was taken.
  await until(async () => {
    await using again = await connect("203.0.113.1");
    again.send(request("/"));
    await again.when(() => again.ended || again.peek() !== "", "an answer or the end");
    return again.peek() !== "";
  }, "a place");
});

test("connections that have yet to say who they are count, and go with a drain", async () => {
  const proxy = await startProxy({ ...WHO, listener: { proxyProtocol: FROM_HERE, limits: { connections: 1 } } });
  await using silent = await Peer.connect(proxy.port);
  await using more = await Peer.connect(proxy.port);
  await more.end();
  expect(silent.ended).toBe(false);
  await proxy[Symbol.asyncDispose]();
  await silent.end();
});

test("on a unix socket everybody is trusted", async () => {
  using folder = new Folder();
  const path = join(folder.path, "proxy.sock");
  await using _proxy = await startProxy({
    ...WHO,
    listeners: [{ address: `unix:${path}`, proxyProtocol: FROM_HERE }],
  });
  await using client = await Peer.connect(path);
  client.send(HEADERS[1][1]);
  expect(await whoAmI(client)).toBe(SOURCE.address);
});

describe("servers that want it", () => {
  for (const [at, version] of (["v1", "v2"] as const).entries())
    test(`get ${version} with both addresses of the client's connection before the first request`, async () => {
      let got = Buffer.alloc(0);
      using server = Bun.listen({
        hostname: "127.0.0.1",
        port: 0,
        socket: {
          data(socket, bytes) {
            got = Buffer.concat([got, bytes]);
            if (got.includes("\r\n\r\n", HEADERS[at]![1].length)) socket.write("HTTP/1.1 204 No Content\r\n\r\n");
          },
        },
      });
      await using proxy = await startProxy({
        upstreams: { app: { servers: [`127.0.0.1:${server.port}`], proxyProtocol: version } },
        routes: [{ to: "app" }],
        listener: { proxyProtocol: FROM_HERE },
      });
      await using client = await Peer.connect(proxy.port);
      client.send(HEADERS[at]![1]).send(request("/hello"));
      expect((await client.response()).status).toBe(204);
      const header = HEADERS[at]![1];
      expect(got.subarray(0, header.length).toString("hex")).toBe(header.toString("hex"));
      expect(got.subarray(header.length).latin1Slice()).toStartWith("GET /hello HTTP/1.1\r\n");
    });
});
