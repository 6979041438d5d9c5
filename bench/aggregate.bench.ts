// What `aggregate` costs beside its requests to servers: `bun bench/aggregate.bench.ts`.
// Sketch: of three answers of 1 KB each byte is looked at once (1 us for each KB) and copied once; a call is a handful
// of objects, its fields and its path some short texts. Over a budget values are parsed that only pass.
import { compileAggregate } from "../src/aggregate/plan.ts";
import { Run } from "../src/aggregate/run.ts";
import { aggregateSchema } from "../src/config/schema-aggregate.ts";
import { TimerWheel } from "../src/core/timers.ts";
import { HeaderBlock } from "../src/http/header-block.ts";
import { ResponseHead } from "../src/http/message.ts";
import { exchangeOf } from "../src/pipeline/exchange.fixture.ts";
import type { Downstream, ServeEnvironment } from "../src/pipeline/exchange.ts";
import type { InnerHandler } from "../src/pipeline/inner.ts";
import { UNSHARED } from "../src/pipeline/shared.ts";
import { bench, finish } from "./per-call.ts";

const item = (at: number) => ({ id: at, name: `item ${at}`, price: 12.5, tags: ["a", "b"] });
const content = Buffer.from(JSON.stringify({ id: 7, items: Array.from({ length: 19 }, (_, at) => item(at)) }));
const head = new ResponseHead(HeaderBlock.of([["content-type", "application/json"]]));
head.body = "length";
head.length = content.length;

let answered = 0;
const waiting: InnerHandler[] = [];
const call = { server: null, upstream: "app", pause() {}, resume() {}, cancel() {} };
const env: ServeEnvironment = {
  wheel: new TimerWheel(),
  answer: (_, outcome) => {
    if (!("body" in outcome)) throw new Error(outcome.code);
    answered += outcome.body.length;
  },
  respond: () => true,
  send: (_x, _upstream, _request, handler) => {
    waiting.push(handler);
    return call;
  },
};
const downstream = { readBody() {} } as unknown as Downstream;
const context = { route: "r", params: ["id"], upstream: (text: string) => text };

function once(config: object): () => number {
  const plan = compileAggregate(aggregateSchema.parse(config), context);
  return () => {
    const x = exchangeOf({ params: { id: "7" } });
    x.downstream = downstream;
    Run.start(x, env, plan, UNSHARED);
    for (let handler = waiting.shift(); handler !== undefined; handler = waiting.shift()) {
      handler.head(head);
      handler.data(content, 0, content.length, true);
      handler.end(null);
    }
    return answered;
  };
}

const calls = { a: { to: "app", path: "/a/{id}" }, b: { to: "app", path: "/b" }, c: { to: "app", path: "/c" } };
const chain = { ...calls, c: { to: "app", path: "/c?ids={call.a.items[*].id}" } };
const PER_ROUND = 10_000;
bench("three calls of 1 KB, side by side", 3 * content.length, 60_000, once({ calls }), PER_ROUND);
bench("one of them behind another, by 19 ids", 3 * content.length, 90_000, once({ calls: chain }), PER_ROUND);
bench(
  "a template of some values",
  3 * content.length,
  90_000,
  once({ calls, merge: { id: "{call.a.id}", first: ["{call.b.items[0]}"], all: "{call.c}" } }),
  PER_ROUND,
);
finish();
