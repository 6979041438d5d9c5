// Two small servers for `sluice demo`: pages, JSON, server-sent events and a WebSocket. Each says its name in all that
// it answers, so that balancing can be seen.
import { echoPage, homePage, notFoundPage } from "./demo-pages.ts";

export interface DemoBackend {
  readonly name: string;
  /** `http://127.0.0.1:port`. */
  readonly url: string;
  /** Closes the server and its open connections. */
  stop(): Promise<void>;
}

const NAMES = ["one", "two"];
const TICK_MS = 1000;
/** What /api/request shows of a body; the rest is read and counted only. */
const BODY_SHOWN_BYTES = 4096;

/** Starts both servers on free ports of the loopback interface. */
export function startDemoBackends(): DemoBackend[] {
  return NAMES.map(startBackend);
}

function startBackend(name: string): DemoBackend {
  let requests = 0;
  const server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    development: false,
    idleTimeout: 0, // the proxy decides how long a connection is kept, and event streams have no end
    fetch(request, self) {
      requests += 1;
      const { pathname } = new URL(request.url);
      if (pathname === "/") return html(homePage(name));
      if (pathname === "/api/time") return json({ server: name, time: new Date().toISOString(), requests });
      if (pathname === "/api/request") return describe(name, request);
      if (pathname === "/events") return events(name);
      if (pathname === "/echo") return self.upgrade(request) ? undefined : html(echoPage(name));
      return html(notFoundPage(name), 404);
    },
    websocket: {
      open: (socket) => void socket.send(`connected to server ${name}`),
      message: (socket, message) => void socket.send(message),
    },
  });
  return { name, url: `http://127.0.0.1:${server.port}`, stop: () => server.stop(true) };
}

function html(text: string, status = 200): Response {
  return new Response(text, { status, headers: { "content-type": "text/html; charset=utf-8" } });
}

function json(value: unknown): Response {
  return new Response(`${JSON.stringify(value, null, 2)}\n`, { headers: { "content-type": "application/json" } });
}

/** What arrived, as this server saw it. */
async function describe(name: string, request: Request): Promise<Response> {
  let size = 0;
  let shown = "";
  const decoder = new TextDecoder();
  for await (const chunk of request.body ?? []) {
    shown += decoder.decode(chunk.subarray(0, Math.max(0, BODY_SHOWN_BYTES - size)), { stream: true });
    size += chunk.length;
  }
  const { pathname, search } = new URL(request.url);
  return json({
    server: name,
    method: request.method,
    target: `${pathname}${search}`,
    headers: Object.fromEntries(request.headers),
    body: { bytes: size, beginning: shown },
  });
}

/** One event at once and one each second, until the reader goes away. */
function events(name: string): Response {
  let timer: ReturnType<typeof setInterval>;
  let count = 0;
  const encoder = new TextEncoder();
  const stream = new ReadableStream<Uint8Array>({
    start(controller) {
      const tick = () => {
        count += 1;
        controller.enqueue(encoder.encode(`id: ${count}\ndata: ${name} ${new Date().toISOString()}\n\n`));
      };
      tick();
      timer = setInterval(tick, TICK_MS);
    },
    cancel() {
      clearInterval(timer);
    },
  });
  return new Response(stream, { headers: { "content-type": "text/event-stream", "cache-control": "no-store" } });
}
