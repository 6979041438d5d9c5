// A load generator in a process of its own (`bun mixed-load.ts PLAN`): GETs and POSTs that each have a target of their
// own, from clients that send one request after the other, or at a rate that answers do not slow down. Ends when its
// standard input does, or after `total` requests, and then prints a MixReport.
import { DEADLINE_MS } from "./wait.ts";

export interface MixPlan {
  readonly port: number;
  /** Clients that ask one request after the other; the most connections where `rate` is given. */
  readonly connections: number;
  /** Requests a second, however long the answers take; 0: each client asks again as soon as it has its answer. */
  readonly rate: number;
  /** Pause of a client between an answer and its next request in milliseconds. */
  readonly pauseMs: number;
  /** Every so-many-th request is a POST; 0 for none. */
  readonly postEvery: number;
  /** Ends by itself after so many requests; 0 goes on. */
  readonly total: number;
}

export interface Latencies {
  readonly p50: number;
  readonly p99: number;
  readonly max: number;
}

export interface MixReport {
  /** Answers by method and status: `GET 200`. A request that was not answered counts as status 0. */
  readonly answers: Readonly<Record<string, number>>;
  /** What stood in the bodies of answers 200: the servers' names. */
  readonly servers: Readonly<Record<string, number>>;
  /** Everything but a GET that was answered 200; the first few. */
  readonly complaints: readonly string[];
  /** Milliseconds to the whole answer, by status. */
  readonly latencies: Readonly<Record<string, Latencies>>;
  /** Answers by status in each slice of `SLICE_MS`. */
  readonly slices: Readonly<Record<string, readonly number[]>>;
  readonly sent: number;
}

export const SLICE_MS = 100;
const COMPLAINTS_KEPT = 8;
/** A rate is kept up in steps of this time. */
const STEP_MS = 2;

interface Client {
  received: string;
  method: string;
  target: string;
  sentAt: number;
}

class MixedLoad {
  readonly #plan: MixPlan;
  readonly #startedAt = performance.now();
  readonly #idle: Bun.Socket<Client>[] = [];
  #connections = 0;
  #waiting = 0;
  #sent = 0;
  #stopping = false;
  readonly #answers: Record<string, number> = {};
  readonly #servers: Record<string, number> = {};
  readonly #complaints: string[] = [];
  readonly #times: Record<string, number[]> = {};
  readonly #slices: Record<string, number[]> = {};
  readonly #over = Promise.withResolvers<void>();

  constructor(plan: MixPlan) {
    this.#plan = plan;
  }

