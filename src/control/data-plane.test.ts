import { expect, test } from "bun:test";
import { answer, request } from "../../test/support/message.ts";
import { exchange, Peer } from "../../test/support/peer.ts";
import { configOf } from "../../test/support/proxy.ts";
import { RawBackend } from "../../test/support/raw-backend.ts";
import { until } from "../../test/support/wait.ts";
import { Changes } from "../cache/changes.ts";
import { checkConfig } from "../config/load.ts";
import type { Config, ConfigInput } from "../config/schema.ts";
import { createLog } from "../observe/log.ts";
import { Metrics } from "../observe/metrics.ts";
import { NO_KEYS } from "../pipeline/key-book.ts";
import { NO_KEY_ANSWER } from "../pipeline/own-keys.ts";
import { Board } from "../upstream/board.ts";
import { DataPlane } from "./data-plane.ts";
import { ListenError } from "./listen-error.ts";

const LISTENER = { address: "127.0.0.1:0" };
const SECOND = "127.0.0.1:0 (2)";

const NOBODY = { memberships: new Map(), certificates: [], challenges: [], memories: new Map() };
const configWith = (listeners: number, routes: ConfigInput["routes"]): Config =>
  checkConfig(configOf({ listeners: Array.from({ length: listeners }, () => LISTENER), routes })).config;

async function using(use: (plane: DataPlane, port: number) => Promise<void>): Promise<void> {
  const plane = new DataPlane({
    log: createLog("error"),
    metrics: new Metrics(() => {}),
    primary: true,
    board: new Board(Board.memory(1), 0),
    secret: new Uint8Array(32),
    threads: 1,
    cacheChanges: Changes.memory(),
    peers: null,
    ban() {},
    handOver() {},
    keys: NO_KEYS,
    event() {},
    usageOf: async () => [],
    ownKeys: async () => NO_KEY_ANSWER,
    ask: async () => ({ certificate: null, refusedMs: 1 }),
    askToken: async () => null,
  });
  const first = plane.prepare(configWith(1, [{ respond: { body: "old" } }]), new Map(), NOBODY);
  plane.commit(first);
  await use(plane, plane.ports(first).get(LISTENER.address)!);
  await plane.drain(0);
}

test("a new listener answers nothing before its plan is in use", () =>
  using(async (plane, port) => {
    const prepared = plane.prepare(configWith(2, [{ respond: { body: "new" } }]), new Map(), NOBODY);
    await using client = await Peer.connect(plane.ports(prepared).get(SECOND)!);
    client.send(request("/"));
    await until(() => prepared.opened[0]!.connections.size === 1, "the connection to be accepted");
    // Other requests that came later are answered meanwhile, by the plan in use.
    for (let i = 0; i < 3; i += 1) expect((await exchange(port, request("/"))).body).toBe("old");
    expect(client.bytesIn).toBe(0);
    plane.commit(prepared);
    expect((await client.response()).body).toBe("new");
    expect((await exchange(port, request("/"))).body).toBe("new");
  }));

test("what is discarded leaves nothing behind", () =>
  using(async (plane, port) => {
    const prepared = plane.prepare(configWith(2, [{ respond: { body: "new" } }]), new Map(), NOBODY);
    const second = plane.ports(prepared).get(SECOND)!;
    await using client = await Peer.connect(second);
    client.send(request("/"));
    await until(() => prepared.opened[0]!.connections.size === 1, "the connection to be accepted");
    plane.discard(prepared);
    await client.end();
    await expect(Peer.connect(second)).rejects.toMatchObject({ code: "ECONNREFUSED" });
    expect((await exchange(port, request("/"))).body).toBe("old");
  }));

test("listeners opened before the one that cannot be are closed again", () =>
  using(async (plane, port) => {
    await using taken = await RawBackend.answering(() => answer(200));
    const listeners = [LISTENER, LISTENER, { address: `127.0.0.1:${taken.port}` }];
    const { config } = checkConfig(configOf({ listeners, routes: [{ respond: {} }] }));
    const second = Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data() {} } });
    second.stop(true);
    expect(() => plane.prepare(config, new Map([[SECOND, second.port]]), NOBODY)).toThrow(ListenError);
    await expect(Peer.connect(second.port)).rejects.toMatchObject({ code: "ECONNREFUSED" });
    expect((await exchange(port, request("/"))).body).toBe("old");
  }));

test("nothing begins once it stops", () =>
  using(async (plane) => {
    const prepared = plane.prepare(configWith(2, [{ respond: {} }]), new Map(), NOBODY);
    const second = plane.ports(prepared).get(SECOND)!;
    const drained = plane.drain(0);
    plane.commit(prepared);
    await expect(Peer.connect(second)).rejects.toMatchObject({ code: "ECONNREFUSED" });
    expect(() => plane.prepare(configWith(1, [{ respond: {} }]), new Map(), NOBODY)).toThrow("stopping");
    await drained;
  }));
