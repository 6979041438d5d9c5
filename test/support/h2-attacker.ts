// An attacker in a process of its own (`bun h2-attacker.ts PLAN`): connections that play one attack as fast as they can,
// and begin again when they are cut off. Ends when its standard input does, and then prints an AttackReport. With a plan
// of `null` it is the server that attackers ask: `/held` is not answered, and the answer to `/big` is.
import { ERROR_NAMES } from "../../src/http/h2/frames.ts";
import { ATTACKS, type Attack } from "./h2-attacks.ts";
import { firstFrame, PREFACE, SETTINGS_ACK, settings } from "./h2-wire.ts";
import { answer } from "./message.ts";

export interface AttackPlan {
  readonly port: number;
  /** The attack's name. */
  readonly attack: string;
  readonly connections: number;
}

export interface AttackReport {
  readonly connections: number;
  readonly bytes: number;
  /** How connections ended: the code of GOAWAY, or `closed`. */
  readonly ends: Readonly<Record<string, number>>;
}

/** Bursts that are made once for all connections. */
const BURSTS_KEPT = 64;
/** Who was cut off comes back so soon: two round trips of a client that is far away. */
const AGAIN_MS = 50;

interface Client {
  number: number;
  /** What of a burst the kernel did not take yet. */
  left: Buffer;
  unread: Buffer;
  goaway: string;
  timer: Timer | null;
}

class Attacker {
  readonly #plan: AttackPlan;
  readonly #attack: Attack;
  readonly #bursts: (Buffer | null)[] = [];
  #stopping = false;
  #connections = 0;
  #bytes = 0;
  readonly #ends: Record<string, number> = {};

  constructor(plan: AttackPlan) {
    this.#plan = plan;
    this.#attack = ATTACKS.find(({ name }) => name === plan.attack)!;
  }

  start(): void {
    for (let i = 0; i < this.#plan.connections; i += 1) void this.#connect();
  }

  stop(): AttackReport {
    this.#stopping = true;
    return { connections: this.#connections, bytes: this.#bytes, ends: this.#ends };
  }

  #burst(number: number): Buffer | null {
    if (number >= BURSTS_KEPT) return this.#attack.burst(number);
    const kept = this.#bursts[number];
    if (kept !== undefined) return kept;
    const made = this.#attack.burst(number);
    this.#bursts[number] = made;
    return made;
  }

  async #connect(): Promise<void> {
    try {
      await Bun.connect<Client>({
        hostname: "127.0.0.1",
        port: this.#plan.port,
        socket: {
          open: (socket) => this.#begin(socket),
          drain: (socket) => this.#send(socket),
          data: (socket, chunk) => this.#data(socket, chunk),
          close: (socket) => this.#closed(socket.data),
          end: (socket) => void socket.terminate(),
          error: () => {},
        },
      });
      this.#connections += 1;
    } catch {
      this.#again();
    }
  }

  #begin(socket: Bun.Socket<Client>): void {
    const { hello, settings: values, deaf } = this.#attack;
    const left = hello ?? Buffer.concat([PREFACE, settings(values), SETTINGS_ACK]);
    socket.data = { number: 0, left, unread: Buffer.alloc(0), goaway: "", timer: null };
    if (deaf === true) socket.pause();
    this.#send(socket);
  }

  /** Sends until the kernel takes no more, or a pause is due. */
  #send(socket: Bun.Socket<Client>): void {
    const client = socket.data;
    for (;;) {
      if (client.left.length > 0) {
        const sent = Math.max(0, socket.write(client.left));
        this.#bytes += sent;
        client.left = client.left.subarray(sent);
        if (client.left.length > 0) return;
      }
      if (this.#stopping || client.timer !== null) return;
      const bytes = this.#burst(client.number);
      if (bytes === null) return;
      client.number += 1;
      client.left = bytes;
      // Also without a pause the process has to look at what comes now and then.
      client.timer = setTimeout(() => {
        client.timer = null;
        this.#send(socket);
      }, this.#attack.pauseMs ?? 0);
      return;
    }
  }

  #data(socket: Bun.Socket<Client>, chunk: Buffer): void {
    const client = socket.data;
    client.unread = Buffer.concat([client.unread, chunk]);
    for (let next = firstFrame(client.unread); next !== null; next = firstFrame(client.unread)) {
      client.unread = client.unread.subarray(9 + next.payload.length);
      if (next.type === "GOAWAY") client.goaway = String(ERROR_NAMES[next.payload.readUInt32BE(4)]);
    }
  }

  #closed(client: Client): void {
    if (client.timer !== null) clearTimeout(client.timer);
    const end = client.goaway === "" ? "closed" : client.goaway;
    this.#ends[end] = (this.#ends[end] ?? 0) + 1;
    this.#again();
  }

  #again(): void {
    if (!this.#stopping) setTimeout(() => void this.#connect(), AGAIN_MS);
  }
}

