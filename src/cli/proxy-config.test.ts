import { expect, test } from "bun:test";
import { checkConfig } from "../config/load.ts";
import { FlagError, type ProxyFlags, proxyConfig } from "./proxy-config.ts";

const base: ProxyFlags = { from: ":8080", to: ["http://127.0.0.1:3001"] };
const check = (flags: Partial<ProxyFlags>, admin: string | false = false) =>
  checkConfig(proxyConfig({ ...base, ...flags }, admin)).config;

test("the least: one address, one server, nothing logged", () => {
  const config = check({});
  expect(config.listeners.map((each) => each.address)).toEqual([":8080"]);
  expect(config.upstreams.to?.servers).toEqual(["http://127.0.0.1:3001"]);
  expect(config.upstreams.to?.hostHeader).toBe("preserve");
  expect(config.log.access).toBe(false);
  expect(config.workers).toBe("auto");
});

test("a bare port listens on every address", () => expect(check({ from: "9000" }).listeners[0]?.address).toBe(":9000"));
test("several servers", () => expect(check({ to: ["a:1", "b:2"] }).upstreams.to?.servers).toEqual(["a:1", "b:2"]));
test("the Host that servers see", () =>
  expect(check({ hostHeader: "upstream" }).upstreams.to?.hostHeader).toBe("upstream"));
test("workers", () => {
  expect(check({ workers: "3" }).workers).toBe(3);
  expect(check({ workers: "auto" }).workers).toBe("auto");
});
test("compression", () => {
  expect(check({}).routes[0]?.compress).toBeUndefined();
  expect(check({ compress: true }).routes[0]?.compress).toBe(true);
});
test("caching", () => {
  expect(check({}).routes[0]?.cache).toBeUndefined();
  expect(check({ cache: true }).routes[0]?.cache).toBe(true);
});
test("access log", () => {
  expect(check({ accessLog: true }).log.access).toMatchObject({ format: "json", path: "stdout" });
  expect(check({ accessLog: "combined" }).log.access).toMatchObject({ format: "combined" });
});
test("admin: the default, another address, off", () => {
  expect(check({}, "127.0.0.1:9901").admin).toMatchObject({ address: "127.0.0.1:9901" });
  expect(check({ admin: "127.0.0.1:9902" }, "127.0.0.1:9901").admin).toMatchObject({ address: "127.0.0.1:9902" });
  expect(check({ admin: "off" }, "127.0.0.1:9901").admin).toBe(false);
});

for (const flags of [{ workers: "0" }, { workers: "many" }, { workers: "-1" }, { accessLog: "xml" }])
  test(`refused: ${JSON.stringify(flags)}`, () =>
    expect(() => proxyConfig({ ...base, ...flags }, false)).toThrow(FlagError));
