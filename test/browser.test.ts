// A browser through the proxy: WebSocket and server-sent events as pages use them.
import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Page } from "playwright-core";
import { BROWSER_START_MS, openPage } from "./support/browser.ts";
import { proxyTo, type TestProxy } from "./support/proxy.ts";

const EVENTS = 5;

const PAGE = `<!doctype html><title>page</title><script>
async function echo() {
  const socket = new WebSocket("ws://" + location.host + "/echo");
  socket.binaryType = "arraybuffer";
  await new Promise((resolve, reject) => { socket.onopen = resolve; socket.onerror = reject; });
  const next = () => new Promise((resolve) => { socket.onmessage = ({ data }) => resolve(data); });
  const wrong = [];
  for (const size of [0, 1, 125, 126, 65535, 65536, 1000000]) {
    const text = "\u00e4".repeat(size);
    socket.send(text);
    if (await next() !== text) wrong.push(size);
    const bytes = Uint8Array.from({ length: size }, (_, at) => at);
    socket.send(bytes);
    const echoed = new Uint8Array(await next());
    if (echoed.length !== size || !echoed.every((byte, at) => byte === bytes[at])) wrong.push(-size);
  }
  const closed = new Promise((resolve) => {
    socket.onclose = ({ code, reason, wasClean }) => resolve([code, reason, wasClean]);
  });
  socket.send("close");
  return { wrong, closed: await closed };
}
async function listen() {
  const source = new EventSource("/events");
  await new Promise((resolve) => { source.onopen = resolve; });
  const data = [];
  for (let i = 0; i < ${EVENTS}; i += 1) {
    const event = new Promise((resolve) => { source.onmessage = (message) => resolve(message.data); });
    // Nothing more is sent until this one is here: a proxy that waits for more would wait for ever.
    await fetch("/next", { method: "POST" });
    data.push(await event);
  }
  source.close();
  return data;
}
</script>`;

let directory: string;
let backend: Bun.Server<undefined>;
let proxy: TestProxy;
let page: Page;
/** Sends the next server-sent event; the page asks for it only when it has the one before. */
let sendEvent: (() => void) | null = null;

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), "browser-"));
  backend = Bun.serve({
    port: 0,
    hostname: "127.0.0.1",
    fetch(request, server) {
      const { pathname } = new URL(request.url);
      if (pathname === "/echo") return server.upgrade(request) ? undefined : new Response("no", { status: 426 });
      if (pathname === "/events") return new Response(events(), { headers: { "content-type": "text/event-stream" } });
      if (pathname === "/next") {
        sendEvent?.();
        return new Response("sent");
      }
      return new Response(PAGE, { headers: { "content-type": "text/html" } });
    },
    websocket: {
      message(socket, message) {
        if (message === "close") socket.close(4001, "as asked");
        else socket.send(message);
      },
    },
  });
  proxy = await proxyTo(`http://127.0.0.1:${backend.port}`);
  page = await openPage(proxy.url, join(directory, "profile"), "--disable-quic");
}, BROWSER_START_MS);

afterAll(async () => {
  await page?.context().close();
  await proxy?.[Symbol.asyncDispose]();
  await backend?.stop(true);
  rmSync(directory, { recursive: true, force: true });
});

function events(): ReadableStream {
  let sent = 0;
  return new ReadableStream({
    start(controller) {
      sendEvent = () => {
        controller.enqueue(`id: ${sent}\ndata: event ${sent}\n\n`);
        sent += 1;
        if (sent === EVENTS) controller.close();
      };
      controller.enqueue(": begins\n\n");
    },
  });
}

test("the page itself", async () => {
  expect(await page.title()).toBe("page");
});

test("WebSocket: text and binary of many sizes are echoed, and the close is the server's", async () => {
  expect(await page.evaluate("echo()")).toEqual({ wrong: [], closed: [4001, "as asked", true] });
});

test("server-sent events arrive one at a time, as they are sent", async () => {
  expect(await page.evaluate("listen()")).toEqual(["event 0", "event 1", "event 2", "event 3", "event 4"]);
});
