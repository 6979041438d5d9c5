// Transforms that finish later: what they hold up, and what becomes of them when the exchange ends early.
import { describe, expect, test } from "bun:test";
import { fault } from "../core/faults.ts";
import type { HeaderBlock } from "../http/header-block.ts";
import { ResponseHead } from "../http/message.ts";
import type { LateOutput, LateTransform } from "./body-transform.ts";
import { exchangeOf } from "./exchange.fixture.ts";
import type { DirectOutput, Downstream, Exchange, RequestSink } from "./exchange.ts";
import { reply } from "./reply.ts";
import { expectTransform, openTransforms, transformLater } from "./transforms.ts";

/** Keeps everything until the test lets it go. */
class Keeper implements LateTransform {
  full = false;
  out: LateOutput | null = null;
  readonly kept: string[] = [];
  readonly told: string[];
  constructor(told: string[]) {
    this.told = told;
  }
  start(out: LateOutput): void {
    this.out = out;
    this.told.push("start");
  }
  push(bytes: Buffer, from: number, to: number): void {
    this.kept.push(bytes.latin1Slice(from, to));
  }
  end(): void {
    this.kept.push(".");
  }
  drain(): void {
    this.told.push("drain the transform");
  }
  gone(): void {
    this.told.push("gone");
  }
  /** Lets one piece out. */
  put(text = this.kept.shift()!): void {
    if (text === ".") this.out!.end(null);
    else this.out!.data(Buffer.from(text), 0, text.length);
  }
}

class Scene {
  readonly told: string[] = [];
  readonly x: Exchange;
  readonly raw: Downstream;
  readonly keeper: Keeper = new Keeper(this.told);
  clientFull = false;
  client: RequestSink | null = null;

  constructor(body: "none" | "length" = "length") {
    this.x = exchangeOf();
    this.x.response = new ResponseHead();
    this.x.response.body = body;
    this.raw = this.#downstream();
    this.x.downstream = this.raw;
    expectTransform(this.x);
    openTransforms(this.x);
    const sink: RequestSink = {
      onRequestData: (bytes, from, to, given) => void this.told.push(`> ${bytes.latin1Slice(from, to)} ${given}`),
      onRequestEnd: () => void this.told.push("> end"),
      onDownstreamDrain: () => void this.told.push("drain"),
      onDownstreamGone: ({ code }) => void this.told.push(`gone ${code}`),
    };
    this.x.sink = sink;
    this.x.downstream.readBody(sink);
  }

  #downstream(): Downstream {
    const scene = this;
    return {
      get full() {
        return scene.clientFull;
      },
      readBody: (sink: RequestSink) => {
        this.client = sink;
      },
      discardBody: () => void this.told.push("discard"),
      head: ({ status }: ResponseHead) => void this.told.push(`head ${status}`),
      data: (bytes: Buffer, from: number, to: number, given?: boolean) =>
        void this.told.push(`< ${bytes.latin1Slice(from, to)}${given === true ? " given" : ""}`),
      end: (trailers: HeaderBlock | null) => void this.told.push(`< end ${trailers}`),
      abort: () => void this.told.push("abort"),
      reply: () => void this.told.push("reply"),
      fail: ({ code }: { code: string }) => void this.told.push(`fail ${code}`),
    } as unknown as Downstream;
  }

  /** The head and these pieces of the answer. */
  answer(...pieces: readonly string[]): this {
    const { downstream } = this.x;
    transformLater(this.x, this.keeper);
    downstream.head(this.x.response);
    for (const piece of pieces) downstream.data(Buffer.from(piece), 0, piece.length, true);
    return this;
  }
  /** What was told since the last time. */
  take(): string[] {
    return this.told.splice(0);
  }
}

describe("the head", () => {
  test("waits for the first piece, and may be changed until then", () => {
    const scene = new Scene().answer("a", "b");
    expect(scene.take()).toEqual(["start"]);
    scene.x.response.status = 203;
    scene.keeper.put();
    scene.keeper.put();
    scene.x.downstream.end(null);
    scene.keeper.put();
    expect(scene.take()).toEqual(["head 203", "< a", "< b", "< end null"]);
  });
  test("leaves when it is let go, once", () => {
    const scene = new Scene().answer();
    scene.keeper.out!.head();
    scene.keeper.out!.head();
    expect(scene.take()).toEqual(["start", "head 200"]);
  });
  test("leaves with the end of a body that has become empty", () => {
    const scene = new Scene().answer("a");
    scene.x.downstream.end(null);
    scene.keeper.put(".");
    expect(scene.take()).toEqual(["start", "head 200", "< end null"]);
  });
});

