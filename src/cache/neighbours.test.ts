// Workers that follow each other, with messages that are carried by hand.
import { expect, test } from "bun:test";
import { NO_VARY } from "../engines/cache/vary.ts";
import { HeaderBlock } from "../http/header-block.ts";
import { layOut } from "../http/laid-out.ts";
import { Body, type BodyReader, type BodySource } from "./body.ts";
import { Entry } from "./entry.ts";
import { PeerReader } from "./peer-reader.ts";
import { type PeerMessage, Peers } from "./peers.ts";

const STAMP = { slot: 0, count: 0, purges: 0 } as unknown as Entry["stamp"];
const TIMES = {
  bornAt: 0,
  freshUntil: 1,
  refreshUntil: 0,
  errorUntil: 0,
  downUntil: 0,
  mayBeStale: true,
  immutable: false,
};
const VARIANT = { rule: NO_VARY, key: "", encoding: "", language: "" };
const SOURCE: BodySource = { onRoom() {}, onLeft() {} };
const reader = (offset: number): BodyReader => ({ offset, onMore() {} }) as BodyReader;

type More = Extract<PeerMessage, { kind: "more" }>;

/** Content that grows here, and its copy in another worker. */
function pair(): { body: Body; copy: Body; follower: PeerReader; sent: PeerMessage[]; deliver: () => void } {
  const sent: PeerMessage[] = [];
  const peers = new Peers(Peers.memory(), 1n, 0, (_to, message) => sent.push(message));
  const headers = layOut(new HeaderBlock(), 200, "OK", [["Date", "Mon, 23 Nov 2026 12:00:00 GMT"]]);
  const body = new Body(-1, SOURCE);
  const entry = new Entry("", VARIANT, [], STAMP, TIMES, { status: 200, reason: "OK", headers }, body);
  const copy = new Body(-1, SOURCE);
  const follower = new PeerReader(peers, 1, 7, entry, () => {});
  let taken = 0;
  const deliver = (): void => {
    for (const message of sent.splice(0)) {
      if (message.kind !== "more") continue;
      const { pieces, length, progress }: More = message;
      copy.extend(
        pieces.map((piece) => Buffer.from(piece)),
        length,
      );
      if (progress === "done") copy.finish(null);
      taken = length;
      follower.onTaken(taken);
    }
  };
  return { body, copy, follower, sent, deliver };
}

const textOf = (body: Body): string => {
  let text = "";
  for (let at = body.firstPiece; at < body.pieces; at += 1)
    text += body.piece(at)!.toString("latin1", 0, body.filled(at));
  return text;
};

const append = (body: Body, text: string): void => body.append(Buffer.from(text), 0, text.length);

test("what grows here grows there, one message at a time, in the same memory", () => {
  const { body, copy, follower, sent, deliver } = pair();
  append(body, "before");
  follower.start();
  for (let i = 0; i < 5; i += 1) append(body, ` ${i}`);
  expect(sent.map(({ kind }) => kind)).toEqual(["begin", "more"]);
  deliver();
  deliver();
  expect(textOf(copy)).toBe("before 0 1 2 3 4");
  expect(copy.piece(0)!.buffer).toBe(body.piece(0)!.buffer);
  append(body, "x".repeat(500_000));
  for (let i = 0; i < 3; i += 1) deliver();
  expect(textOf(copy)).toBe(textOf(body));
  body.finish(null);
  body.announce();
  deliver();
  expect([copy.done, copy.length, textOf(copy)]).toEqual([true, body.length, textOf(body)]);
});

test("where content is let go, it stays until the other worker has it", () => {
  const { body, follower, sent } = pair();
  follower.start();
  body.follow(reader(1_000_000));
  body.openWindow();
  sent.length = 0;
  append(body, "x".repeat(1_000_000));
  expect([body.firstOffset, body.full]).toEqual([0, true]);
  follower.onTaken(600_000);
  expect(body.firstOffset).toBeGreaterThan(300_000);
  follower.onTaken(1_000_000);
  expect(body.full).toBe(false);
  follower.leave();
  append(body, "y");
  expect(body.full).toBe(false);
});
