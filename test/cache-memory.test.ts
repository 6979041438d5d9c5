// The memory of the cache is that of all workers together.
import { expect, test } from "bun:test";
import { Folder, runConfig } from "./support/sluice.ts";
import { until } from "./support/wait.ts";

const MB = 1024 * 1024;

test("a reload that starts more workers leaves less for each", async () => {
  using folder = new Folder();
  const config = {
    admin: { address: "127.0.0.1:0" },
    listeners: [{ address: "127.0.0.1:0" }],
    shutdown: { drain: "20ms" },
    routes: [{ cache: { memory: "64MB" }, to: "http://127.0.0.1:1" }],
  };
  await using proxy = await runConfig(folder, { ...config, workers: 1 });
  const shares = async (): Promise<number[]> => {
    const { workers } = (await proxy.admin("GET", "/api/cache")).body as { workers: { bytesMax: number }[] };
    return workers.map(({ bytesMax }) => bytesMax);
  };
  await until(async () => (await shares())[0] === 64 * MB, "one worker to have all of it");
  folder.write("sluice.json", { ...config, workers: 4 });
  expect((await proxy.reload()).status).toBe(200);
  const fourth = 16 * MB;
  await until(async () => (await shares()).join() === [fourth, fourth, fourth, fourth].join(), "four equal parts");
});
