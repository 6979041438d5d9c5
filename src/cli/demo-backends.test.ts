import { afterAll, beforeAll, expect, test } from "bun:test";
import { type DemoBackend, startDemoBackends } from "./demo-backends.ts";

let backends: DemoBackend[];
beforeAll(() => {
  backends = startDemoBackends();
});
afterAll(() => Promise.all(backends.map((each) => each.stop())));

const each = <T>(what: (backend: DemoBackend) => Promise<T>) => Promise.all(backends.map(what));

const PAGES: readonly (readonly [path: string, status: number, type: string])[] = [
  ["/", 200, "text/html"],
  ["/echo", 200, "text/html"],
  ["/api/time", 200, "application/json"],
  ["/nothing", 404, "text/html"],
];
for (const [path, status, type] of PAGES)
  test(`${path} tells which server answers`, () =>
    each(async ({ name, url }) => {
      const response = await fetch(url + path);
      expect(response.status).toBe(status);
      expect(response.headers.get("content-type")).toStartWith(type);
      expect(await response.text()).toContain(name);
    }));

test("every link of the page leads somewhere", async () => {
  const [{ url } = { url: "" }] = backends;
  const page = await (await fetch(url)).text();
  const links = [...page.matchAll(/href="(\/[^"]*)"/g)].map(([, link = ""]) => link);
  expect(links.length).toBeGreaterThan(6);
  // What the proxy itself answers or rewrites has its rows in demo.test.ts.
  const own = links.filter((link) => link.startsWith("/api/"));
  for (const link of own) expect((await fetch(url + link)).status).toBe(200);
});

test("/api/request shows what arrived", () =>
  each(async ({ name, url }) => {
    const body = "é".repeat(3000);
    const response = await fetch(`${url}/api/request?a=1`, { method: "POST", body, headers: { "x-test": "1" } });
    const seen = (await response.json()) as {
      headers: Record<string, string>;
      body: { bytes: number; beginning: string };
    };
    expect(seen).toMatchObject({ server: name, method: "POST", target: "/api/request?a=1" });
    expect(seen.headers["x-test"]).toBe("1");
    expect(seen.body.bytes).toBe(6000);
    expect(seen.body.beginning).toBe("é".repeat(2048));
  }));

test("/events ticks", () =>
  each(async ({ name, url }) => {
    const response = await fetch(`${url}/events`);
    expect(response.headers.get("content-type")).toBe("text/event-stream");
    let text = "";
    for await (const chunk of response.body!.pipeThrough(new TextDecoderStream())) {
      text += chunk;
      if (text.includes("id: 2\n")) break;
    }
    expect(text).toStartWith(`id: 1\ndata: ${name} 2`);
  }));

test("/echo echoes", () =>
  each(async ({ name, url }) => {
    const socket = new WebSocket(`${url.replace("http", "ws")}/echo`);
    const got: string[] = [];
    await new Promise<void>((resolve, reject) => {
      socket.onerror = () => reject(new Error("the socket failed"));
      socket.onmessage = ({ data }) => {
        got.push(String(data));
        if (got.length === 1) socket.send("hello");
        else resolve();
      };
    });
    socket.close();
    expect(got).toEqual([`connected to server ${name}`, "hello"]);
  }));
