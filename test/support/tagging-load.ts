// Pages that send events at a steady rate, each with its own id and time, and know which were taken.

const BROWSER = "Mozilla/5.0 (X11; Linux x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36";
const TICK_MS = 5;

/** In the place of an event's id. */
const PLAIN = "plain";

/** One connection, with one request under way at a time. */
class Page {
  readonly #load: TaggingLoad;
  #socket: Bun.Socket<undefined> | null = null;
  #isOpening = false;
  /** The event under way. */
  #id = "";
  #sentAt = 0;
  #text = "";

  constructor(load: TaggingLoad) {
    this.#load = load;
  }

  get isFree(): boolean {
    return this.#socket !== null && this.#id === "";
  }

  async open(port: number): Promise<void> {
    if (this.#socket !== null || this.#isOpening) return;
    this.#isOpening = true;
    const lost = (): void => {
      this.#socket = null;
      if (this.#id !== "") this.#load.unanswered += 1;
      this.#id = "";
      this.#text = "";
    };
    const data = (_: unknown, bytes: Buffer): void => this.#read(bytes);
    try {
      this.#socket = await Bun.connect({ hostname: "127.0.0.1", port, socket: { data, close: lost, error: lost } });
    } catch {
      // It is away: the next tick tries again.
    }
    this.#isOpening = false;
  }

  send(id: string, time: number, client: string): void {
    const body = JSON.stringify({
      id,
      name: "page_view",
      time,
      clientId: client,
      url: "https://shop.example/products/summer?utm_source=mail&page=3",
      title: "Summer, all of it",
      params: { value: 12.5, currency: "EUR", plan: "gold" },
      consent: { analytics: true, ads: true, adUserData: true, adPersonalization: true },
    });
    this.#begin(id);
    const head = `POST /t/collect HTTP/1.1\r\nhost: shop.example\r\nuser-agent: ${BROWSER}\r\n`;
    this.#socket!.write(`${head}content-type: text/plain\r\ncontent-length: ${body.length}\r\n\r\n${body}`);
  }

  /** Asks for something that has nothing to do with events. */
  ask(): void {
    this.#begin(PLAIN);
    this.#socket!.write("GET /plain HTTP/1.1\r\nhost: shop.example\r\n\r\n");
  }

  #begin(id: string): void {
    this.#id = id;
    this.#sentAt = performance.now();
  }

  #read(bytes: Buffer): void {
    this.#text += bytes.latin1Slice();
    if (!this.#text.includes("\r\n\r\n")) return;
    if (this.#id === PLAIN) this.#load.plain.push(performance.now() - this.#sentAt);
    else if (this.#text.startsWith("HTTP/1.1 204")) {
      this.#load.accepted.push(this.#id);
      this.#load.latencies.push(performance.now() - this.#sentAt);
    } else this.#load.refused += 1;
    this.#text = "";
    this.#id = "";
  }

  end(): void {
    this.#socket?.end();
  }
}

export class TaggingLoad {
  /** Ids of the events that were answered with 204, in their order. */
  readonly accepted: string[] = [];
  /** When each event happened, by its id. */
  readonly times = new Map<string, number>();
  /** Milliseconds of each answer. */
  readonly latencies: number[] = [];
  /** The same of answers that have nothing to do with events: what the machine makes of any answer. */
  readonly plain: number[] = [];
  refused = 0;
  /** Of these nobody knows whether they were taken. */
  unanswered = 0;
  /** Events that should have been sent, and had no connection. */
  late = 0;
  readonly #pages: Page[];
  readonly #clients: number;
  #count = 0;

  readonly #name: string;

  /** `clients` browsers send over `connections`; ids begin with `name`. */
  constructor(name: string, connections: number, clients: number) {
    this.#name = name;
    this.#pages = Array.from({ length: connections }, () => new Page(this));
    this.#clients = clients;
  }

  /** Sends so many events a second to a port, for so long, one a request. */
  async run(port: () => number, perSecond: number, forMs: number): Promise<void> {
    await Promise.all(this.#pages.map((page) => page.open(port())));
    const from = performance.now();
    const before = this.#count;
    for (let now = from; now - from < forMs; now = performance.now()) {
      for (const page of this.#pages) void page.open(port());
      const free = this.#pages.filter((page) => page.isFree);
      let due = Math.floor(((now - from) / 1000) * perSecond) - (this.#count - before);
      for (; due > 0; due -= 1) {
        const page = free.pop();
        if (page === undefined) break;
        this.#send(page);
        if (this.plainEach > 0 && this.#count % this.plainEach === 0) free.pop()?.ask();
      }
      this.late = Math.max(this.late, due);
      await Bun.sleep(TICK_MS);
    }
  }

  #send(page: Page): void {
    this.#count += 1;
    const id = `${this.#name}-${this.#count}`;
    const time = Date.now() - (this.#count % 1000);
    this.times.set(id, time);
    page.send(id, time, `client-${this.#count % this.#clients}`);
  }

  /** Has one request in so many ask for `/plain` beside the events; 0 for none. */
  plainEach = 0;

  /** The answer that this share of all was faster than, in milliseconds. */
  latency(share: number, of: readonly number[] = this.latencies): number {
    const sorted = of.toSorted((a, b) => a - b);
    return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
  }

  end(): void {
    for (const page of this.#pages) page.end();
  }
}