test("an answer without a body has none", () => {
  const scene = new Scene("none").answer();
  expect(scene.take()).toEqual(["head 200"]);
});

test("where none follows, everything passes as it came", () => {
  const scene = new Scene();
  const { downstream } = scene.x;
  scene.client?.onRequestData(Buffer.from("q"), 0, 1, true);
  downstream.head(scene.x.response);
  downstream.data(Buffer.from("a"), 0, 1, true);
  downstream.end(null);
  scene.client?.onDownstreamDrain();
  expect(scene.take()).toEqual(["> q true", "head 200", "< a given", "< end null", "drain"]);
});

test("bytes go out directly where nothing stands in the way", () => {
  const scene = new Scene();
  const { downstream } = scene.x;
  expect(downstream.direct?.()).toBeNull();
  const output = {} as DirectOutput;
  scene.raw.direct = () => output;
  expect(downstream.direct?.()).toBe(output);
  scene.answer();
  expect(downstream.direct?.()).toBeNull();
});

test("an answer has one at most", () => {
  const { x } = new Scene().answer();
  expect(() => transformLater(x, new Keeper([]))).toThrow();
});

describe("back-pressure", () => {
  test("what a transform has in hand holds up the server, until there is room", () => {
    const scene = new Scene().answer("a");
    scene.keeper.full = true;
    expect(scene.x.downstream.full).toBe(true);
    scene.client?.onDownstreamDrain();
    expect(scene.take()).toEqual(["start", "drain the transform"]);
    scene.keeper.full = false;
    expect(scene.x.downstream.full).toBe(false);
    scene.keeper.out!.room();
    expect(scene.take()).toEqual(["drain the transform", "drain"]);
  });
  test("a client that takes no more is seen by both", () => {
    const scene = new Scene().answer("a");
    scene.clientFull = true;
    expect([scene.x.downstream.full, scene.keeper.out!.full]).toEqual([true, true]);
  });
  test("once the rest of the request is dropped, nobody would tell of the drain: the transform goes on", () => {
    const scene = new Scene().answer("a");
    scene.clientFull = true;
    scene.x.downstream.discardBody();
    expect(scene.keeper.out!.full).toBe(false);
    expect(scene.take()).toEqual(["start", "discard", "drain the transform"]);
  });
});

describe("an early end", () => {
  const late = (scene: Scene): void => {
    scene.keeper.put("late");
    scene.keeper.put(".");
    scene.keeper.out!.head();
    scene.keeper.out!.fail(fault("proxy.internal"));
  };
  test("the client goes: nothing is sent, and both are told", () => {
    const scene = new Scene().answer("a");
    scene.client?.onDownstreamGone(fault("client.gone"));
    late(scene);
    expect(scene.take()).toEqual(["start", "gone", "gone client.gone"]);
  });
  test("the server breaks off: the answer is cut", () => {
    const scene = new Scene().answer("a", "b");
    scene.keeper.put();
    scene.x.downstream.abort(fault("upstream.incomplete"));
    late(scene);
    expect(scene.take()).toEqual(["start", "head 200", "< a", "gone", "abort"]);
  });
  test("the server breaks off before the head has left: an error is all that is seen", () => {
    const scene = new Scene().answer("a");
    scene.x.downstream.fail(fault("upstream.incomplete"));
    late(scene);
    expect(scene.take()).toEqual(["start", "gone", "fail upstream.incomplete"]);
  });
  test("another answer takes its place", () => {
    const scene = new Scene().answer("a");
    scene.x.downstream.reply(reply(503));
    late(scene);
    expect(scene.take()).toEqual(["start", "gone", "reply"]);
  });
  test("the transform fails: the server is left, and the client told", () => {
    const scene = new Scene().answer("a");
    scene.keeper.out!.fail(fault("upstream.bad_response"));
    scene.x.downstream.data(Buffer.from("b"), 0, 1);
    expect(scene.take()).toEqual(["start", "gone", "gone upstream.bad_response", "fail upstream.bad_response"]);
    expect(scene.keeper.kept).toEqual(["a"]);
  });
  test("after its end a transform puts out nothing", () => {
    const scene = new Scene().answer("a");
    scene.x.downstream.end(null);
    scene.keeper.put();
    scene.keeper.put();
    late(scene);
    expect(scene.take()).toEqual(["start", "head 200", "< a", "< end null"]);
  });
});
