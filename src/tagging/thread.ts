// The thread that has the queues: it takes events of all workers, writes them down, and delivers them.
import { parentPort } from "node:worker_threads";
import { wallClock } from "../core/clock.ts";
import { assemble } from "./assemble.ts";
import type { DeliveryClock } from "./delivery.ts";
import type { Dispatch } from "./dispatch.ts";
import type { RouteSetup, TaggingNews, TaggingOrder } from "./messages.ts";
import { finderOf } from "./personal.ts";
import type { Way } from "./trail.ts";

const owner = parentPort!;
const tell = (news: TaggingNews): void => owner.postMessage(news);

const clock: DeliveryClock = {
  now: wallClock,
  random: Math.random,
  after(ms, then) {
    const timer = setTimeout(then, ms);
    return () => clearTimeout(timer);
  },
};

interface Open {
  readonly setup: string;
  readonly dispatch: Dispatch;
}

/** So many in a second, and no more. */
class PerSecond {
  readonly #most: number;
  #second = 0;
  #count = 0;

  constructor(most: number) {
    this.#most = most;
  }

  take(nowMs: number): boolean {
    const second = Math.floor(nowMs / 1000);
    if (second !== this.#second) this.#count = 0;
    this.#second = second;
    this.#count += 1;
    return this.#count <= this.#most;
  }
}

class TaggingThread {
  #routes = new Map<string, Open>();
  #isWatched = false;
  /** Those who watch read no faster. */
  readonly #shown = new PerSecond(20);
  /** What destinations have left out, told once in a while. */
  readonly #unwanted = new Map<string, TaggingNews & { kind: "unwanted" }>();
  #tellTimer: ReturnType<typeof setTimeout> | null = null;

  take(order: TaggingOrder): void {
    switch (order.kind) {
      case "events":
        this.#routes.get(order.route)?.dispatch.take(order.events);
        break;
      case "choice":
        this.#routes.get(order.route)?.dispatch.decide(order.visit, order.consent);
        break;
      case "setup":
        this.#setUp(order.number, order.routes);
        break;
      case "state":
        tell({
          kind: "state",
          number: order.number,
          routes: [...this.#routes].map(([route, { dispatch }]) => ({ route, ...dispatch.state() })),
        });
        break;
      case "replay":
        void this.#replay(order.number, order.route, order.destination);
        break;
      case "trace":
        tell({ kind: "traced", number: order.number, ways: this.#waysOf(order.id) });
        break;
      case "watch":
        this.#isWatched = order.on;
        break;
      case "close":
        this.#close();
    }
  }

  #waysOf(id: string): (Way & { readonly route: string })[] {
    return [...this.#routes].flatMap(([route, { dispatch }]) => {
      const way = dispatch.trace(id);
      return way === null ? [] : [{ route, ...way }];
    });
  }

  #setUp(number: number, setups: readonly RouteSetup[]): void {
    const next = new Map<string, Open>();
    const opened: Dispatch[] = [];
    for (const setup of setups) {
      const text = JSON.stringify(setup);
      const before = this.#routes.get(setup.route);
      if (before?.setup === text) {
        next.set(setup.route, before);
        continue;
      }
      before?.dispatch.close(); // two cannot have one file open and both write it
      this.#routes.delete(setup.route);
      try {
        const dispatch = assemble(setup, this.#optionsFor(setup));
        opened.push(dispatch);
        next.set(setup.route, { setup: text, dispatch });
      } catch (error) {
        const why = error instanceof Error ? error.message : String(error);
        tell({ kind: "refused", number, route: setup.route, text: why });
        for (const [route, open] of next) if (!this.#routes.has(route)) this.#routes.set(route, open);
        return;
      }
    }
    for (const [route, { dispatch }] of this.#routes) if (!next.has(route)) dispatch.close();
    this.#routes = next;
    tell({ kind: "open", number });
  }

  #optionsFor({ route, config }: RouteSetup): Parameters<typeof assemble>[1] {
    return {
      clock,
      find: finderOf(config.privacy),
      onUnwanted: (destination, why) => this.#countUnwanted(route, destination, why),
      onTrouble: (text) => tell({ kind: "trouble", route, text }),
      onEvent: (event) => {
        if (this.#isWatched && this.#shown.take(clock.now())) tell({ kind: "event", route, event });
      },
    };
  }

  #countUnwanted(route: string, destination: string, why: (TaggingNews & { kind: "unwanted" })["why"]): void {
    const key = `${route} ${destination} ${why}`;
    const count = (this.#unwanted.get(key)?.count ?? 0) + 1;
    this.#unwanted.set(key, { kind: "unwanted", route, destination, why, count });
    this.#tellTimer ??= setTimeout(() => {
      this.#tellTimer = null;
      for (const news of this.#unwanted.values()) tell(news);
      this.#unwanted.clear();
    }, 250);
  }

  async #replay(number: number, route: string, destination: string): Promise<void> {
    const open = this.#routes.get(route);
    try {
      if (open === undefined) throw new RangeError(`there is no route with \`tagging\` named "${route}"`);
      tell({ kind: "replayed", number, result: await open.dispatch.replay(destination) });
    } catch (error) {
      tell({ kind: "replayed", number, result: error instanceof Error ? error.message : String(error) });
    }
  }

  #close(): void {
    for (const { dispatch } of this.#routes.values()) dispatch.close();
    if (this.#tellTimer !== null) clearTimeout(this.#tellTimer);
    owner.close();
  }
}

const thread = new TaggingThread();
owner.on("message", (order: TaggingOrder) => thread.take(order));
