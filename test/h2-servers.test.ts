// HTTP/2 servers that begin, drain, refuse and limit: what clients notice of it.
import { describe, expect, test } from "bun:test";
import { encodeFields, literal } from "./support/h2-hpack.ts";
import { answerH2, type H2Options, H2Peer, type H2Request, H2Server } from "./support/h2-peer.ts";
import {
  ACK,
  data,
  frame,
  get,
  goaway,
  lastData,
  lastHeaders,
  ping,
  post,
  requestFields,
  respond,
  rst,
  SETTING,
  settings,
  windowUpdate,
} from "./support/h2-wire.ts";
import { answer, request } from "./support/message.ts";
import { exchange, Peer } from "./support/peer.ts";
import { plain, proxyFor } from "./support/to-h2-servers.ts";
import { until } from "./support/wait.ts";

const echo = ({ peer, stream, path }: H2Request): void => void peer.send(answerH2(stream, 200, path));

describe("RFC 9113 3.4: what a connection begins with", () => {
  const CASES: readonly (readonly [name: string, hello: Buffer, code: string])[] = [
    ["PING", ping(), "PROTOCOL_ERROR"],
    ["an acknowledgement", frame("SETTINGS", 0, ACK), "PROTOCOL_ERROR"],
    ["an answer", answerH2(1, 200, "early"), "PROTOCOL_ERROR"],
    ["HTTP/1.1", Buffer.from(answer(400, "what?")), "FRAME_SIZE_ERROR|PROTOCOL_ERROR"],
  ];
  for (const [name, hello, code] of CASES)
    test(`${name} instead of SETTINGS: 502`, async () => {
      await using server = await H2Server.start({ serve: echo, options: () => ({ hello }) });
      await using proxy = await proxyFor([plain(server)], { retry: false });
      expect((await exchange(proxy.port, request("/"))).status).toBe(502);
      await (await server.peer(0)).peer.end();
      expect(code.split("|")).toContain(String(server.peers[0]!.goaway?.code));
    });

  test("the server gets a preface, SETTINGS without push, and their acknowledgement", async () => {
    await using server = await H2Server.start({
      serve: echo,
      options: () => ({ settings: { MAX_FRAME_SIZE: 20_000 } }),
    });
    await using proxy = await proxyFor([plain(server)]);
    expect((await exchange(proxy.port, request("/a"))).body).toBe("/a");
    const peer = server.peers[0]!;
    expect(peer.frames[0]!.type).toBe("SETTINGS");
    expect(peer.settings.get(SETTING.ENABLE_PUSH)).toBe(0);
    await peer.settled();
    expect(peer.frames.filter(({ type, flags }) => type === "SETTINGS" && (flags & ACK) !== 0)).toHaveLength(1);
  });
});

describe("what the server gets", () => {
  test("a request of HTTP/1.1 as RFC 9113 8.2 and 8.3 want it", async () => {
    await using server = await H2Server.start({ serve: echo });
    await using proxy = await proxyFor([plain(server)]);
    const fields = ["X-Mixed-CASE: Value", "Connection: x-hop, te", "X-Hop: 1", "TE: gzip, trailers", "Keep-Alive: 5"];
    await exchange(proxy.port, request("/p?q", [...fields, "Upgrade-Insecure-Requests: 1"], "POST", "body"));
    const { heard } = server.requests[0]!;
    const block = heard.blocks[0]!;
    const names = block.map(({ name }) => name);
    const firstField = names.findIndex((name) => !name.startsWith(":"));
    expect(Object.fromEntries(block.slice(0, firstField).map(({ name, value }) => [name, value]))).toEqual({
      ":method": "POST",
      ":scheme": "http",
      ":authority": "app.example",
      ":path": "/p?q",
    });
    expect(names.slice(firstField).filter((name) => name.startsWith(":") || /[A-Z]/.test(name))).toEqual([]);
    for (const name of ["connection", "x-hop", "keep-alive", "transfer-encoding", "host", "upgrade"])
      expect(names).not.toContain(name);
    expect(heard.field("x-mixed-case")).toBe("Value");
    expect([null, "trailers"]).toContain(heard.field("te"));
    await until(() => heard.ended, "the end of the body");
    expect(heard.body).toBe("body");
  });

  test("secrets stay out of its table, and what came never indexed goes on so (RFC 7541 6.2.3 and 7.1)", async () => {
    await using server = await H2Server.start({ serve: echo });
    await using proxy = await proxyFor([plain(server)]);
    await using client = await H2Peer.connect(proxy.port);
    const block = Buffer.concat([
      encodeFields([...requestFields("GET", "/"), ["authorization", "Basic c2VjcmV0"]]),
      literal("x-secret", "never", "never"),
    ]);
    client.send(lastHeaders(1, block));
    expect((await client.answer(1)).status).toBe(200);
    const as = Object.fromEntries(server.requests[0]!.heard.blocks[0]!.map((each) => [each.name, each.as]));
    expect([as.authorization, as["x-secret"]]).toEqual(["never", "never"]);
  });

  test("frames no larger than it takes, and no table where it has none", async () => {
    await using server = await H2Server.start({ serve: echo, options: () => ({ settings: { HEADER_TABLE_SIZE: 0 } }) });
    await using proxy = await proxyFor([plain(server)]);
    await using client = await Peer.connect(proxy.port);
    for (const target of ["/a", "/b", "/c"]) {
      client.send(request(target, [`X-Long: ${"v".repeat(20_000)}`], "PUT", "b".repeat(40_000)));
      expect((await client.response()).body).toBe(target);
    }
    const peer = server.peers[0]!;
    expect(Math.max(...peer.frames.map(({ payload }) => payload.length))).toBeLessThanOrEqual(16_384);
    const late = [...peer.streams.values()].slice(1).flatMap(({ blocks }) => blocks.flat());
    expect(late.filter(({ as }) => as === "incremental")).toEqual([]);
  });
});

