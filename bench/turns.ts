// What policies cost an exchange, over the same one without: a worker for each way, and the ways take turns, so that a
// busy machine slows all of them alike.
import { BROWSER_FIELDS } from "./heads.ts";
import { InProcess } from "./in-process.ts";

const ROUNDS = 15;
const CALLS = 20_000;
const ANSWER = Buffer.from("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 7\r\n\r\ncontent");

export class Way {
  readonly name: string;
  readonly budget: number;
  readonly #worker: InProcess;
  readonly #request: Buffer;
  readonly #micros: number[] = [];

  /**
   * `budget` is in microseconds over the first way of a comparison; `fields` is what each request has besides; `more`
   * stands in the configuration beside the route.
   */
  constructor(name: string, budget: number, policies: object, fields: readonly string[], more: object = {}) {
    const hasCookie = fields.some((field) => field.startsWith("Cookie:")); // a browser sends one such field
    const usual = BROWSER_FIELDS.filter((field) => !hasCookie || !field.startsWith("Cookie:"));
    const head = ["GET /index.html HTTP/1.1", "Host: 127.0.0.1:8080", ...usual, ...fields, "", ""];
    this.name = name;
    this.budget = budget;
    this.#worker = new InProcess(1, {}, policies, more);
    this.#request = Buffer.from(head.join("\r\n"));
  }

  #exchange(): void {
    this.#worker.ask(this.#request);
    this.#worker.answer(ANSWER);
  }

  /** The first request may have to wait for something. Throws where a later one is not answered. */
  async begin(): Promise<void> {
    this.#worker.ask(this.#request);
    await Bun.sleep(200);
    this.#worker.answer(ANSWER);
    if (!this.#worker.sentBy(() => this.#exchange()).endsWith("content")) throw new Error(`${this.name} does not work`);
  }

  round(): void {
    const before = process.cpuUsage();
    for (let i = 0; i < CALLS; i += 1) this.#exchange();
    const { user, system } = process.cpuUsage(before);
    this.#micros.push((user + system) / CALLS);
  }

  /** Microseconds of an exchange. */
  get median(): number {
    return this.#micros.toSorted((a, b) => a - b)[this.#micros.length >> 1]!;
  }
}

/** Prints what each way costs over the first. */
export async function takeTurns(ways: readonly [Way, ...Way[]]): Promise<void> {
  for (const way of ways) await way.begin();
  for (let round = 0; round < ROUNDS; round += 1) for (const way of ways) way.round();
  const [first, ...others] = ways;
  for (const { name, budget, median } of others) {
    const more = median - first.median;
    const verdict = more > budget ? "over the budget" : "within the budget";
    console.log(`${name}: +${more.toFixed(2)} µs over ${first.median.toFixed(2)} µs, ${verdict} of ${budget} µs`);
  }
}
