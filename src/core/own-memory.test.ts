import { describe, expect, test } from "bun:test";
import { ofBuffers, ownMemory } from "./own-memory.ts";

for (const [name, memory] of [
  ["of the C library", ownMemory],
  ["of buffers", ofBuffers()],
] as const)
  describe(`memory ${name}`, () => {
    test("keeps copies until they are freed", () => {
      const bytes = Buffer.from("....content and more");
      bytes.writeInt32LE(-7, 0);
      const [one, other] = [memory.keep(bytes, 11), memory.keep(bytes, bytes.length)];
      expect(one !== 0 && other !== 0 && one !== other).toBe(true);
      bytes.fill(0);
      memory.free(other);
      const into = Buffer.alloc(8);
      memory.copyTo(into, one, 4, 7);
      expect([into.toString(), memory.int32(one, 0)]).toEqual(["content\0", -7]);
      memory.overwrite(one, 4, Buffer.from("CON"));
      memory.copyTo(into, one, 4, 7);
      expect(into.toString()).toBe("CONtent\0");
      memory.free(one);
    });
  });
