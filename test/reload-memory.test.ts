// What reloads replace is freed.

import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { createProxy, type Plugin } from "../src/index.ts";
import { answer, request } from "./support/message.ts";
import { exchange } from "./support/peer.ts";
import { configOf } from "./support/proxy.ts";
import { RawBackend } from "./support/raw-backend.ts";
import { Folder, runConfig } from "./support/sluice.ts";
import { until } from "./support/wait.ts";

const RELOADS = 300;
/** Until the heaps of all threads have found their size. */
const WARM_UP = 100;
/** Keeping the 30 routes of each plan in two workers would be four times that. */
const NOISE_BYTES = 16 * 1024 * 1024;
/** On a large machine the heaps grow by 100 MB before they are collected; here they are collected as on one of 64 MB. */
const SMALL_MACHINE = { BUN_JSC_forceRAMSize: String(64 * 1024 * 1024) };

function residentBytes(pid: number): number {
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]) * 1024;
}

test(`${RELOADS} reloads do not make the process grow`, async () => {
  await using backend = await RawBackend.answering(() => answer(200, "ok"));
  const configWith = (turn: number) => ({
    listeners: Array.from({ length: 1 + (turn % 2) }, () => ({ address: "127.0.0.1:0" })),
    admin: { address: "127.0.0.1:0" },
    workers: 2,
    shutdown: { drain: "100ms" },
    upstreams: Object.fromEntries(
      Array.from({ length: 10 }, (_, i) => [
        `u${i}`,
        { servers: [backend.url], timeouts: { connect: `${1000 + turn}ms` } },
      ]),
    ),
    routes: Array.from({ length: 31 }, (_, i) => ({
      name: `r${i}`,
      ...(i < 30 ? { match: { path: `/${i}/${"x".repeat(500)}/${turn}/*` } } : {}),
      responseHeaders: { set: { "x-host": "{host}" } },
      to: `u${i % 10}`,
    })),
  });
  using folder = new Folder();
  await using proxy = await runConfig(folder, configWith(0), [], { env: SMALL_MACHINE });
  const reload = async (turn: number): Promise<void> => {
    folder.write("sluice.json", configWith(turn));
    expect((await proxy.reload()).status).toBe(200);
    expect((await exchange(proxy.port(), request("/"))).body).toBe("ok");
  };
  for (let turn = 1; turn <= WARM_UP; turn += 1) await reload(turn);
  const before = residentBytes(proxy.pid);
  for (let turn = 1; turn <= RELOADS; turn += 1) await reload(WARM_UP + turn);
  expect(residentBytes(proxy.pid) - before).toBeLessThan(NOISE_BYTES);
  // Upstreams that are of no use any more have closed their connections.
  await until(
    () => backend.peers.filter(({ ended }) => !ended).length <= 2 * 10,
    "old connections to servers to close",
  );
}, 120_000);

test("old plans are let go", async () => {
  await using backend = await RawBackend.answering(() => answer(200, "ok"));
  const refs: WeakRef<Plugin>[] = [];
  const configOfTurn = (turn: number) => {
    const plugin: Plugin = { name: `turn-${turn}`, request: () => undefined };
    refs.push(new WeakRef(plugin));
    return configOf({ routes: [{ use: [plugin], to: backend.url }] });
  };
  const proxy = await createProxy(configOfTurn(0));
  const port = Number(proxy.addresses[0]?.split(":").at(-1));
  for (let turn = 1; turn <= 20; turn += 1) {
    await proxy.reload(configOfTurn(turn));
    await exchange(port, request("/"));
  }
  const kept = (): number => refs.filter((ref) => ref.deref() !== undefined).length;
  // The collector looks at the stack without knowing what is what, so one or two may seem to be in use.
  await until(() => {
    Bun.gc(true);
    return kept() <= 3;
  }, "the old plugins to be freed");
  expect(refs.at(-1)?.deref()).toBeDefined();
  await proxy.close();
});
