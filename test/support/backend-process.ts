// A server in a process of its own (`bun backend-process.ts PLAN`) that can be slow, full, failing, stopped, killed and
// started again. It answers with its name, and puts every request into a journal before it does anything else with it.
//
// Its behaviour is changed by JSON lines on standard input, each confirmed by a line on standard output. It ends with its
// input. SIGTERM ends it gracefully: no new connections, unused ones closed, requests finished.
import { appendFileSync, readFileSync } from "node:fs";
import { DEADLINE_MS } from "./wait.ts";

/** How it treats requests. */
export interface Behaviour {
  /** Status of every answer. */
  readonly status: number;
  /** Time that a request takes in milliseconds; `?ms=N` in the target says otherwise for one request. */
  readonly latencyMs: number;
  /** Requests worked on at a time, the others wait in their order: it serves `slots / latencyMs` at most; 0 for no limit. */
  readonly slots: number;
  /**
   * Share of the requests on used connections that end it: half of them unanswered (FIN or reset), half right after the
   * answer, without a word in it.
   */
  readonly closeShare: number;
}

export interface BackendPlan extends Behaviour {
  readonly id: string;
  readonly hostname: string;
  /** 0 for a free one. */
  readonly port: number;
  /** The file that gets a line for each request: `ID METHOD TARGET`. */
  readonly journal: string;
  /** Start of its random numbers. */
  readonly seed: number;
}

const WELL: Behaviour = { status: 200, latencyMs: 0, slots: 0, closeShare: 0 };
/** A connection that ends after its answer does so within this time: often while the next request is on its way. */
const CLOSE_WITHIN_MS = 3;

interface Client {
  received: string;
  served: number;
  busy: boolean;
}

class BackendServer {
  #behaviour: Behaviour;
  readonly #plan: BackendPlan;
  readonly #listener: Bun.TCPSocketListener<Client>;
  readonly #clients = new Set<Bun.Socket<Client>>();
  /** When each slot is free again. Counted, not timed: late timers cost no capacity. */
  #slotFreeAt: number[] = [];
  #random: number;
  #ending = false;

