import { expect, test } from "bun:test";
import { RedisServer } from "./redis-server.testing.ts";
import { RedisState } from "./redis-state.ts";

const WAIT_MS = 8000;

test("a server that is not there is named as the reason, without the password", async () => {
  const url = "redis://user:secret@127.0.0.1:1";
  await expect(RedisState.open({ url, timeoutMs: 2000 })).rejects.toThrow(
    /^cannot use Redis: .*(ECONNREFUSED|connect)/i,
  );
  await expect(RedisState.open({ url, timeoutMs: 300 })).rejects.not.toThrow(/secret/);
});

test("a server that hangs costs the time-out, and no more", async () => {
  await using server = await RedisServer.start();
  const state = await RedisState.open({ url: server.url, timeoutMs: 200 });
  server.hang();
  const from = performance.now();
  await expect(state.get("a")).rejects.toThrow("in time");
  expect(performance.now() - from).toBeLessThan(WAIT_MS);
  await state.close();
});

test("commands fail at once while the server is away; when it is back, all goes on, subscriptions too", async () => {
  const errors: Error[] = [];
  const heard: string[] = [];
  const first = await RedisServer.start();
  const state = await RedisState.open({ url: first.url, onError: (error) => errors.push(error) });
  await state.subscribe("news", (message) => heard.push(message));
  await first[Symbol.asyncDispose]();
  await expect(state.set("a", "1")).rejects.toThrow();
  await using _second = await RedisServer.start(first.port);
  const deadline = performance.now() + WAIT_MS;
  while (heard.length === 0 && performance.now() < deadline) {
    await state.publish("news", "back").catch(() => {});
    await Bun.sleep(20);
  }
  expect(heard[0]).toBe("back");
  await state.set("a", "2");
  expect(await state.get("a")).toBe("2");
  expect(errors.length).toBeGreaterThan(0);
  await state.close();
});
