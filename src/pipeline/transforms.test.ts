import { describe, expect, test } from "bun:test";
import { fault } from "../core/faults.ts";
import { HeaderBlock } from "../http/header-block.ts";
import { ResponseHead } from "../http/message.ts";
import type { BodyLook, BodyOutput, BodyTransform } from "./body-transform.ts";
import { exchangeOf } from "./exchange.fixture.ts";
import type { Downstream, Exchange, RequestSink } from "./exchange.ts";
import { lookAhead, replaceBody, transformRequest, transformResponse, watchRequest } from "./transforms.ts";

const TRAILERS = HeaderBlock.of([["a", "b"]]);
const text = (bytes: Buffer, from: number, to: number): string => bytes.latin1Slice(from, to);

/** Puts its mark around every piece, and says so at the end. */
class Mark implements BodyTransform {
  readonly #mark: string;
  constructor(mark: string) {
    this.#mark = mark;
  }
  push(bytes: Buffer, from: number, to: number, out: BodyOutput): void {
    put(out, `${this.#mark}(${text(bytes, from, to)})`);
  }
  end(trailers: HeaderBlock | null, out: BodyOutput): void {
    put(out, `${this.#mark}.`);
    out.end(trailers);
  }
}

function put(out: BodyOutput, piece: string): void {
  const bytes = Buffer.from(`..${piece}..`, "latin1");
  out.data(bytes, 2, bytes.length - 2);
}

/** Breaks at the word `bad`, or at the end. */
class Picky implements BodyTransform {
  readonly #atEnd: boolean;
  constructor(atEnd = false) {
    this.#atEnd = atEnd;
  }
  push(bytes: Buffer, from: number, to: number, out: BodyOutput): void {
    if (text(bytes, from, to) === "bad") out.fail(fault("request.grpc_web"));
    else out.data(bytes, from, to);
  }
  end(trailers: HeaderBlock | null, out: BodyOutput): void {
    if (this.#atEnd) out.fail(fault("request.grpc_web"));
    else out.end(trailers);
  }
}

/** A client's side and a forwarder's that write down what they are told. */
class Scene {
  readonly told: string[] = [];
  readonly x: Exchange;
  full = false;
  /** What the client's connection tells. */
  client: RequestSink | null = null;

  constructor(body: "none" | "length" | "chunked" = "length") {
    this.x = exchangeOf({ method: "POST", headers: [["Content-Length", "5"]] });
    this.x.request.body = body;
    this.x.request.length = body === "length" ? 5 : 0;
    this.x.response = new ResponseHead();
    this.x.response.body = body;
    this.x.downstream = this.#downstream();
  }

  #downstream(): Downstream {
    const scene = this;
    const say = (what: string) => () => void this.told.push(what);
    return {
      get full() {
        return scene.full;
      },
      tunnelIdle: 7,
      fitsUpgrade: ({ status }: ResponseHead) => status === 101,
      answered: false,
      readBody: (sink: RequestSink) => {
        this.client = sink;
      },
      pauseBody: say("pause"),
      resumeBody: say("resume"),
      discardBody: say("discard"),
      informational: ({ status }: ResponseHead) => void this.told.push(`interim ${status}`),
      head: ({ status }: ResponseHead) => void this.told.push(`head ${status}`),
      data: (bytes: Buffer, from: number, to: number) => void this.told.push(`< ${text(bytes, from, to)}`),
      end: (trailers: HeaderBlock | null) => void this.told.push(`< end ${trailers === TRAILERS}`),
      abort: say("abort"),
      reply: say("reply"),
      fail: ({ code }: { code: string }) => void this.told.push(`fail ${code}`),
    } as unknown as Downstream;
  }

  /** Begins to forward. */
  forward(): this {
    const sink: RequestSink = {
      onRequestData: (bytes, from, to) => void this.told.push(`> ${text(bytes, from, to)}`),
      onRequestEnd: (trailers) => void this.told.push(`> end ${trailers === TRAILERS}`),
      onDownstreamDrain: () => void this.told.push("drain"),
      onDownstreamGone: ({ code }) => void this.told.push(`gone ${code}`),
    };
    this.x.sink = sink;
    this.x.downstream.readBody(sink);
    return this;
  }

  ask(...pieces: readonly string[]): this {
    for (const piece of pieces) this.client?.onRequestData(Buffer.from(` ${piece} `), 1, 1 + piece.length);
    return this;
  }
  answer(...pieces: readonly string[]): this {
    for (const piece of pieces) this.x.downstream.data(Buffer.from(` ${piece} `), 1, 1 + piece.length);
    return this;
  }
}

/** Looks at a body until so many bytes have come. */
class Look implements BodyLook {
  seenBytes = "";
  times = 0;
  readonly #most: number;
  constructor(most: number) {
    this.#most = most;
  }
  piece(bytes: Buffer, from: number, to: number): boolean {
    this.seenBytes += text(bytes, from, to);
    return this.seenBytes.length < this.#most;
  }
  seen(): void {
    this.times += 1;
  }
}

