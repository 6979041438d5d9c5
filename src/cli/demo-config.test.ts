import { afterAll, beforeAll, expect, test } from "bun:test";
import { createProxy, type Proxy as RunningProxy } from "../index.ts";
import { type DemoBackend, startDemoBackends } from "./demo-backends.ts";
import { demoConfig, demoWelcome } from "./demo-config.ts";

let backends: DemoBackend[];
let proxy: RunningProxy;
let url: string;

beforeAll(async () => {
  backends = startDemoBackends();
  proxy = await createProxy(
    demoConfig({ listen: "127.0.0.1:0", admin: "127.0.0.1:9901", servers: backends.map((each) => each.url) }),
  );
  url = `http://${proxy.addresses[0]}`;
});
afterAll(async () => {
  await Promise.all(backends.map((each) => each.stop()));
  await proxy.close();
});

test("the servers take turns, and the answer says which one it was", async () => {
  const seen: string[] = [];
  for (let each = 0; each < 4; each += 1) {
    const response = await fetch(`${url}/api/time`);
    expect(response.headers.get("x-served-by")).not.toBeNull();
    seen.push(((await response.json()) as { server: string }).server);
  }
  expect(seen.sort()).toEqual(["one", "one", "two", "two"]);
});

test("pages are compressed", async () => {
  const response = await fetch(url, { headers: { "accept-encoding": "gzip" } });
  expect(response.headers.get("content-encoding")).toBe("gzip");
  expect(await response.text()).toContain("<html");
});

test("/v1/ is rewritten", async () => {
  expect(await (await fetch(`${url}/v1/request?a=1`)).json()).toMatchObject({ target: "/api/request?a=1" });
});

test("/old is redirected", async () => {
  const response = await fetch(`${url}/old`, { redirect: "manual" });
  expect(response.status).toBe(302);
  expect(response.headers.get("location")).toStartWith("/api/request?from=");
});

test("/hello is answered by the proxy", async () => {
  const response = await fetch(`${url}/hello`);
  expect(await response.text()).toContain("this is Sluice");
  expect(response.headers.get("x-served-by")).toBeNull();
});

test("every address that the page and the welcome name is served", async () => {
  const page = await (await fetch(url)).text();
  const links = [...page.matchAll(/href="(\/[^"]*)"/g)].map(([, link = ""]) => link);
  const welcome = [...demoWelcome("URL", "ADMIN").matchAll(/URL(\/\S*)/g)].map(([, link = ""]) => link);
  expect(welcome.length).toBeGreaterThan(5);
  for (const link of new Set([...links, ...welcome])) {
    const response = await fetch(url + link);
    expect([link, response.status]).toEqual([link, link === "/nothing" ? 404 : 200]);
    await response.body?.cancel();
  }
});

test("the WebSocket is reached through the proxy", async () => {
  const socket = new WebSocket(`${url.replace("http", "ws")}/echo`);
  const first = await new Promise<string>((resolve, reject) => {
    socket.onmessage = ({ data }) => resolve(String(data));
    socket.onerror = () => reject(new Error("the socket failed"));
  });
  socket.close();
  expect(first).toStartWith("connected to server");
});
