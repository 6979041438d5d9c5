import { expect, test } from "bun:test";
import { pause } from "./pauses.ts";
import { Slots } from "./slots.ts";

test("at most so many at a time, in their order, whether they succeed or fail", async () => {
  const slots = new Slots(2);
  const log: string[] = [];
  let working = 0;
  const work = (name: string) => async () => {
    working += 1;
    log.push(`${name} ${working}`);
    await Bun.sleep(1);
    working -= 1;
    if (name === "b") throw new Error("b failed");
    return name;
  };
  const all = await Promise.allSettled(["a", "b", "c", "d", "e"].map((name) => slots.run(work(name))));
  expect(all.map(({ status }) => status)).toEqual(["fulfilled", "rejected", "fulfilled", "fulfilled", "fulfilled"]);
  expect(log.map((line) => line[0])).toEqual(["a", "b", "c", "d", "e"]);
  expect(log.every((line) => Number(line.slice(2)) <= 2)).toBe(true);
  expect(await slots.run(work("f"))).toBe("f");
});

test("a pause ends when the work is called off", async () => {
  const off = new AbortController();
  const long = pause(60_000, off.signal);
  off.abort(new Error("stopping"));
  await expect(long).rejects.toThrow("stopping");
  await expect(pause(60_000, off.signal)).rejects.toThrow("stopping");
  await pause(1, new AbortController().signal);
});