describe("a body that is read ahead", () => {
  test("is given out once it was seen to its end", () => {
    const scene = new Scene();
    const look = new Look(10);
    lookAhead(scene.x, look);
    scene.ask("ab", "c");
    expect([look.seenBytes, look.times]).toEqual(["abc", 0]);
    scene.client?.onRequestEnd(TRAILERS);
    expect([look.times, scene.told]).toEqual([1, []]);
    scene.forward();
    expect(scene.told).toEqual(["> ab", "> c", "> end true"]);
  });
  test("is held up when enough was seen, and goes on when it is asked for", () => {
    const scene = new Scene();
    const look = new Look(3);
    lookAhead(scene.x, look);
    scene.ask("ab", "cd", "e");
    expect([look.seenBytes, look.times, scene.told]).toEqual(["abcd", 1, ["pause", "pause"]]);
    scene.forward().ask("f");
    scene.client?.onRequestEnd(null);
    expect(scene.told.slice(2)).toEqual(["> ab", "> cde", "resume", "> f", "> end false"]);
  });
  test("keeps its length, and passes the transforms", () => {
    const scene = new Scene();
    lookAhead(scene.x, new Look(10));
    expect([scene.x.request.body, scene.x.request.header("content-length")]).toEqual(["length", "5"]);
    transformRequest(scene.x, new Mark("a"));
    scene.ask("1");
    scene.client?.onRequestEnd(null);
    scene.forward();
    expect(scene.told).toEqual(["> a(1)", "> a.", "> end false"]);
  });
  test("is not kept when nobody wants it", () => {
    const scene = new Scene();
    lookAhead(scene.x, new Look(1));
    scene.ask("ab");
    scene.x.downstream.discardBody();
    scene.ask("cd");
    scene.client?.onRequestEnd(null);
    expect(scene.told).toEqual(["pause", "discard"]);
  });
  test("ends when the client goes", () => {
    const scene = new Scene();
    const look = new Look(10);
    lookAhead(scene.x, look);
    scene.ask("ab");
    scene.client?.onDownstreamGone(fault("client.gone"));
    expect(look.times).toBe(1);
  });
  test("is asked for where the client waits to be", () => {
    const scene = new Scene();
    scene.x.request.expectContinue = true;
    lookAhead(scene.x, new Look(10));
    expect([scene.told, scene.x.request.expectContinue]).toEqual([["interim 100"], false]);
  });
});

describe("a body that is replaced", () => {
  function read(...pieces: readonly string[]): Scene {
    const scene = new Scene();
    lookAhead(scene.x, new Look(100));
    scene.ask(...pieces);
    scene.client?.onRequestEnd(TRAILERS);
    return scene;
  }
  test("is the new one for all who come later", () => {
    const scene = read("ab", "c");
    replaceBody(scene.x, Buffer.from("other"));
    const look = new Look(100);
    lookAhead(scene.x, look);
    expect([look.seenBytes, look.times, scene.x.request.length]).toEqual(["other", 1, 5]);
    transformRequest(scene.x, new Mark("a"));
    scene.forward();
    expect(scene.told).toEqual(["> a(other)", "> a.", "> end true"]);
  });
  test("has its own length, or none", () => {
    const scene = read("abc");
    replaceBody(scene.x, Buffer.from(""));
    expect([scene.x.request.body, scene.x.request.length, scene.x.request.header("content-length")]).toEqual([
      ...["length", 0, null],
    ]);
    expect(scene.forward().told).toEqual(["> end true"]);
    const chunked = new Scene("chunked");
    lookAhead(chunked.x, new Look(100));
    chunked.client?.onRequestEnd(null);
    replaceBody(chunked.x, Buffer.from("x"));
    expect([chunked.x.request.body, chunked.forward().told]).toEqual(["chunked", ["> x", "> end false"]]);
  });
  test("was seen as it came by those who were to see it pass", () => {
    const scene = read("ab", "c");
    const mark = new Mark("a");
    const seen: string[] = [];
    watchRequest(scene.x, {
      push: (bytes, from, to, out) => {
        seen.push(text(bytes, from, to));
        mark.push(bytes, from, to, out);
      },
      end: (trailers, out) => {
        seen.push("end");
        out.end(trailers);
      },
    });
    replaceBody(scene.x, Buffer.from("new"));
    expect([seen.join(""), scene.forward().told]).toEqual(["abcend", ["> new", "> end true"]]);
  });
  test("fails where one of these refuses it", () => {
    const scene = read("ab");
    watchRequest(scene.x, new Picky(true));
    replaceBody(scene.x, Buffer.from("new"));
    expect(scene.told).toEqual(["fail request.grpc_web"]);
  });
  test("must have been read to its end", () => {
    const scene = new Scene();
    lookAhead(scene.x, new Look(1));
    scene.ask("ab");
    expect(() => replaceBody(scene.x, Buffer.from("new"))).toThrow("was not read ahead");
  });
});

