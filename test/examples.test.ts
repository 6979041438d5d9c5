// Every example is started as its first lines say, and asked something.
import { afterEach, expect, test } from "bun:test";
import { existsSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const ROOT = join(import.meta.dir, "..");
const EXAMPLES = join(ROOT, "examples");
const running: Bun.Subprocess[] = [];

afterEach(async () => {
  for (const child of running.splice(0)) {
    child.kill("SIGKILL");
    await child.exited;
  }
});

interface Program {
  readonly child: Bun.Subprocess;
  /** What stands behind `name` in its output: `listening on `, `one: `. */
  after(name: string): string;
}

/** Starts a program and waits until its output holds `ready`. */
async function start(
  command: readonly string[],
  env: Readonly<Record<string, string>>,
  ready: string,
): Promise<Program> {
  const child = Bun.spawn([...command], {
    cwd: ROOT,
    env: { ...process.env, ...env },
    stdout: "pipe",
    stderr: "inherit",
  });
  running.push(child);
  let text = "";
  const reader = child.stdout.getReader();
  const decoder = new TextDecoder();
  while (!text.includes(ready)) {
    const { value, done } = await reader.read();
    if (done) throw new Error(`${command.join(" ")} ended before "${ready}":\n${text}`);
    text += decoder.decode(value, { stream: true });
  }
  // The pipe is read on, so that the program never waits for us.
  void (async () => {
    while (!(await reader.read()).done);
  })();
  return {
    child,
    after(name) {
      const line = text.split("\n").find((each) => each.startsWith(name));
      if (line === undefined) throw new Error(`no "${name}" in:\n${text}`);
      return line.slice(name.length).trim();
    },
  };
}

/** `sluice run` with an example's configuration, on ports of the system's choice; answers its URL. */
async function run(file: string, env: Readonly<Record<string, string>> = {}): Promise<string> {
  const ports = { PORT: "0", ADMIN_PORT: "0" };
  const command = [join(ROOT, "bin/sluice"), "run", "--workers", "1", "-c", join(EXAMPLES, file)];
  return (await start(command, { ...ports, ...env }, "sluice ready\n")).after("listening on ");
}

const bun = (file: string, env: Readonly<Record<string, string>>, ready: string): Promise<Program> =>
  start([process.execPath, join(EXAMPLES, file)], env, ready);

const portOf = (url: string): string => new URL(url).port;
const text = async (url: string, init?: RequestInit): Promise<string> => (await fetch(url, init)).text();

test("basic: answers, redirects, rewrites", async () => {
  const app = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    fetch: (request) =>
      new Response(`${new URL(request.url).pathname} for ${request.headers.get("x-client")}`, {
        headers: { server: "secret" },
      }),
  });
  try {
    const url = await run("basic/sluice.yaml", { APP_PORT: String(app.port) });
    expect(await text(`${url}/hello/ann`)).toBe("Hello ann, you are 127.0.0.1.\n");
    const old = await fetch(`${url}/old/x`, { redirect: "manual" });
    expect([old.status, old.headers.get("location")]).toEqual([302, "/hello/again"]);
    const api = await fetch(`${url}/api/users`);
    expect(await api.text()).toBe("/users for 127.0.0.1");
    expect([api.headers.get("x-served-by"), api.headers.get("server")]).toEqual([`127.0.0.1:${app.port}`, null]);
    expect((await fetch(`${url}/api/users`, { method: "DELETE" })).status).toBe(404);
  } finally {
    await app.stop(true);
  }
});

test("typescript: both plugins do their work", async () => {
  const app = Bun.serve({ hostname: "127.0.0.1", port: 0, fetch: () => new Response("inside") });
  try {
    const url = await run("typescript/sluice.config.ts", { APP_URL: app.url.origin, API_KEY: "k" });
    const stranger = await fetch(url);
    expect([stranger.status, stranger.headers.get("www-authenticate")]).toEqual([401, "ApiKey"]);
    const friend = await fetch(url, { headers: { "x-api-key": "k" } });
    expect(await friend.text()).toBe("inside");
    expect(friend.headers.get("server-timing")).toMatch(/^proxy;dur=\d+\.\d$/);
    expect(await text(`${url}/healthz`)).toBe("ok\n");
  } finally {
    await app.stop(true);
  }
});

test("load-balancing: weights hold exactly", async () => {
  const free = { ONE_PORT: "0", TWO_PORT: "0", THREE_PORT: "0", CANARY_PORT: "0" };
  const servers = await bun("load-balancing/servers.ts", free, "canary: http");
  const ports = Object.fromEntries(
    ["one", "two", "three", "canary"].map((name) => [`${name.toUpperCase()}_PORT`, portOf(servers.after(`${name}: `))]),
  );
  const url = await run("load-balancing/sluice.yaml", ports);
  const counts: Record<string, number> = {};
  for (let i = 0; i < 40; i += 1) {
    const name = (await text(url)).trim();
    counts[name] = (counts[name] ?? 0) + 1;
  }
  expect(counts).toEqual({ one: 18, two: 9, three: 9, canary: 4 });
});