describe("RFC 9113 5.2: windows", () => {
  test("a body waits for the server's window", async () => {
    let got: H2Request | null = null;
    await using server = await H2Server.start({
      serve: (request) => (request.path === "/put" ? void (got = request) : echo(request)),
      options: (): H2Options => ({ stingy: true, settings: { INITIAL_WINDOW_SIZE: 10 } }),
    });
    await using proxy = await proxyFor([plain(server)]);
    await using client = await Peer.connect(proxy.port);
    await client.send(request("/before")).response(); // its SETTINGS have come with that
    client.send(request("/put", [], "PUT", "0123456789abcdefghij"));
    await until(() => (got?.heard.body.length ?? 0) >= 10, "ten bytes");
    await got!.peer.settled();
    expect(got!.heard.body).toBe("0123456789");
    got!.peer.send(windowUpdate(got!.stream, 5));
    await until(() => got!.heard.body.length >= 15, "five more");
    got!.peer.send(settings({ INITIAL_WINDOW_SIZE: 100 }));
    await until(() => got!.heard.ended, "the rest");
    got!.peer.send(answerH2(got!.stream, 200, got!.heard.body));
    expect((await client.response()).body).toBe("0123456789abcdefghij");
  });

  test("a server that sends more than it may is told FLOW_CONTROL_ERROR", async () => {
    await using server = await H2Server.start({
      serve({ peer, stream }) {
        peer.send(respond(stream, 200));
        for (let i = 0; i < 1500; i += 1) peer.send(data(stream, Buffer.alloc(16_384)));
      },
    });
    await using proxy = await proxyFor([plain(server)], { retry: false });
    await using client = await Peer.connect(proxy.port);
    client.socket.pause();
    client.send(request("/"));
    const peer = await server.peer(0);
    const told = () => [peer.goaway?.code, ...[...peer.streams.values()].map(({ reset }) => reset)];
    await peer.peer.when(() => told().includes("FLOW_CONTROL_ERROR"), "FLOW_CONTROL_ERROR");
    client.socket.resume();
    await client.end();
  });
});

describe("RFC 9113 5.1.2: streams at a time", () => {
  test("no more than the server allows", async () => {
    let most = 0;
    const answered = new Set<number>();
    await using server = await H2Server.start({
      async serve(request) {
        most = Math.max(most, [...request.peer.streams.values()].filter(({ id }) => !answered.has(id)).length);
        await Bun.sleep(1);
        answered.add(request.stream);
        echo(request);
      },
      options: () => ({ settings: { MAX_CONCURRENT_STREAMS: 2 } }),
    });
    await using proxy = await proxyFor([plain(server)], { limits: { connections: 1, queueTimeout: "8s" } });
    expect((await exchange(proxy.port, request("/first"))).status).toBe(200);
    const statuses = await Promise.all(
      Array.from({ length: 20 }, async (_, index) => (await exchange(proxy.port, request(`/${index}`))).status),
    );
    expect([new Set(statuses), most <= 2, server.peers.length]).toEqual([new Set([200]), true, 1]);
  });
});