/** The attacker as the bench starts it. It gets out of the way of those whose times are measured. */
export class AttackerProcess implements AsyncDisposable {
  readonly #child: Bun.Subprocess<"pipe", "pipe", "inherit">;

  constructor(plan: AttackPlan) {
    this.#child = Bun.spawn(["nice", "-n", "5", process.execPath, import.meta.path, JSON.stringify(plan)], {
      stdin: "pipe",
      stdout: "pipe",
      stderr: "inherit",
    });
  }

  async stop(): Promise<AttackReport> {
    this.#child.stdin.end();
    return (await new Response(this.#child.stdout).json()) as AttackReport;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.kill("SIGKILL");
    await this.#child.exited;
  }
}

/** The server that attackers ask, so that those whose times are measured have one of their own. */
export class AttackedProcess implements AsyncDisposable {
  readonly port: number;
  readonly #child: Bun.Subprocess<"pipe", "pipe", "inherit">;

  private constructor(port: number, child: Bun.Subprocess<"pipe", "pipe", "inherit">) {
    this.port = port;
    this.#child = child;
  }

  static async start(): Promise<AttackedProcess> {
    const child = Bun.spawn(["nice", "-n", "5", process.execPath, import.meta.path, "null"], {
      stdin: "pipe",
      stdout: "pipe",
      stderr: "inherit",
    });
    const { value } = await child.stdout.getReader().read();
    return new AttackedProcess(Number(new TextDecoder().decode(value)), child);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.kill("SIGKILL");
    await this.#child.exited;
  }
}

function serve(): void {
  const large = Buffer.from(answer(200, "b".repeat(300_000)));
  const small = Buffer.from(answer(200, "small"));
  const listener = Bun.listen<{ path: string; left: Buffer }>({
    hostname: "127.0.0.1",
    port: 0,
    socket: {
      open(socket) {
        socket.data = { path: "", left: Buffer.alloc(0) };
      },
      data(socket, chunk) {
        const { data } = socket;
        if (data.path === "") data.path = chunk.latin1Slice(0, 100).split(" ")[1]!;
        const { path } = data;
        if (!chunk.latin1Slice(-4).endsWith("\r\n\r\n")) return; // more of the head is to come
        data.path = "";
        if (path === "/held") return;
        const text = path === "/big" ? large : small;
        data.left = text.subarray(Math.max(0, socket.write(text)));
      },
      drain(socket) {
        const { data } = socket;
        data.left = data.left.subarray(Math.max(0, socket.write(data.left)));
      },
      error() {},
    },
  });
  console.log(listener.port);
}

if (import.meta.main) {
  const plan = JSON.parse(process.argv[2]!) as AttackPlan | null;
  const attacker = plan === null ? null : new Attacker(plan);
  process.stdin.on("end", () => process.stdout.write(JSON.stringify(attacker?.stop() ?? null), () => process.exit(0)));
  process.stdin.resume();
  if (attacker === null) serve();
  else attacker.start();
}