test("websocket-chat: what one says, all hear", async () => {
  const server = await bun("websocket-chat/server.ts", { CHAT_PORT: "0" }, "chat: http");
  const url = await run("websocket-chat/sluice.yaml", { CHAT_PORT: portOf(server.after("chat: ")) });
  expect(await text(url)).toContain("<title>Chat</title>");
  const heard = await Promise.all([0, 1].map(() => member(url)));
  heard[0]!.socket.send("good evening");
  expect(await Promise.all(heard.map(({ first }) => first))).toEqual(["good evening", "good evening"]);
  for (const { socket } of heard) socket.close();
});

/** A member of the chat, and the first thing that it hears. */
async function member(url: string): Promise<{ socket: WebSocket; first: Promise<unknown> }> {
  const socket = new WebSocket(`${url.replace(/^http/, "ws")}/chat`);
  const first = new Promise((resolve) => {
    socket.onmessage = ({ data }) => resolve(data);
  });
  await new Promise<void>((resolve, reject) => {
    socket.onopen = () => resolve();
    socket.onerror = () => reject(new Error("the chat does not open"));
  });
  return { socket, first };
}

test("grpc: programs and browsers call the same server", async () => {
  const server = await bun("grpc/server.ts", { GRPC_PORT: "0" }, "greeter: ");
  const url = await run("grpc/sluice.yaml", { GRPC_PORT: server.after("greeter: ") });
  const client = await bun("grpc/client.ts", { PORT: portOf(url) }, "1\n");
  expect([client.after("Hello "), await client.child.exited]).toEqual(["you", 0]);
  // Flags, length and message; then the trailers, in a frame of the same form.
  const message = '{"name":"Ann"}';
  const body = Buffer.concat([Buffer.from([0, 0, 0, 0, message.length]), Buffer.from(message)]);
  const headers = { "content-type": "application/grpc-web+proto" };
  const answer = await text(`${url}/example.Greeter/Hello`, { method: "POST", body, headers });
  expect(answer).toContain('{"text":"Hello Ann"}');
  expect(answer).toContain("grpc-status:0\r\n");
});

test("gateway: a document, keys, plans and a canary", async () => {
  const server = await bun("gateway/server.ts", { STABLE_PORT: "0", NEXT_PORT: "0" }, "next: http");
  const ports = { STABLE_PORT: portOf(server.after("stable: ")), NEXT_PORT: portOf(server.after("next: ")) };
  const storage = mkdtempSync(join(tmpdir(), "gateway-"));
  try {
    const url = `${await run("gateway/sluice.yaml", { ...ports, STORAGE: storage })}/v1/orders`;
    const ask = (key: string, path = "", init: RequestInit = {}): Promise<Response> =>
      fetch(`${url}${path}`, { ...init, headers: { "x-api-key": key, "content-type": "application/json" } });
    const order = (body: object): RequestInit => ({ method: "POST", body: JSON.stringify(body) });
    expect((await fetch(url)).status).toBe(401);
    const all = await ask("acme-key");
    expect(await all.json()).toEqual([{ id: 1, product: "tea", count: 2 }]);
    expect(all.headers.get("ratelimit-policy")).toContain('"gold-day";q=100000;w=86400');
    expect((await ask("acme-key", "", order({ product: "ink", count: 1 }))).status).toBe(201);
    const wrong = await ask("acme-key", "", order({ product: "ink", count: 0, colour: "red" }));
    expect([wrong.status, wrong.headers.get("content-type")]).toEqual([400, "application/problem+json"]);
    expect(((await wrong.json()) as { errors: unknown[] }).errors).toHaveLength(2);
    expect((await ask("acme-key", "?limit=101")).status).toBe(400);
    expect((await ask("acme-key", "/1", { method: "DELETE" })).status).toBe(405);
    expect((await ask("smith-key", "", order({ product: "ink", count: 1 }))).status).toBe(403);
    const versions = await Promise.all(["acme-key", "smith-key"].map((key) => ask(key, "/1")));
    expect(versions.map(({ headers }) => headers.get("x-version"))).toEqual(["stable", "next"]);
    const many = await Promise.all(Array.from({ length: 20 }, () => ask("smith-key")));
    expect(many.filter(({ status }) => status === 429).length).toBeGreaterThan(3);
    expect(await text(new URL("/docs", url).href)).toContain("<title>Orders</title>");
  } finally {
    rmSync(storage, { recursive: true });
  }
});

test("embedded: a program with a proxy in it ends cleanly", async () => {
  const program = await bun("embedded/server.ts", { PORT: "0" }, "listening on http");
  const url = program.after("listening on ");
  expect(await text(`${url}/a/b`)).toBe("the app sees /a/b\n");
  expect(await text(`${url}/greeting`)).toBe("good morning\n");
  program.child.kill("SIGTERM");
  expect(await program.child.exited).toBe(0);
});

test("every example has a test here, and a line in the list", async () => {
  const tests = await Bun.file(import.meta.path).text();
  const list = await Bun.file(join(EXAMPLES, "README.md")).text();
  const folders = readdirSync(EXAMPLES, { withFileTypes: true }).filter((each) => each.isDirectory());
  for (const { name } of folders) {
    expect(tests).toContain(`test("${name}: `);
    const target = new RegExp(`\\[${name}\\]\\((${name}/[\\w.]+)\\)`).exec(list)?.[1];
    expect([name, target !== undefined && existsSync(join(EXAMPLES, target))]).toEqual([name, true]);
  }
});
