import { describe, expect, test } from "bun:test";
import { existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { inFolder } from "./disk.testing.ts";
import { DiskFolder } from "./disk-folder.ts";

test("is made for its owner alone, and keeps its seed", () =>
  inFolder((path) => {
    const folder = DiskFolder.open(path);
    const { seed } = folder;
    folder.writeSnapshot(Buffer.from("x"));
    folder.close();
    expect(statSync(path).mode & 0o777).toBe(0o700);
    for (const name of ["sluice-cache", "lock", "index.snapshot"])
      expect(statSync(join(path, name)).mode & 0o777).toBe(0o600);
    const again = DiskFolder.open(path);
    expect([again.seed, again.readSnapshot()?.toString(), again.segments()]).toEqual([seed, "x", []]);
    again.close();
  }));

describe("refuses a folder", () => {
  test.each(["notes.txt", "1.segment", "0000000001.segment.bak"])("with a foreign file, here %s", (name) =>
    inFolder((path) => {
      DiskFolder.open(path).close();
      writeFileSync(join(path, name), "");
      expect(() => DiskFolder.open(path)).toThrow(`has files that are not of the cache, such as ${name}`);
      expect(existsSync(join(path, name))).toBe(true);
    }),
  );

  test("that was not empty when it was given", () =>
    inFolder((path) => {
      mkdirSync(path);
      writeFileSync(join(path, "0000000001.segment"), "");
      expect(() => DiskFolder.open(path)).toThrow("has files that are not of the cache");
    }));

  test("that another has, until that lets it go", () =>
    inFolder((path) => {
      const folder = DiskFolder.open(path);
      expect(() => DiskFolder.open(path)).toThrow(`${path} is in use by another process`);
      folder.close();
      DiskFolder.open(path).close();
    }));

  test("that another process has, until that is killed", () =>
    inFolder(async (path) => {
      const script = `
        import { DiskFolder } from ${JSON.stringify(join(import.meta.dir, "disk-folder.ts"))};
        globalThis.folder = DiskFolder.open(${JSON.stringify(path)});
        console.log("open");
        setTimeout(() => {}, 20_000);`;
      const child = Bun.spawn([process.execPath, "-e", script], { stdout: "pipe" });
      await child.stdout.getReader().read();
      expect(() => DiskFolder.open(path)).toThrow("is in use by another process");
      child.kill("SIGKILL");
      await child.exited;
      DiskFolder.open(path).close();
    }));
});

test.each(['{"format":2,"seed":"0123456789abcdef"}', '{"format":1,"seed":"x"}', ""])(
  "of another format, begins anew: %s",
  (text) =>
    inFolder((path) => {
      DiskFolder.open(path).close();
      writeFileSync(join(path, "sluice-cache"), text);
      writeFileSync(join(path, "0000000001.segment"), "");
      writeFileSync(join(path, "index.snapshot"), "");
      const folder = DiskFolder.open(path);
      expect([folder.segments(), folder.readSnapshot()]).toEqual([[], null]);
      folder.close();
      expect(JSON.parse(readFileSync(join(path, "sluice-cache"), "utf8")).format).toBe(1);
    }),
);

test("removes what was not finished, and sorts segments", () =>
  inFolder((path) => {
    DiskFolder.open(path).close();
    for (const name of ["index.snapshot.tmp", "0000000010.segment", "0000000009.segment"])
      writeFileSync(join(path, name), "");
    const folder = DiskFolder.open(path);
    expect([folder.segments(), existsSync(join(path, "index.snapshot.tmp"))]).toEqual([[9, 10], false]);
    folder.removeSegment(9);
    expect(folder.segments()).toEqual([10]);
    folder.close();
  }));
