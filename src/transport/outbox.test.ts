import { expect, test } from "bun:test";
import type { Connection } from "./connection.ts";
import { beginTurn, endTurn, write, writeBehindRoom } from "./outbox.ts";

/** Notes what it is sent, a line for each call. */
function noting(sends: string[]): Connection {
  const send = (bytes: Buffer, start: number, end: number, copy: boolean): void => {
    sends.push(`${bytes.latin1Slice(start, end)}${copy ? "" : " (kept)"}`);
  };
  return { send } as unknown as Connection;
}

const CASES: readonly (readonly [name: string, room: number, before: readonly string[], want: readonly string[]])[] = [
  ["with room for what goes before", 8, ["head"], ["headcontent"]],
  ["with just enough of it", 4, ["he", "ad"], ["headcontent"]],
  ["with too little of it", 3, ["head"], ["head", "content"]],
  ["with nothing before it", 4, [], ["content"]],
];
for (const [name, room, before, want] of CASES)
  test(`content ${name}`, () => {
    const sends: string[] = [];
    const connection = noting(sends);
    const bytes = Buffer.from(`${".".repeat(room)}content`);
    beginTurn();
    for (const text of before) write(connection, Buffer.from(text), 0, text.length);
    writeBehindRoom(connection, bytes, room, bytes.length);
    write(connection, Buffer.from("next"), 0, 4);
    endTurn();
    expect(sends).toEqual([...want, "next"]);
  });

test("content for one connection sends nothing of another one", () => {
  const [one, other]: [string[], string[]] = [[], []];
  const bytes = Buffer.from("....content");
  beginTurn();
  write(noting(one), Buffer.from("head"), 0, 4);
  writeBehindRoom(noting(other), bytes, 4, bytes.length);
  endTurn();
  expect([one, other, bytes.toString()]).toEqual([["head"], ["content"], "....content"]);
});