  constructor(plan: BackendPlan) {
    this.#plan = plan;
    this.#behaviour = plan;
    this.#random = plan.seed;
    this.#listener = Bun.listen<Client>({
      hostname: plan.hostname,
      port: plan.port,
      socket: {
        open: (socket) => {
          socket.data = { received: "", served: 0, busy: false };
          socket.setNoDelay(true);
          this.#clients.add(socket);
        },
        data: (socket, chunk) => {
          socket.data.received += chunk.latin1Slice();
          this.#next(socket);
        },
        close: (socket) => this.#left(socket),
        error: () => {},
      },
    });
  }

  get port(): number {
    return this.#listener.port;
  }

  change(part: Partial<Behaviour>): void {
    this.#behaviour = { ...this.#behaviour, ...part };
    this.#slotFreeAt = [];
  }

  end(): void {
    this.#ending = true;
    this.#listener.stop();
    for (const socket of this.#clients) if (!socket.data.busy) socket.end();
    if (this.#clients.size === 0) process.exit(0);
  }

  #left(socket: Bun.Socket<Client>): void {
    this.#clients.delete(socket);
    if (this.#ending && this.#clients.size === 0) process.exit(0);
  }

  /** A number from 0 to 1 (Numerical Recipes' generator). */
  #chance(): number {
    this.#random = (Math.imul(this.#random, 1_664_525) + 1_013_904_223) >>> 0;
    return this.#random / 2 ** 32;
  }

  #next(socket: Bun.Socket<Client>): void {
    const client = socket.data;
    if (client.busy) return;
    const end = client.received.indexOf("\r\n\r\n");
    if (end < 0) return;
    const head = client.received.slice(0, end);
    const length = Number(/^content-length: *(\d+)/im.exec(head)?.[1] ?? 0);
    if (client.received.length < end + 4 + length) return;
    client.received = client.received.slice(end + 4 + length);
    client.busy = true;
    const [method = "", target = ""] = head.split(" ");
    appendFileSync(this.#plan.journal, `${this.#plan.id} ${method} ${target}\n`);
    const { closeShare } = this.#behaviour;
    const closes = client.served > 0 && closeShare > 0 && this.#chance() < closeShare;
    client.served += 1;
    if (closes && this.#chance() < 0.5) return void (this.#chance() < 0.5 ? socket.end() : socket.terminate());
    this.#work(target, () => this.#answer(socket, method, target, closes));
  }

  /** Does the work of one request. */
  #work(target: string, done: () => void): void {
    const { slots, latencyMs } = this.#behaviour;
    const ms = Number(/[?&]ms=(\d+)/.exec(target)?.[1] ?? latencyMs);
    if (ms === 0) return done();
    if (slots === 0) return void setTimeout(done, ms);
    while (this.#slotFreeAt.length < slots) this.#slotFreeAt.push(0);
    const slot = this.#slotFreeAt.indexOf(Math.min(...this.#slotFreeAt));
    const now = performance.now();
    const free = Math.max(now, this.#slotFreeAt[slot]!) + ms;
    this.#slotFreeAt[slot] = free;
    setTimeout(done, free - now);
  }

  #answer(socket: Bun.Socket<Client>, method: string, target: string, closes: boolean): void {
    const body = method === "HEAD" ? "" : this.#plan.id;
    const close = this.#ending ? "Connection: close\r\n" : "";
    const head = `HTTP/1.1 ${this.#behaviour.status} Test\r\nContent-Length: ${this.#plan.id.length}\r\nX-Echo: ${target}\r\n`;
    socket.write(`${head}${close}\r\n${body}`);
    socket.data.busy = false;
    if (this.#ending) socket.end();
    else if (closes) setTimeout(() => socket.end(), this.#chance() * CLOSE_WITHIN_MS);
    else this.#next(socket);
  }
}

/** What arrived at the servers that write to this file. Survives their deaths. */
export class Journal {
  readonly path: string;
  constructor(path: string) {
    this.path = path;
    appendFileSync(path, "");
  }

  /** Every request so far, in the order of arrival: `ID METHOD TARGET`. */
  get lines(): string[] {
    return readFileSync(this.path, "utf8").split("\n").slice(0, -1);
  }
  /** Requests with that method at one server, or at all of them. */
  count(method: string, id?: string): number {
    return this.lines.filter((line) => {
      const [who, what] = line.split(" ");
      return what === method && (id === undefined || who === id);
    }).length;
  }
  /** Targets of POSTs that arrived more than once, wherever. */
  get repeatedPosts(): string[] {
    const targets = this.lines.map((line) => line.split(" ")).filter(([, method]) => method === "POST");
    const seen = new Set<string>();
    return targets.map(([, , target]) => target ?? "").filter((target) => seen.size === seen.add(target).size);
  }
}

/** The server as a test starts it. */
export class BackendProcess implements AsyncDisposable {
  readonly port: number;
  #child: Bun.Subprocess<"pipe", "pipe", "inherit">;
  #lines: AsyncIterator<string>;
  readonly #plan: BackendPlan;

  private constructor(port: number, plan: BackendPlan, started: Started) {
    this.port = port;
    this.#plan = plan;
    this.#child = started.child;
    this.#lines = started.lines;
  }

  static async start(plan: Pick<BackendPlan, "id"> & Partial<BackendPlan>, journal: Journal): Promise<BackendProcess> {
    const full: BackendPlan = { ...WELL, hostname: "127.0.0.1", port: 0, seed: 1, ...plan, journal: journal.path };
    const started = await spawn(full);
    return new BackendProcess(started.port, full, started);
  }

  get id(): string {
    return this.#plan.id;
  }
  /** `host:port`, its name in the admin API. */
  get address(): string {
    return `${this.#plan.hostname}:${this.port}`;
  }
  get url(): string {
    return `http://${this.address}`;
  }

  /** Resolves when it behaves like that. */
  async behave(part: Partial<Behaviour>): Promise<void> {
    this.#child.stdin.write(`${JSON.stringify(part)}\n`);
    await this.#child.stdin.flush();
    await line(this.#lines, "a server's confirmation");
  }

  signal(name: "SIGSTOP" | "SIGCONT"): void {
    this.#child.kill(name);
  }
  /** Ends it at once, or gracefully with SIGTERM. */
  async kill(name: "SIGKILL" | "SIGTERM" = "SIGKILL"): Promise<void> {
    this.#child.kill(name);
    await this.#child.exited;
  }
  /** Starts it anew where it was, behaving as at first. */
  async restart(): Promise<void> {
    const started = await spawn({ ...this.#plan, port: this.port });
    this.#child = started.child;
    this.#lines = started.lines;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
  }
}

interface Started {
  readonly port: number;
  readonly child: Bun.Subprocess<"pipe", "pipe", "inherit">;
  readonly lines: AsyncIterator<string>;
}

async function spawn(plan: BackendPlan): Promise<Started> {
  const child = Bun.spawn([process.execPath, import.meta.path, JSON.stringify(plan)], {
    stdin: "pipe",
    stdout: "pipe",
    stderr: "inherit",
  });
  const lines = linesOf(child.stdout);
  return { port: Number(await line(lines, "a server's port")), child, lines };
}

async function* linesOf(stream: ReadableStream<Uint8Array>): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  let text = "";
  for await (const chunk of stream) {
    const parts = (text + decoder.decode(chunk, { stream: true })).split("\n");
    text = parts.pop() ?? "";
    yield* parts;
  }
}

async function line(lines: AsyncIterator<string>, what: string): Promise<string> {
  const late = Bun.sleep(DEADLINE_MS).then(() => null);
  const next = await Promise.race([lines.next(), late]);
  if (next === null || next.done === true) throw new Error(`did not come: ${what}`);
  return next.value;
}

if (import.meta.main) {
  const server = new BackendServer(JSON.parse(process.argv[2]!) as BackendPlan);
  console.log(server.port);
  process.on("SIGTERM", () => server.end());
  for await (const change of console) {
    server.change(JSON.parse(change) as Partial<Behaviour>);
    console.log("ok");
  }
  process.exit(0);
}
