// The thread that writes the disk tier. It gathers what comes in one turn of its event loop and writes it at once;
// between turns it reads what was there at the start.
import { type MessagePort, parentPort, workerData } from "node:worker_threads";
import { monotonic } from "../core/clock.ts";
import { DiskIndex } from "../engines/storage/disk-index.ts";
import { DiskBoard } from "./disk-board.ts";
import { DiskFolder } from "./disk-folder.ts";
import type { DiskAnswer, DiskNews, DiskOrder, DiskSetup, DiskTask } from "./disk-message.ts";
import { DiskSweep } from "./disk-sweep.ts";
import { DiskWriter } from "./disk-writer.ts";

/** How often large bodies that grow are given room: a fast disk writes some 200 MB meanwhile. */
const TICK_MS = 250;

const owner = parentPort!;
const answer = (port: MessagePort, text: DiskAnswer): void => port.postMessage(text);
const tell = (news: DiskNews): void => owner.postMessage(news);

class DiskThread {
  readonly #writer: DiskWriter;
  /** Who waits for the next write, by the number of the question. */
  #waiting: { port: MessagePort; number: number }[] = [];
  readonly #ports: MessagePort[] = [];
  readonly #ticks: ReturnType<typeof setInterval>;
  /** Purges, of which the first is under way. */
  readonly #sweeps: { port: MessagePort; number: number; sweep: DiskSweep }[] = [];
  #isDue = false;
  #isComplete = false;
  #isClosed = false;
  readonly #write = (): void => this.#flush();
  readonly #readOn = (): void => {
    if (this.#isClosed) return;
    this.#isComplete = this.#writer.replay();
    if (!this.#isComplete) setImmediate(this.#readOn);
  };
  readonly #sweepOn = (): void => this.#sweep();

  constructor(writer: DiskWriter) {
    this.#writer = writer;
    setImmediate(this.#readOn);
    this.#ticks = setInterval(() => this.#writer.tick(), TICK_MS);
  }

  connect(port: MessagePort): void {
    this.#ports.push(port);
    port.on("message", (task: DiskTask) => this.#take(task, port));
    port.on("close", () => this.#left(port));
  }

  /** A thread has ended, or needs the tier no longer. */
  #left(port: MessagePort): void {
    const at = this.#ports.indexOf(port);
    if (at >= 0) this.#ports.splice(at, 1);
  }

  resize(bytesMax: number): void {
    this.#writer.bytesMax = bytesMax;
  }

  close(): void {
    this.#isClosed = true;
    clearInterval(this.#ticks);
    this.#flush();
    this.#writer.close();
    for (const port of this.#ports) port.close();
    owner.close();
  }

  #take(task: DiskTask, port: MessagePort): void {
    if (this.#isClosed) return;
    if (task.kind === "sweep") {
      this.#sweeps.push({ port, number: task.number, sweep: new DiskSweep(task.rule) });
      if (this.#sweeps.length === 1) setImmediate(this.#sweepOn);
      return;
    }
    if (task.kind === "distrust") return this.#writer.distrust();
    if (task.kind === "sync") {
      this.#writer.sync();
      return answer(port, { number: task.number, removed: 0 });
    }
    if (task.kind === "flush") this.#waiting.push({ port, number: task.number });
    else {
      const { buffer, byteOffset, length } = task.record;
      const record = Buffer.from(buffer, byteOffset, length);
      if (task.kind === "put") this.#writer.put(task.low, task.high, record);
      else this.#writer.delete(task.low, task.high, record);
    }
    if (!this.#isDue) setImmediate(this.#write);
    this.#isDue = true;
  }

  #flush(): void {
    this.#isDue = false;
    this.#writer.flush();
    for (const { port, number } of this.#waiting.splice(0)) answer(port, { number, removed: 0 });
  }

  #sweep(): void {
    const next = this.#sweeps[0];
    if (next === undefined || this.#isClosed) return;
    if (this.#isComplete && this.#writer.sweep(next.sweep)) {
      this.#sweeps.shift();
      answer(next.port, { number: next.number, removed: next.sweep.removed });
    }
    setImmediate(this.#sweepOn);
  }
}

function begin({ path, bytesMax, segmentBytes, index, board, changes }: DiskSetup): void {
  let folder: DiskFolder;
  try {
    folder = DiskFolder.open(path);
    Buffer.from(changes).set(folder.readChanges());
  } catch (error) {
    tell({ kind: "refused", text: error instanceof Error ? error.message : String(error) });
    owner.close();
    return;
  }
  const onTrouble = (text: string): void => tell({ kind: "trouble", text });
  const options = { bytesMax, segmentBytes, onTrouble, now: monotonic };
  const writer = new DiskWriter(folder, new DiskIndex(index), new DiskBoard(board), options);
  tell({ kind: "open", seed: folder.seed }); // others go on while the snapshot is read
  writer.start();
  const thread = new DiskThread(writer);
  owner.on("message", (order: DiskOrder) => {
    if (order.kind === "connect") thread.connect(order.port);
    else if (order.kind === "resize") thread.resize(order.bytesMax);
    else thread.close();
  });
}

begin(workerData as DiskSetup);
