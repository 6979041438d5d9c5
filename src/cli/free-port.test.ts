import { expect, test } from "bun:test";
import { firstFree, isFree } from "./free-port.ts";

const HOST = "127.0.0.1";
const nothing = { data() {} };

for (const hostname of [HOST, "0.0.0.0"])
  for (const reusePort of [false, true])
    test(`a port that is taken on ${hostname}${reusePort ? " by one who would share it" : ""}`, async () => {
      const listener = Bun.listen({ hostname, port: 0, socket: nothing, ...(reusePort ? { reusePort } : {}) });
      try {
        expect(await isFree(HOST, listener.port)).toBe(false);
        const next = await firstFree(HOST, listener.port);
        expect(next).not.toBe(listener.port);
        expect(await isFree(HOST, next)).toBe(true);
      } finally {
        listener.stop(true);
      }
      expect(await isFree(HOST, listener.port)).toBe(true);
    });
