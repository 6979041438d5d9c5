import { describe, expect, test } from "bun:test";
import type { ConnectionHandler } from "./connection.ts";
import { HIGH_WATER } from "./connection.ts";
import { type MemoryConnection, memoryPair } from "./memory-pair.ts";
import { OutputBatch } from "./output-batch.ts";

const PIECE = Buffer.alloc(40_000, "p");

class Reader implements ConnectionHandler {
  chunks: string[] = [];
  onData(chunk: Buffer): void {
    this.chunks.push(chunk.latin1Slice());
  }
  onDrain(): void {}
  onEnd(): void {}
  onClose(): void {}
  get text(): string {
    return this.chunks.join("");
  }
}

function pair(): { near: MemoryConnection; far: MemoryConnection; reader: Reader; batch: OutputBatch } {
  const [near, far] = memoryPair();
  const reader = new Reader();
  far.handler = reader;
  return { near, far, reader, batch: new OutputBatch(near) };
}

/** After the batches that are due have been flushed, and what that sent has arrived. */
async function turn(): Promise<void> {
  for (let i = 0; i < 3; i += 1) await new Promise((resolve) => setImmediate(resolve));
}

function put(batch: OutputBatch, text: string): void {
  const out = batch.room(text.length);
  batch.wrote(batch.at + out.latin1Write(text, batch.at));
}

describe("what is written leaves together", () => {
  test("in one piece, once all events that are due have been told", async () => {
    const { reader, batch } = pair();
    put(batch, "one ");
    await Promise.resolve();
    expect(reader.chunks).toEqual([]);
    batch.piece(Buffer.from("(two) "), 1, 4);
    put(batch, " three");
    await turn();
    expect(reader.chunks).toEqual(["one two three"]);
    put(batch, "later");
    await turn();
    expect(reader.chunks).toEqual(["one two three", "later"]);
  });

  test("each connection on its own", async () => {
    const pairs = [pair(), pair(), pair()];
    for (const [at, { batch }] of pairs.entries()) put(batch, `first ${at}`);
    for (const [at, { batch }] of pairs.entries()) put(batch, `, second ${at}`);
    await turn();
    expect(pairs.map(({ reader }) => reader.chunks)).toEqual([0, 1, 2].map((at) => [`first ${at}, second ${at}`]));
  });

  test("at once when it is flushed, and then not again", async () => {
    const { near, reader, batch } = pair();
    put(batch, "now");
    batch.flush();
    expect(near.sent).toBe(3);
    batch.flush();
    put(batch, " and then");
    await turn();
    expect(reader.chunks).toEqual(["now", " and then"]);
  });
});

describe("order and size", () => {
  test("a large piece goes from where it lies, behind what was written before", async () => {
    const { near, reader, batch } = pair();
    put(batch, "head:");
    batch.piece(PIECE, 0, PIECE.length);
    expect(near.sent).toBe(5 + PIECE.length);
    put(batch, ":tail");
    await turn();
    expect(reader.text).toBe(`head:${PIECE.latin1Slice()}:tail`);
  });

  test("more than a buffer holds, in pieces and in one", async () => {
    const { far, reader, batch } = pair();
    far.window = 10_000_000;
    let wanted = "";
    for (let i = 0; i < 30; i += 1) {
      const text = String(i % 10).repeat(9_973);
      wanted += text;
      if (i % 2 === 0) put(batch, text);
      else batch.piece(Buffer.from(text), 0, text.length);
    }
    const huge = "h".repeat(200_000);
    put(batch, huge);
    put(batch, "end");
    await turn();
    while (reader.text.length < wanted.length + huge.length + 3) await turn();
    expect(reader.text).toBe(`${wanted}${huge}end`);
  });

  test("bytes that the other side does not take are kept as they were", async () => {
    const { near, far, reader, batch } = pair();
    far.pause();
    const text = Array.from({ length: 12_000 }, (_, at) => `${at},`).join("");
    for (let at = 0; at < text.length; at += 1000) put(batch, text.slice(at, at + 1000));
    expect(batch.full).toBe(false);
    for (let at = 0; at < 4; at += 1) batch.piece(PIECE, 0, PIECE.length);
    await turn();
    expect(batch.full).toBe(true);
    expect(near.queued).toBeGreaterThan(HIGH_WATER);
    // Others fill the same buffers meanwhile.
    const other = pair();
    put(other.batch, "x".repeat(70_000));
    await turn();
    far.resume();
    while (near.queued > 0) await turn();
    await turn();
    expect(reader.text).toBe(text + PIECE.latin1Slice().repeat(4));
  });

  test("nothing written, nothing sent", async () => {
    const { near, batch } = pair();
    batch.room(100);
    await turn();
    expect([near.sent, batch.at]).toEqual([0, 0]);
  });

  test("a connection that is gone takes nothing, and nothing breaks", async () => {
    const { near, batch } = pair();
    put(batch, "for nobody");
    near.destroy();
    await turn();
    put(batch, "again");
    await turn();
    expect(near.closed).toBe(true);
  });
});
