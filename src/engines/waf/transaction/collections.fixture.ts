// A thread that counts in a collection, for collections.test.ts.
import { parentPort } from "node:worker_threads";
import { Collections } from "./collections.ts";

interface Task {
  readonly memory: SharedArrayBuffer;
  readonly times: number;
}

parentPort?.on("message", ({ memory, times }: Task) => {
  const entries = new Collections(memory, 1n).open("ip", "192.0.2.1");
  for (let i = 0; i < times; i += 1) entries.change("count", 0, 1000, (old) => String(Number(old ?? "0") + 1));
  parentPort?.postMessage("done");
});
