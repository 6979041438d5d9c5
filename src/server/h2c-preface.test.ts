import { expect, test } from "bun:test";
import { TimerWheel } from "../core/timers.ts";
import type { Connection, ConnectionHandler } from "../transport/connection.ts";
import { memoryPair } from "../transport/memory-pair.ts";
import { type H2cOwner, H2cPreface } from "./h2c-preface.ts";

const TIMEOUT_MS = 10_000;

class Rig implements H2cOwner, ConnectionHandler {
  now = 0;
  readonly wheel = new TimerWheel(() => this.now);
  readonly far;
  readonly near;
  choice: "h1" | "h2" | "" = "";
  text = "";
  closed_ = 0;
  constructor() {
    [this.far, this.near] = memoryPair();
    this.near.handler = new H2cPreface(this.near, this, TIMEOUT_MS);
  }
  chosen(_first: H2cPreface, isHttp2: boolean): ConnectionHandler {
    if (this.choice !== "") throw new Error("chosen twice");
    this.choice = isHttp2 ? "h2" : "h1";
    return this;
  }
  closed(_connection: Connection): void {
    this.closed_ += 1;
  }
  onData(chunk: Buffer): void {
    this.text += chunk.latin1Slice();
  }
  onDrain(): void {}
  onEnd(): void {}
  onClose(): void {}

  async send(text: string): Promise<void> {
    this.far.send(Buffer.from(text, "latin1"), 0, text.length, true);
    await settle();
  }
}

async function settle(): Promise<void> {
  for (let i = 0; i < 50; i += 1) await Promise.resolve();
}

const CASES: readonly (readonly [bytes: string, choice: "h1" | "h2" | ""])[] = [
  ["PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "h2"],
  ["PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\u0004\0\0\0\0\0", "h2"],
  ["PRI * HTTP/2.0", "h2"],
  ["PRI * HTTP/2.0 but broken then", "h2"],
  ["GET / HTTP/1.1\r\nHost: a\r\n\r\n", "h1"],
  ["PRI * HTTP/1.1\r\nHost: a\r\n\r\n", "h1"],
  ["PRIX / HTTP/1.1\r\n\r\n", "h1"],
  ["P", ""],
  ["PRI * HTTP/2.", ""],
  ["PUT /x HTTP/1.1\r\n\r\n", "h1"],
  ["pri * HTTP/2.0\r\n\r\nSM\r\n\r\n", "h1"],
  ["\r\nGET / HTTP/1.1\r\n\r\n", "h1"],
];

for (const [bytes, choice] of CASES)
  test(`${JSON.stringify(bytes)} is ${choice === "" ? "still open" : choice}, whole and byte by byte`, async () => {
    for (const pieces of [[bytes], [...bytes]]) {
      const rig = new Rig();
      for (const piece of pieces) await rig.send(piece);
      expect(rig.choice).toBe(choice);
      expect(rig.text).toBe(choice === "" ? "" : bytes);
    }
  });

test("a client that says nothing is not waited for longer than for a head", async () => {
  for (const said of ["", "PRI"]) {
    const rig = new Rig();
    await rig.send(said);
    rig.now += TIMEOUT_MS - 200;
    rig.wheel.turn();
    await settle();
    expect(rig.closed_).toBe(0);
    rig.now += 500;
    rig.wheel.turn();
    await settle();
    expect([rig.closed_, rig.choice]).toEqual([1, ""]);
  }
});

test("one that leaves before it has said anything", async () => {
  const rig = new Rig();
  await rig.send("PR");
  rig.far.end();
  await settle();
  expect([rig.closed_, rig.choice]).toEqual([1, ""]);
});

test("a drain closes it", async () => {
  const rig = new Rig();
  (rig.near.handler as H2cPreface).drain();
  await settle();
  expect(rig.closed_).toBe(1);
});

test("once chosen it does not count any more", async () => {
  const rig = new Rig();
  await rig.send("GET / HTTP/1.1\r\n");
  rig.now += 10 * TIMEOUT_MS;
  rig.wheel.turn();
  rig.far.destroy();
  await settle();
  expect(rig.closed_).toBe(0); // the chosen handler tells of the end
});