describe("a request's body", () => {
  test("passes the transforms in their order, with its trailers", () => {
    const scene = new Scene();
    transformRequest(scene.x, new Mark("a"));
    transformRequest(scene.x, new Mark("b"));
    scene.forward().ask("1", "2");
    scene.client?.onRequestEnd(TRAILERS);
    expect(scene.told).toEqual(["> b(a(1))", "> b(a(2))", "> b(a.)", "> b.", "> end true"]);
  });
  test("has no known length any more", () => {
    const { x } = new Scene();
    transformRequest(x, new Mark("a"));
    expect([x.request.body, x.request.length, x.request.header("content-length")]).toEqual(["chunked", 0, null]);
  });
  test("that is not there is not transformed", () => {
    const { x } = new Scene("none");
    const { downstream } = x;
    transformRequest(x, new Mark("a"));
    expect([x.downstream === downstream, x.request.body, x.request.header("content-length")]).toEqual([
      true,
      "none",
      "5",
    ]);
  });
  test("that makes no sense ends the exchange, once", () => {
    const scene = new Scene();
    transformRequest(scene.x, new Picky());
    transformRequest(scene.x, new Mark("a"));
    scene.forward().ask("ok", "bad", "bad", "ok");
    scene.client?.onRequestEnd(null);
    scene.answer("late");
    expect(scene.told).toEqual(["> a(ok)", "gone request.grpc_web", "fail request.grpc_web"]);
  });
  test("that makes no sense at its end is not taken for complete", () => {
    const scene = new Scene();
    transformRequest(scene.x, new Picky(true));
    scene.forward().ask("ok");
    scene.client?.onRequestEnd(null);
    expect(scene.told).toEqual(["> ok", "gone request.grpc_web", "fail request.grpc_web"]);
  });
  test("the client is told nothing where the forwarder has ended the exchange", () => {
    const scene = new Scene();
    transformRequest(scene.x, new Picky());
    scene.forward();
    scene.x.sink!.onDownstreamGone = () => {
      scene.x.over = true;
    };
    expect(scene.ask("bad").told).toEqual([]);
  });
});

describe("an answer's body", () => {
  test("passes the transforms in their order, with its trailers", () => {
    const scene = new Scene().forward();
    transformResponse(scene.x, new Mark("a"));
    transformResponse(scene.x, new Mark("b"));
    scene.x.downstream.head(scene.x.response);
    scene.answer("1");
    scene.x.downstream.end(TRAILERS);
    expect(scene.told).toEqual(["head 200", "< b(a(1))", "< b(a.)", "< b.", "< end true"]);
    expect([scene.x.response.body, scene.x.response.length]).toEqual(["chunked", 0]);
  });
  test("that is not there is not transformed", () => {
    const { x } = new Scene("none");
    const { downstream } = x;
    transformResponse(x, new Mark("a"));
    expect(x.downstream).toBe(downstream);
  });
  test("that makes no sense is cut off, and the server left, also where the request has no transform", () => {
    const scene = new Scene().forward();
    transformResponse(scene.x, new Picky());
    scene.answer("ok", "bad", "ok");
    scene.x.downstream.end(null);
    expect(scene.told).toEqual(["< ok", "gone request.grpc_web", "fail request.grpc_web"]);
  });
});

test("back-pressure and all else pass through", () => {
  const scene = new Scene();
  const client = scene.x.downstream;
  transformRequest(scene.x, new Mark("a"));
  scene.forward();
  const { downstream } = scene.x;
  expect([downstream.full, downstream.answered, downstream.tunnelIdle]).toEqual([false, false, 7]);
  scene.full = true;
  expect(downstream.full).toBe(true);
  expect(downstream.fitsUpgrade?.(Object.assign(new ResponseHead(), { status: 101 }))).toBe(true);
  expect(downstream.fitsUpgrade?.(new ResponseHead())).toBe(false);
  delete (client as Partial<Downstream>).fitsUpgrade;
  expect(downstream.fitsUpgrade?.(new ResponseHead())).toBe(true);
  downstream.pauseBody();
  downstream.resumeBody();
  downstream.informational(Object.assign(new ResponseHead(), { status: 103 }));
  scene.client?.onDownstreamDrain();
  downstream.abort(fault("upstream.incomplete"));
  scene.answer("late");
  expect(scene.told).toEqual(["pause", "resume", "interim 103", "drain", "abort"]);
});

test("a client that goes away is told of once", () => {
  const scene = new Scene();
  transformRequest(scene.x, new Mark("a"));
  scene.forward();
  scene.client?.onDownstreamGone(fault("client.gone"));
  scene.ask("late").answer("late");
  scene.client?.onRequestEnd(null);
  expect(scene.told).toEqual(["gone client.gone"]);
});

test("a body that is dropped is not transformed any more", () => {
  const scene = new Scene();
  transformRequest(scene.x, new Picky());
  scene.forward();
  scene.x.downstream.discardBody();
  expect(scene.ask("bad").told).toEqual(["discard"]);
});
