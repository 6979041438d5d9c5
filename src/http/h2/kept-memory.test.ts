// What a connection keeps of large heads that are over: nothing.
import { expect, test } from "bun:test";
import type { HeaderBlock } from "../header-block.ts";
import type { RequestHead, ResponseHead } from "../message.ts";
import { data, type Fields, headers, OPEN, POST, SessionRig } from "./session.testing.ts";
import { TrailerBuilder } from "./trailers.ts";

const LARGE: Fields = Array.from({ length: 80 }, (_, at) => [`x-${at}`, "v".repeat(120)] as const);

/** Every head that a session has taken. */
class Rig extends SessionRig {
  readonly taken: (RequestHead | ResponseHead)[] = [];
  override takeHead(): RequestHead | ResponseHead {
    const head = super.takeHead();
    this.taken.push(head);
    return head;
  }
}

test("a head that is malformed behind all of its fields", () => {
  const rig = new Rig("server").begin();
  rig.feed(headers(1, [...POST, ...LARGE, ["Bad", "name"]]));
  expect(rig.written().at(-1)).toBe("RST_STREAM 1 protocol");
  expect(rig.taken.map((head) => head.headers.bytes.length)).toEqual([0]);
});

test("trailers", () => {
  const begun: HeaderBlock[] = [];
  const rig = SessionRig.begun("server");
  rig.feed(headers(1, POST, OPEN), data(1, "x"));
  let builder: TrailerBuilder | null = null;
  const { finish } = TrailerBuilder.prototype;
  TrailerBuilder.prototype.finish = function (this: TrailerBuilder) {
    builder = this;
    const fields = finish.call(this);
    if (fields !== null) begun.push(fields);
    return fields;
  };
  try {
    rig.feed(headers(1, [["x-sum", "1"]]));
  } finally {
    TrailerBuilder.prototype.finish = finish;
  }
  expect(rig.stream(1).heard).toEqual(["data 1", "end x-sum: 1"]);
  expect([begun[0]!.bytes.length, builder!.buffer.length]).toEqual([0, 0]);
});
