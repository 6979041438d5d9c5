import { expect, test } from "bun:test";
import { exchangeOf } from "../pipeline/exchange.fixture.ts";
import type { Downstream } from "../pipeline/exchange.ts";
import { answersOf } from "./answers.testing.ts";
import { ROOM_BYTES } from "./body.ts";
import { deliverPlain } from "./delivery.ts";

const NOW = 5000;

/** Notes what goes to the client: the number of calls, the content, and how much room is before each piece. */
function deliver(length: number, method = "GET"): { calls: number; content: string; rooms: number[] } {
  const x = exchangeOf({ method });
  const seen = { calls: 0, content: "", rooms: [] as number[] };
  x.downstream = {
    head() {},
    data(bytes: Buffer, from: number, to: number, _given = false, roomy = false) {
      seen.calls += 1;
      seen.content += bytes.latin1Slice(from, to);
      seen.rooms.push(roomy ? from : 0);
      if (roomy) bytes.fill("?", 0, from); // as a head would be written there
    },
    end() {},
  } as unknown as Downstream;
  deliverPlain(x, answer(length), NOW);
  return seen;
}

const contentOf = (length: number): string => "0123456789".repeat(length / 10 + 1).slice(0, length);
const stored = new Map<number, ReturnType<typeof answersOf>>();
function answer(length: number) {
  const there = stored.get(length) ?? answersOf(contentOf(length));
  stored.set(length, there);
  return there.variants[0]!;
}

test.each([
  [0, []],
  [1000, [0]],
  [8191, [0]],
  [8192, [ROOM_BYTES]],
  [51_200, [ROOM_BYTES]],
  [65_536, [ROOM_BYTES]],
])("%p bytes go out in one call, again and again", (length, rooms) => {
  for (let time = 0; time < 3; time += 1)
    expect(deliver(length)).toEqual({ calls: rooms.length, content: contentOf(length), rooms });
  expect(deliver(length, "HEAD")).toEqual({ calls: 0, content: "", rooms: [] });
});

test("content that other threads have gets no room: they would write into it as well", () => {
  const { body } = answer(20_000);
  body.shared();
  expect(deliver(20_000)).toEqual({ calls: 1, content: contentOf(20_000), rooms: [0] });
});
