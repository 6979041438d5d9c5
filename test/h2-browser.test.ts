// A browser that speaks HTTP/2 with the proxy: pages, many requests at a time, WebSocket and server-sent events.
import { afterAll, beforeAll, expect, test } from "bun:test";
import type { Page } from "playwright-core";
import { BROWSER_START_MS, openPage } from "./support/browser.ts";
import { startProxy, type TestProxy } from "./support/proxy.ts";
import { Pki } from "./support/tls.ts";

const PAGE = `<!doctype html><title>page</title><script>
const protocols = () => [...performance.getEntriesByType("navigation"), ...performance.getEntriesByType("resource")]
  .map((entry) => entry.nextHopProtocol);
async function many() {
  performance.setResourceTimingBufferSize(1000);
  const sizes = Array.from({ length: 150 }, (_, n) => (n * 7919) % 60000);
  const texts = await Promise.all(sizes.map(async (size) => {
    const response = await fetch("/echo-body", { method: "POST", body: "x".repeat(size) });
    return response.text();
  }));
  return { right: texts.filter((text, n) => text === "x".repeat(sizes[n])).length, protocols: [...new Set(protocols())] };
}
async function giveUp() {
  const controller = new AbortController();
  const response = await fetch("/endless", { signal: controller.signal });
  const reader = response.body.getReader();
  let bytes = 0;
  while (bytes < 1000000) bytes += (await reader.read()).value.length;
  controller.abort();
  return (await fetch("/echo-body", { method: "POST", body: "still there" })).text();
}
async function echo() {
  const socket = new WebSocket("wss://" + location.host + "/socket");
  socket.binaryType = "arraybuffer";
  await new Promise((resolve, reject) => { socket.onopen = resolve; socket.onerror = reject; });
  const next = () => new Promise((resolve) => { socket.onmessage = ({ data }) => resolve(data); });
  socket.send("via");
  const via = await next();
  const wrong = [];
  for (const size of [0, 1, 126, 65536, 1000000]) {
    const bytes = Uint8Array.from({ length: size }, (_, at) => at);
    socket.send(bytes);
    const echoed = new Uint8Array(await next());
    if (echoed.length !== size || !echoed.every((byte, at) => byte === bytes[at])) wrong.push(size);
  }
  const closed = new Promise((resolve) => {
    socket.onclose = ({ code, reason, wasClean }) => resolve([code, reason, wasClean]);
  });
  socket.send("close");
  return { via, wrong, closed: await closed };
}
async function listen() {
  const source = new EventSource("/events");
  const data = [];
  await new Promise((resolve) => { source.onmessage = (message) => data.push(message.data) === 3 && resolve(); });
  source.close();
  return data;
}
</script>`;

let pki: Pki;
let backend: Bun.Server<{ via: string }>;
let proxy: TestProxy;
let page: Page;

beforeAll(async () => {
  pki = await Pki.make();
  const files = await pki.files("server", { names: ["localhost"] });
  backend = startBackend();
  proxy = await startProxy({
    listener: { tls: { certificates: [files] } },
    routes: [{ to: `http://127.0.0.1:${backend.port}` }],
  });
  const url = `https://localhost:${proxy.port}/`;
  page = await openPage(url, `${pki.folder.path}/profile`, "--disable-quic", "--ignore-certificate-errors");
}, BROWSER_START_MS);

afterAll(async () => {
  await page?.context().close();
  await proxy?.[Symbol.asyncDispose]();
  await backend?.stop(true);
  pki?.[Symbol.dispose]();
});

function startBackend(): Bun.Server<{ via: string }> {
  return Bun.serve<{ via: string }>({
    port: 0,
    hostname: "127.0.0.1",
    async fetch(request, server) {
      const { pathname } = new URL(request.url);
      if (pathname === "/echo-body") return new Response(await request.text());
      if (pathname === "/endless") return new Response(endless());
      if (pathname === "/events") return new Response(events(), { headers: { "content-type": "text/event-stream" } });
      if (pathname === "/socket") {
        const via = request.headers.get("via")?.split(" ")[0] ?? "";
        return server.upgrade(request, { data: { via } }) ? undefined : new Response("no", { status: 426 });
      }
      return new Response(PAGE, { headers: { "content-type": "text/html" } });
    },
    websocket: {
      message(socket, message) {
        if (message === "close") socket.close(4001, "as asked");
        else socket.send(message === "via" ? socket.data.via : message);
      },
    },
  });
}

function endless(): ReadableStream {
  const piece = Buffer.alloc(16_384, "endless ");
  return new ReadableStream({ pull: (controller) => controller.enqueue(piece) });
}

function events(): ReadableStream {
  let sent = 0;
  return new ReadableStream({
    async pull(controller) {
      sent += 1;
      controller.enqueue(`data: event ${sent}\n\n`);
      await Bun.sleep(10); // Each in a write of its own.
    },
  });
}

test("150 uploads at a time, all over HTTP/2", async () => {
  expect(await page.evaluate("many()")).toEqual({ right: 150, protocols: ["h2"] });
});

test("a download that is given up costs nothing else", async () => {
  expect(await page.evaluate("giveUp()")).toBe("still there");
});

test("WebSocket over a stream of HTTP/2 (RFC 8441)", async () => {
  expect(await page.evaluate("echo()")).toEqual({ via: "2", wrong: [], closed: [4001, "as asked", true] });
});

test("server-sent events", async () => {
  expect(await page.evaluate("listen()")).toEqual(["event 1", "event 2", "event 3"]);
});
