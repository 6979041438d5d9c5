import { describe, expect, test } from "bun:test";
import { beginTurnTime, endTurnTime } from "../core/clock.ts";
import { TimerWheel } from "../core/timers.ts";
import { exchangeOf } from "./exchange.fixture.ts";
import type { Downstream, Exchange, RequestSink } from "./exchange.ts";
import { GrpcDeadline } from "./grpc-deadline.ts";

class Scene {
  now = 0;
  readonly wheel = new TimerWheel(() => this.now);
  readonly told: string[] = [];
  readonly x: Exchange;
  answered = false;

  constructor(timeout: string | null) {
    const fields = timeout === null ? [] : [["grpc-timeout", timeout] as const];
    this.x = exchangeOf({ headers: [["content-type", "application/grpc"], ...fields] });
    const scene = this;
    const downstream: Partial<Downstream> = {
      get answered() {
        return scene.answered;
      },
      fail: ({ code }) => void this.told.push(`fail ${code}`),
      discardBody: () => void this.told.push("discard"),
      end: (trailers) => void this.told.push(`end ${trailers?.get("grpc-status")}`),
    };
    this.x.downstream = downstream as Downstream;
  }

  forwarded(): this {
    const sink: Partial<RequestSink> = { onDownstreamGone: ({ code }) => void this.told.push(`gone ${code}`) };
    this.x.sink = sink as RequestSink;
    return this;
  }

  start(): string | null {
    return GrpcDeadline.start(this.x, this.wheel)?.code ?? null;
  }

  /** What has been told by then. */
  at(ms: number): string[] {
    this.now = ms;
    this.wheel.turn();
    return this.told;
  }
}

describe("what clients ask for", () => {
  const CASES: readonly (readonly [timeout: string | null, refusal: string | null, armed: boolean])[] = [
    [null, null, false],
    ["1S", null, true],
    ["1n", null, true],
    ["99999999H", null, false], // as good as none
    ["0m", "upstream.deadline", false],
    ["1", "request.grpc_timeout", false],
    ["123456789n", "request.grpc_timeout", false],
  ];
  for (const [timeout, refusal, armed] of CASES)
    test(`${timeout}`, () => {
      const scene = new Scene(timeout);
      expect([scene.start(), scene.x.deadline !== null]).toEqual([refusal, armed]);
    });
});

describe("when the time is over", () => {
  test("the server is left and the client told, once", () => {
    const scene = new Scene("1S").forwarded();
    scene.start();
    expect(scene.at(900)).toEqual([]);
    expect(scene.at(1200)).toEqual(["gone upstream.deadline", "fail upstream.deadline"]);
    expect(scene.at(5000)).toHaveLength(2);
    expect(scene.x.fault?.code).toBe("upstream.deadline");
  });
  test("also before anything is forwarded", () => {
    const scene = new Scene("100m");
    scene.start();
    expect(scene.at(300)).toEqual(["fail upstream.deadline"]);
  });
  test("an answer that has begun ends with the status", () => {
    const scene = new Scene("100m").forwarded();
    scene.start();
    scene.answered = true;
    scene.x.endsInStatus = true;
    expect(scene.at(300)).toEqual(["gone upstream.deadline", "discard", "end 4"]);
    expect(scene.x.grpcStatus).toBe(4);
  });
  test("nothing happens to an exchange that is over", () => {
    const scene = new Scene("100m").forwarded();
    scene.start();
    scene.x.over = true;
    expect(scene.at(300)).toEqual([]);
    const stopped = new Scene("100m").forwarded();
    stopped.start();
    stopped.x.deadline?.stop();
    expect(stopped.at(300)).toEqual([]);
  });
});

test("a server is told what is left, in its line as it is where no time has passed", () => {
  const scene = new Scene("60S");
  beginTurnTime();
  scene.start();
  scene.x.deadline?.renew();
  endTurnTime();
  expect(scene.x.request.header("grpc-timeout")).toBe("60S");
  const from = performance.now();
  while (performance.now() - from < 20); // time must pass
  scene.x.deadline?.renew();
  const [, ms] = /^(\d+)m$/.exec(scene.x.request.header("grpc-timeout") ?? "") ?? [];
  expect(Number(ms)).toBeGreaterThan(30_000);
  expect(Number(ms)).toBeLessThanOrEqual(59_981);
});