describe("RFC 9113 6.8 and 8.7: servers that turn requests away", () => {
  /** Plays `refuse` to the first request, and answers all others. */
  const refusing = (refuse: (request: H2Request) => void): Promise<H2Server> => {
    let first = true;
    return H2Server.start({
      serve(request) {
        if (first && request.path !== "/before") {
          first = false;
          return refuse(request);
        }
        echo(request);
      },
    });
  };
  const CASES: readonly (readonly [name: string, refuse: (request: H2Request) => void, connections: number])[] = [
    ["REFUSED_STREAM", ({ peer, stream }) => void peer.send(rst(stream, "REFUSED_STREAM")), 1],
    ["GOAWAY below it", ({ peer, stream }) => void peer.send(goaway(Math.max(0, stream - 2))), 2],
    ["GOAWAY below it, and the end", ({ peer, stream }) => peer.send(goaway(Math.max(0, stream - 2))).peer.finish(), 2],
    ["GOAWAY with an error, below it", ({ peer, stream }) => void peer.send(goaway(stream - 2, "INTERNAL_ERROR")), 2],
  ];
  for (const [name, refuse, connections] of CASES)
    for (const method of ["GET", "POST"])
      test(`${name}: a ${method} is sent again`, async () => {
        await using server = await refusing(refuse);
        await using proxy = await proxyFor([plain(server)]);
        await using client = await Peer.connect(proxy.port);
        client.send(request("/before"));
        await client.response();
        client.send(request("/again", [], method, method === "POST" ? "body" : ""));
        const came = await client.response();
        expect([came.status, came.body]).toEqual([200, "/again"]);
        expect(server.peers).toHaveLength(connections);
      });

  test("what was under way before GOAWAY goes on, and new requests take another connection", async () => {
    let held: H2Request | null = null;
    await using server = await H2Server.start({
      serve(request) {
        if (request.path !== "/held") return echo(request);
        held = request;
        request.peer.send(respond(request.stream, 200), data(request.stream, "one, "), goaway(request.stream));
      },
    });
    await using proxy = await proxyFor([plain(server)]);
    await using client = await H2Peer.connect(proxy.port);
    client.send(get(1, "/held"));
    await client.when(() => client.heard(1).body === "one, ", "the beginning");
    await held!.peer.settled();
    expect((await client.get(3, "/next")).body).toBe("/next");
    expect(server.peers).toHaveLength(2);
    held!.peer.send(lastData(held!.stream, "two"));
    expect((await client.answer(1)).body).toBe("one, two");
    await held!.peer.peer.end();
  });

  test("a server that always refuses is not asked for ever", async () => {
    let asked = 0;
    await using server = await H2Server.start({
      serve({ peer, stream }) {
        asked += 1;
        peer.send(rst(stream, "REFUSED_STREAM"));
      },
    });
    await using proxy = await proxyFor([plain(server)]);
    expect((await exchange(proxy.port, request("/"))).status).toBeOneOf([502, 503]);
    expect(asked).toBeLessThan(20);
  });

  test("an answer that comes before the end of the request counts (RFC 9113 8.1)", async () => {
    await using server = await H2Server.start({
      serve: ({ peer, stream }) => void peer.send(answerH2(stream, 413, "too large"), rst(stream, "NO_ERROR")),
    });
    await using proxy = await proxyFor([plain(server)]);
    await using client = await H2Peer.connect(proxy.port);
    client.send(post(1, "/upload"), data(1, "x"));
    await client.when(() => client.heard(1).ended, "the answer");
    expect([client.heard(1).status, client.heard(1).body]).toEqual([413, "too large"]);
  });
});

test("a client that leaves is told to the server: CANCEL (RFC 9113 8.1)", async () => {
  await using server = await H2Server.start({ serve: () => {} });
  await using proxy = await proxyFor([plain(server)]);
  await using client = await H2Peer.connect(proxy.port);
  client.send(get(1, "/left"));
  await until(() => server.requests.length > 0, "the request");
  const { heard } = server.requests[0]!;
  client.send(rst(1));
  await until(() => heard.reset !== null, "RST_STREAM at the server");
  expect(heard.reset).toBe("CANCEL");
});
