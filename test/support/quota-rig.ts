// How exact quotas and metering are when the process is killed in the middle: as many clients as consumers, each on a
// connection of its own, which opens it again while the proxy is away. bench/quota-exactness.ts and a test run it.
import { createHash } from "node:crypto";
import { request } from "./message.ts";
import { Folder, SluiceProcess } from "./sluice.ts";

export interface ExactnessOptions {
  readonly requests: number;
  readonly consumers: number;
  /** Requests of each consumer that are let through. */
  readonly quota: number;
  /** Requests that a client sends before it waits for the answers. */
  readonly atOnce: number;
  /** Requests of all clients in a second at most; Infinity for as fast as it goes. */
  readonly perSecond: number;
}

export interface Exactness {
  readonly seconds: number;
  /** Answers that clients got, over all of them. */
  readonly passed: number;
  readonly refused: number;
  /** Requests of which nobody knows what became, as the process was killed. */
  readonly unanswered: number;
  /** Of the consumer who got the most: in percent of the quota, what he got beyond it. */
  readonly beyond: number;
  /** The same in seconds of his traffic before the kill. */
  readonly beyondSeconds: number;
  /** Answers that clients got and that are not in the usage; below 0 what is there and nobody got. */
  readonly lost: number;
  /** The same in seconds of the traffic before the kill. */
  readonly lostSeconds: number;
}

const ROUND_MS = 20;
const STATUS = "HTTP/1.1 ";

/** One consumer. */
class Client {
  passed = 0;
  refused = 0;
  unanswered = 0;
  sent = 0;
  readonly #text: string;
  readonly #count: number;
  #socket: Bun.Socket<undefined> | null = null;
  #tail = "";
  #awaited = 0;
  #connecting = false;

  constructor(key: string, count: number) {
    this.#text = request("/", [`x-api-key: ${key}`]);
    this.#count = count;
  }

  get isDone(): boolean {
    return this.sent >= this.#count && this.#awaited === 0;
  }
  get answered(): number {
    return this.passed + this.refused;
  }

  /** Sends as many more, once the ones before are answered. */
  go(port: number, count: number): void {
    if (this.#socket === null) return void this.#connect(port);
    if (this.#awaited > 0 || this.sent >= this.#count) return;
    const some = Math.min(count, this.#count - this.sent);
    if (some === 0) return;
    this.sent += some;
    this.#awaited = some;
    this.#socket.write(this.#text.repeat(some));
  }

  async #connect(port: number): Promise<void> {
    if (this.#connecting) return;
    this.#connecting = true;
    try {
      this.#socket = await Bun.connect({
        hostname: "127.0.0.1",
        port,
        socket: {
          data: (_socket, bytes) => this.#read(bytes),
          close: () => this.#lost(),
          error: () => this.#lost(),
        },
      });
    } catch {
      // The proxy is away: it is tried again with the next round.
    }
    this.#connecting = false;
  }

  #lost(): void {
    this.unanswered += this.#awaited;
    this.#awaited = 0;
    this.#tail = "";
    this.#socket = null;
  }

  #read(bytes: Buffer): void {
    const text = this.#tail + bytes.latin1Slice(0, bytes.length);
    let from = 0;
    for (let at = text.indexOf(STATUS); at >= 0 && at + STATUS.length < text.length; at = text.indexOf(STATUS, from)) {
      from = at + STATUS.length + 1;
      if (text[from - 1] === "2") this.passed += 1;
      else this.refused += 1;
      this.#awaited -= 1;
    }
    this.#tail = text.slice(Math.max(from, text.length - STATUS.length));
  }

  end(): void {
    this.#socket?.end();
  }
}

export async function exactness(options: ExactnessOptions): Promise<Exactness> {
  const { requests, consumers, quota, atOnce, perSecond } = options;
  using folder = new Folder();
  const keys = Array.from({ length: consumers }, (_, i) => `key-of-consumer-${i}-that-nobody-guesses`);
  const config = (port: number) => ({
    admin: { address: "127.0.0.1:0" },
    listeners: [{ address: `127.0.0.1:${port}` }],
    workers: 2,
    shutdown: { drain: "20ms" },
    storage: folder.path,
    plans: { gold: { quota: `${quota}/month` } },
    consumers: Object.fromEntries(
      keys.map((key, i) => [
        `c${i}`,
        {
          plan: "gold",
          credentials: [{ apiKey: `sha256:${createHash("sha256").update(key).digest("hex")}` }],
        },
      ]),
    ),
    routes: [
      { name: "api", auth: { apiKey: { header: "x-api-key", consumers: true } }, quota: true, respond: { body: "ok" } },
    ],
  });
  const run = (port: number): Promise<SluiceProcess> =>
    SluiceProcess.start(["run", "-c", folder.write("sluice.json", config(port))]);
  const each = Math.floor(requests / consumers);
  const clients = keys.map((key) => new Client(key, each));
  const first = await run(0);
  const port = first.port();
  const from = performance.now();
  const answered = (): number => clients.reduce((sum, client) => sum + client.answered, 0);
  let proxy = first;
  let before = { at: from, count: 0 };
  let rate = 0;
  while (!clients.every((client) => client.isDone)) {
    const now = performance.now();
    if (now - before.at > 1000) before = { at: now, count: answered() };
    if (proxy === first && answered() >= (each * consumers) / 2) {
      rate = (answered() - before.count) / ((now - before.at) / 1000) || answered() / ((now - from) / 1000);
      first.signal("SIGKILL");
      await first.exited;
      proxy = await run(port);
      continue;
    }
    const share = perSecond === Number.POSITIVE_INFINITY ? atOnce : (perSecond * ROUND_MS) / 1000 / consumers;
    for (const client of clients) client.go(port, Math.min(atOnce, Math.max(1, Math.round(share))));
    await Bun.sleep(perSecond === Number.POSITIVE_INFINITY ? 0 : ROUND_MS);
  }
  const seconds = (performance.now() - from) / 1000;
  for (const client of clients) client.end();
  const { body } = await proxy.admin("GET", "/api/usage?by=month&group=status");
  await proxy[Symbol.asyncDispose]();
  const { usage } = body as { usage: { status: string; requests: number }[] };
  const counted = usage.reduce((sum, { requests: count }) => sum + count, 0);
  const sum = (of: (client: Client) => number): number => clients.reduce((all, client) => all + of(client), 0);
  const most = Math.max(...clients.map(({ passed }) => passed));
  const lost = answered() - counted;
  return {
    seconds,
    passed: sum(({ passed }) => passed),
    refused: sum(({ refused }) => refused),
    unanswered: sum(({ unanswered }) => unanswered),
    beyond: Math.max(0, ((most - quota) / quota) * 100),
    beyondSeconds: Math.max(0, most - quota) / (rate / consumers),
    lost,
    lostSeconds: Math.abs(lost) / rate,
  };
}
