import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Queue, type QueueOptions } from "./queue.ts";

let folder = "";
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "queue-"));
});
afterEach(() => rm(folder, { recursive: true }));

const open = (options: Partial<QueueOptions> = {}): Queue =>
  new Queue({ path: join(folder, "q.db"), bytesMax: 1_000_000, whenFull: "oldest", sync: false, ...options });

const bodies = (queue: Queue, destination: string): string[] =>
  queue.after(queue.placeOf(destination), 1000).map(({ body }) => body);

describe("each destination", () => {
  test("gets what comes after it was there, at its own pace", () => {
    const queue = open();
    queue.append(["before"], 1);
    queue.open("a");
    queue.append(["one", "two"], 2);
    queue.open("b");
    queue.append(["three"], 3);
    expect(bodies(queue, "a")).toEqual(["one", "two", "three"]);
    expect(bodies(queue, "b")).toEqual(["three"]);
    queue.done("a", queue.after(queue.placeOf("a"), 2).at(-1)!.seq);
    expect(bodies(queue, "a")).toEqual(["three"]);
    expect(queue.waiting("a")).toBe(1);
    expect(queue.oldest("a")).toBe(3);
    queue.close();
  });

  test("goes on where it was after a restart", () => {
    const first = open();
    first.open("a");
    first.append(["one", "two"], 1);
    first.done("a", first.placeOf("a") + 1);
    first.close();
    const second = open();
    second.open("a");
    expect(bodies(second, "a")).toEqual(["two"]);
    expect(second.bytes).toBe(3);
    second.close();
  });

  test("that is gone holds up nothing", () => {
    const queue = open();
    queue.open("a");
    queue.open("b");
    queue.append(["one"], 1);
    queue.done("a", queue.placeOf("a") + 1);
    queue.settle();
    expect(queue.bytes).toBe(3);
    queue.keepOnly(["a"]);
    queue.settle();
    expect(queue.bytes).toBe(0);
    queue.close();
  });
});

describe("without room", () => {
  test.each([
    ["oldest", ["2", "3"], 1],
    ["newest", ["0", "1"], 1],
  ] as const)("the %s are dropped, and counted", (whenFull, left, least) => {
    const queue = open({ bytesMax: 40_000, whenFull });
    queue.open("a");
    const event = (n: number): string => `${n}`.padEnd(100, ".");
    for (let n = 0; n < 4; n += 1) queue.append(Array<string>(200).fill(event(n)), n);
    expect(queue.bytes).toBeLessThanOrEqual(40_000);
    expect(queue.dropped).toBe(400 * least);
    expect([...new Set(bodies(queue, "a").map((body) => body[0]!))]).toEqual([...left]);
    queue.close();
  });
});

describe("dead letters", () => {
  test("are kept, and taken out again", () => {
    const queue = open();
    queue.open("a");
    queue.append(["one", "two"], 7);
    for (const queued of queue.after(queue.placeOf("a"), 2)) queue.bury("a", queued, "400");
    expect(queue.deadCount("a")).toBe(2);
    const [first] = queue.deadLetters("a", 0, 1);
    expect(first).toEqual({ destination: "a", seq: 1, at: 7, why: "400", body: "one" });
    queue.unbury("a", [first!]);
    expect(queue.deadLetters("a", 0, 10).map(({ body }) => body)).toEqual(["two"]);
    queue.close();
  });
});

test("what was appended before a kill is there afterwards", async () => {
  const path = join(folder, "q.db");
  const program = `
    import { Queue } from ${JSON.stringify(join(import.meta.dir, "queue.ts"))};
    const queue = new Queue({ path: ${JSON.stringify(path)}, bytesMax: 1e9, whenFull: "oldest", sync: false });
    queue.open("a");
    for (let n = 0; ; n += 1) { queue.append([String(n)], n); console.log(n); await Bun.sleep(0); }
  `;
  const child = Bun.spawn([process.execPath, "-e", program], { stdout: "pipe" });
  let told = "";
  for await (const chunk of child.stdout) {
    told += Buffer.from(chunk).toString();
    if (told.split("\n").length > 50) break;
  }
  child.kill("SIGKILL");
  await child.exited;
  const last = Number(told.trim().split("\n").at(-1));
  const queue = open();
  const found = queue.after(0, 100_000).map(({ body }) => Number(body));
  expect(found).toEqual(found.map((_, n) => n));
  expect(found.at(-1)).toBeGreaterThanOrEqual(last);
  queue.close();
});