  /** Resolves when no request is open any more. */
  async run(): Promise<MixReport> {
    if (this.#plan.rate === 0) for (let i = 0; i < this.#plan.connections; i += 1) void this.#connect();
    else this.#keepRate();
    await this.#over.promise;
    const sorted = Object.entries(this.#times).map(([status, times]) => [status, summary(times)] as const);
    return {
      answers: this.#answers,
      servers: this.#servers,
      complaints: this.#complaints,
      latencies: Object.fromEntries(sorted),
      slices: this.#slices,
      sent: this.#sent,
    };
  }

  stop(): void {
    this.#stopping = true;
    this.#look();
    setTimeout(() => this.#over.resolve(), DEADLINE_MS);
  }

  get #enough(): boolean {
    return this.#stopping || (this.#plan.total > 0 && this.#sent >= this.#plan.total);
  }

  #look(): void {
    if (this.#enough && this.#waiting === 0) this.#over.resolve();
  }

  #keepRate(): void {
    const timer = setInterval(() => {
      if (this.#enough) {
        clearInterval(timer);
        return this.#look();
      }
      const due = Math.floor(((performance.now() - this.#startedAt) / 1000) * this.#plan.rate);
      while (this.#sent < due && !this.#enough) {
        const socket = this.#idle.pop();
        if (socket !== undefined) this.#send(socket);
        else if (this.#connections < this.#plan.connections) void this.#connect();
        else throw new Error("more connections are needed for that rate");
        if (socket === undefined) break; // The connection sends when it is there; the rest is made up for.
      }
    }, STEP_MS);
  }

  async #connect(): Promise<void> {
    this.#connections += 1;
    try {
      await Bun.connect<Client>({
        hostname: "127.0.0.1",
        port: this.#plan.port,
        socket: {
          open: (socket) => {
            socket.data = { received: "", method: "", target: "", sentAt: 0 };
            socket.setNoDelay(true);
            this.#send(socket);
          },
          data: (socket, chunk) => this.#data(socket, chunk),
          close: (socket) => this.#closed(socket),
          error: () => {},
        },
      });
    } catch (error) {
      this.#connections -= 1;
      this.#complain(`cannot connect: ${(error as { code?: string }).code}`);
      this.#count("CONNECT 0", "0", 0);
      if (this.#plan.rate === 0 && !this.#enough) setTimeout(() => void this.#connect(), STEP_MS);
    }
  }

  #send(socket: Bun.Socket<Client>): void {
    if (this.#enough) return void socket.end();
    this.#sent += 1;
    this.#waiting += 1;
    const { postEvery } = this.#plan;
    const isPost = postEvery > 0 && this.#sent % postEvery === 0;
    const client = socket.data;
    client.method = isPost ? "POST" : "GET";
    client.target = `/${this.#sent}`;
    client.sentAt = performance.now();
    const body = isPost ? `Content-Length: ${client.target.length}\r\n\r\n${client.target}` : "\r\n";
    socket.write(`${client.method} ${client.target} HTTP/1.1\r\nHost: app.example\r\n${body}`);
  }

  #data(socket: Bun.Socket<Client>, chunk: Buffer): void {
    const client = socket.data;
    client.received += chunk.latin1Slice();
    const end = client.received.indexOf("\r\n\r\n");
    if (end < 0) return;
    const length = Number(/^content-length: *(\d+)/im.exec(client.received.slice(0, end))?.[1]);
    if (client.received.length < end + 4 + length) return;
    const answer = client.received;
    client.received = "";
    this.#judge(client, answer, end);
    client.method = "";
    this.#waiting -= 1;
    this.#look();
    if (/^connection: *close/im.test(answer.slice(0, end))) return void socket.end();
    if (this.#plan.rate > 0) this.#idle.push(socket);
    else if (this.#plan.pauseMs === 0) this.#send(socket);
    else setTimeout(() => this.#send(socket), this.#plan.pauseMs);
  }

  #judge(client: Client, answer: string, end: number): void {
    const { method, target } = client;
    const status = answer.slice(9, 12);
    const body = answer.slice(end + 4);
    const echo = /^x-echo: *(\S+)/im.exec(answer.slice(0, end))?.[1];
    if (status === "200" && echo !== target) this.#complain(`${method} ${target} got the answer to ${echo}`);
    else if (status !== "200") this.#complain(`${method} ${target} got ${JSON.stringify(answer.slice(0, 300))}`);
    const ms = performance.now() - client.sentAt;
    this.#count(status === "200" && echo !== target ? `${method} mixed up` : `${method} ${status}`, status, ms);
    if (status === "200") this.#servers[body] = (this.#servers[body] ?? 0) + 1;
  }

  #closed(socket: Bun.Socket<Client>): void {
    this.#connections -= 1;
    const { method, target, received } = socket.data;
    const at = this.#idle.indexOf(socket);
    if (at >= 0) this.#idle.splice(at, 1);
    if (method !== "") {
      this.#waiting -= 1;
      this.#complain(`${method} ${target} was not answered; came: ${JSON.stringify(received.slice(0, 200))}`);
      this.#count(`${method} 0`, "0", performance.now() - socket.data.sentAt);
    }
    this.#look();
    if (this.#plan.rate === 0 && !this.#enough) void this.#connect();
  }

  #count(answer: string, status: string, ms: number): void {
    this.#answers[answer] = (this.#answers[answer] ?? 0) + 1;
    (this.#times[status] ??= []).push(ms);
    const slices = (this.#slices[status] ??= []);
    const now = Math.floor((performance.now() - this.#startedAt) / SLICE_MS);
    while (slices.length <= now) slices.push(0);
    slices[now]! += 1;
  }

  #complain(text: string): void {
    const at = Math.round(performance.now() - this.#startedAt);
    if (this.#complaints.length < COMPLAINTS_KEPT) this.#complaints.push(`at ${at} ms: ${text}`);
  }
}

function summary(times: number[]): Latencies {
  times.sort((a, b) => a - b);
  const at = (share: number) => times[Math.min(times.length - 1, Math.floor(times.length * share))] ?? 0;
  return { p50: at(0.5), p99: at(0.99), max: at(1) };
}

/** The generator as a test starts it. */
export class MixedLoadProcess implements AsyncDisposable {
  readonly #child: Bun.Subprocess<"pipe", "pipe", "inherit">;

  constructor(plan: Pick<MixPlan, "port"> & Partial<MixPlan>) {
    const full: MixPlan = { connections: 16, rate: 0, pauseMs: 0, postEvery: 0, total: 0, ...plan };
    this.#child = Bun.spawn([process.execPath, import.meta.path, JSON.stringify(full)], {
      stdin: "pipe",
      stdout: "pipe",
      stderr: "inherit",
    });
  }

  /** Waits for the end of a plan with a `total`. */
  async finished(): Promise<MixReport> {
    return (await new Response(this.#child.stdout).json()) as MixReport;
  }
  /** Sends nothing new, waits for what is open, and sums up. */
  async stop(): Promise<MixReport> {
    this.#child.stdin.end();
    return this.finished();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.kill("SIGKILL");
    await this.#child.exited;
  }
}

if (import.meta.main) {
  const load = new MixedLoad(JSON.parse(process.argv[2]!) as MixPlan);
  process.stdin.on("end", () => load.stop());
  process.stdin.resume();
  const report = await load.run();
  process.stdout.write(JSON.stringify(report), () => process.exit(0));
}
