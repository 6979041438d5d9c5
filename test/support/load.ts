// A load generator in a process of its own (`bun load.ts`): keep-alive connections that send one request after the other
// and look at every byte of the answers. Reads its plan as JSON from the first argument; ends when its stdin does, and
// then prints a LoadReport.

/** What one request must bring. */
export interface LoadRequest {
  /** The bytes to send. */
  readonly text: string;
  /** The statuses that may come; with each the bodies (regular expressions), any of which must match. */
  readonly answers: Readonly<Record<string, readonly string[]>>;
  /** Fields of the answer whose value must be contained in its body. */
  readonly echoed?: string;
}

export interface LoadPlan {
  readonly port: number;
  readonly connections: number;
  readonly requests: readonly LoadRequest[];
  /** Pause of a connection between an answer and its next request in milliseconds. */
  readonly pauseMs: number;
  /** A connection that ends is opened again and counted in `ended`, and is no failure. */
  readonly reconnect: boolean;
}

export interface LoadReport {
  /** Requests answered as they must be. */
  readonly answered: number;
  readonly byAnswer: Readonly<Record<string, number>>;
  /** Connections that ended by themselves. */
  readonly ended: number;
  /** Connections refused. */
  readonly refused: number;
  /** Wrong answers, and without `reconnect` every end of a connection; the first few. */
  readonly failures: readonly string[];
  readonly failed: number;
}

const FAILURES_KEPT = 5;

class Load {
  readonly #plan: LoadPlan;
  readonly #answers: ReadonlyMap<LoadRequest, ReadonlyMap<number, readonly RegExp[]>>;
  #answered = 0;
  #ended = 0;
  #refused = 0;
  #failed = 0;
  #stopping = false;
  readonly #failures: string[] = [];
  readonly #byAnswer: Record<string, number> = {};
  readonly #running: Promise<void>[] = [];

  constructor(plan: LoadPlan) {
    this.#plan = plan;
    this.#answers = new Map(
      plan.requests.map((request) => [
        request,
        new Map(
          Object.entries(request.answers).map(([status, bodies]) => [
            Number(status),
            bodies.map((body) => new RegExp(body)),
          ]),
        ),
      ]),
    );
  }

  start(): void {
    for (let i = 0; i < this.#plan.connections; i += 1) this.#running.push(this.#connection(i));
  }

  /** Lets every connection finish its request, and sums up. */
  async stop(): Promise<LoadReport> {
    this.#stopping = true;
    await Promise.all(this.#running);
    return {
      answered: this.#answered,
      byAnswer: this.#byAnswer,
      ended: this.#ended,
      refused: this.#refused,
      failures: this.#failures,
      failed: this.#failed,
    };
  }

  #fail(text: string): void {
    this.#failed += 1;
    if (this.#failures.length < FAILURES_KEPT) this.#failures.push(text);
  }

  /** One client until the end: a connection, and with `reconnect` the next one after it. */
  async #connection(number: number): Promise<void> {
    let turn = number;
    while (!this.#stopping) {
      const over = Promise.withResolvers<void>();
      let received = "";
      let request: LoadRequest | null = null;
      const next = (socket: Bun.Socket): void => {
        if (this.#stopping) return void socket.end();
        request = this.#plan.requests[turn++ % this.#plan.requests.length]!;
        socket.write(request.text);
      };
      try {
        await Bun.connect({
          hostname: "127.0.0.1",
          port: this.#plan.port,
          socket: {
            open: next,
            data: (socket, chunk) => {
              received += chunk.latin1Slice();
              const length = answerLength(received);
              if (length < 0 || received.length < length || request === null) return;
              const text = received.slice(0, length);
              if (received.length > length) this.#fail(`more than one answer: ${JSON.stringify(received)}`);
              received = "";
              this.#judge(request, text);
              request = null;
              if (this.#plan.pauseMs === 0) next(socket);
              else setTimeout(next, this.#plan.pauseMs, socket);
            },
            close: () => {
              if (request !== null || !this.#stopping) {
                this.#ended += 1;
                if (!this.#plan.reconnect)
                  this.#fail(
                    `connection ended; waiting for ${JSON.stringify(request?.text ?? "nothing")}, had ${JSON.stringify(received)}`,
                  );
              }
              over.resolve();
            },
            error: () => {},
          },
        });
        await over.promise;
      } catch (error) {
        this.#refused += 1;
        if (!this.#plan.reconnect) this.#fail(`cannot connect: ${(error as { code?: string }).code}`);
      }
      if (!this.#plan.reconnect) return;
    }
  }

  #judge(request: LoadRequest, answer: string): void {
    const status = Number(answer.slice(9, 12));
    const body = answer.slice(answer.indexOf("\r\n\r\n") + 4);
    const bodies = this.#answers.get(request)!.get(status);
    const echoed = request.echoed === undefined ? "" : fieldOf(answer, request.echoed);
    if (bodies === undefined || !bodies.some((each) => each.test(body)) || !body.includes(echoed))
      return this.#fail(`${JSON.stringify(request.text.slice(0, 60))} got ${JSON.stringify(answer)}`);
    this.#answered += 1;
    const key = `${status} ${body.slice(0, 20)}`;
    this.#byAnswer[key] = (this.#byAnswer[key] ?? 0) + 1;
  }
}

/** Bytes of the whole answer that the text begins with; -1 while its head is not there. All answers have a length. */
function answerLength(text: string): number {
  const end = text.indexOf("\r\n\r\n");
  return end < 0 ? -1 : end + 4 + Number(fieldOf(text.slice(0, end + 2), "content-length"));
}

function fieldOf(text: string, name: string): string {
  return new RegExp(`^${name}: *(.*?)\r?$`, "im").exec(text)?.[1] ?? "";
}

/** The generator as a test starts it. */
export class LoadProcess implements AsyncDisposable {
  readonly #child: Bun.Subprocess<"pipe", "pipe", "inherit">;

  constructor(plan: LoadPlan) {
    this.#child = Bun.spawn([process.execPath, import.meta.path, JSON.stringify(plan)], {
      stdin: "pipe",
      stdout: "pipe",
      stderr: "inherit",
    });
  }

  async stop(): Promise<LoadReport> {
    this.#child.stdin.end();
    return (await new Response(this.#child.stdout).json()) as LoadReport;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.kill("SIGKILL");
    await this.#child.exited;
  }
}

if (import.meta.main) {
  const load = new Load(JSON.parse(process.argv[2]!) as LoadPlan);
  load.start();
  process.stdin.on("end", async () => {
    process.stdout.write(JSON.stringify(await load.stop()), () => process.exit(0));
  });
  process.stdin.resume();
}
