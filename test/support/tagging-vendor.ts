// Vendors that destinations send to, as one server: GA4's Measurement Protocol, Meta's Conversions API and a webhook. It
// keeps what has arrived by id, and fails when it is told to. In the process of a test, or as a program of its own
// (`bun test/support/tagging-vendor.ts`), which prints where it is.

type Json = Readonly<Record<string, unknown>>;
const list = (value: unknown): Json[] => (Array.isArray(value) ? (value as Json[]) : []);

/** An event that has arrived. */
export interface Arrived {
  /** When it happened, in milliseconds. */
  readonly time: number;
  /** How often it came. */
  readonly count: number;
}

/** Ids and times of the events of one body, by the vendor's path. */
const READERS: Readonly<Record<string, (body: Json) => (readonly [id: unknown, time: number])[]>> = {
  "/mp/collect": ({ events }) =>
    list(events).map((event) => [(event.params as Json).event_id, Number(event.timestamp_micros) / 1000]),
  "/1234/events": ({ data }) => list(data).map(({ event_id, event_time }) => [event_id, Number(event_time) * 1000]),
  "/hook": ({ events }) => list(events).map(({ id, time }) => [id, Number(time)]),
};

export class TaggingVendor implements Disposable {
  /** What it answers; those below 400 count as taken. `/refused` and `/away` take nothing, ever. */
  status = 200;
  /** All bodies as they came, where they are kept. */
  readonly bodies: string[] = [];
  readonly #arrived = new Map<string, Map<string, Arrived>>();
  readonly #server: Bun.Server<undefined>;

  constructor({ keepBodies = false }: { readonly keepBodies?: boolean } = {}) {
    this.#server = Bun.serve({
      hostname: "127.0.0.1",
      port: 0,
      fetch: async (request) => {
        const url = new URL(request.url);
        if (url.pathname === "/control") return this.#control(url.searchParams);
        const text = await request.text();
        if (keepBodies) this.bodies.push(`${request.url}\n${JSON.stringify(request.headers)}\n${text}`);
        if (url.pathname === "/refused") return new Response(null, { status: 400 });
        if (url.pathname === "/away") return new Response(null, { status: 503 });
        if (this.status < 400) this.#take(url.pathname, JSON.parse(text) as Json);
        return new Response(null, { status: this.status });
      },
    });
  }

  get url(): string {
    return `http://127.0.0.1:${this.#server.port}`;
  }

  /** By path and id. */
  at(path: string): ReadonlyMap<string, Arrived> {
    return this.#arrived.get(path) ?? new Map();
  }

  #take(path: string, body: Json): void {
    const arrived = this.#arrived.get(path) ?? new Map<string, Arrived>();
    this.#arrived.set(path, arrived);
    for (const [id, time] of READERS[path]!(body))
      arrived.set(String(id), { time, count: (arrived.get(String(id))?.count ?? 0) + 1 });
  }

  /** `?status=503` has it fail, `?at=/hook` asks for what has arrived there. */
  #control(query: URLSearchParams): Response {
    const status = query.get("status");
    if (status !== null) this.status = Number(status);
    return Response.json([...this.at(query.get("at") ?? "")].map(([id, { time, count }]) => [id, time, count]));
  }

  [Symbol.dispose](): void {
    void this.#server.stop(true);
  }
}

/** A route that takes events for these destinations, however many one address sends. */
export function taggingRoute(destinations: object, more: object = {}): Readonly<Record<string, unknown>> {
  return { name: "t", match: { path: "/t/*" }, rateLimit: false, tagging: { destinations, ...more } };
}

if (import.meta.main) console.log(new TaggingVendor().url);
