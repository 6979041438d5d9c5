import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import {
  closeSync,
  mkdirSync,
  readdirSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
  unlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { isIntact, isSame, type LinkPolicy, Root } from "./open.ts";
import { makeRoot } from "./resolve.fuzz.ts";

let base = "";
let folder = "";
beforeAll(() => {
  ({ base, root: folder } = makeRoot());
});
afterAll(() => rmSync(base, { recursive: true }));

/** "open", or the code of the fault. */
function outcome(root: Root, name: string): string {
  const opened = root.open(name);
  if ("code" in opened) return opened.code;
  closeSync(opened.fd);
  return "open";
}

describe("what may be opened", () => {
  for (const [name, inside, none, all] of [
    ["file.txt", "open", "open", "open"],
    ["folder/file.txt", "open", "open", "open"],
    ["inside/file.txt", "open", "file.none", "open"],
    ["folder/inside", "open", "file.none", "open"],
    ["outside/secret", "file.none", "file.none", "open"],
    ["folder/outside", "file.none", "file.none", "open"],
    ["secret", "file.none", "file.none", "open"],
    ["folder/loop/file.txt", "open", "file.none", "open"],
    ["folder/secret", "file.none", "file.none", "open"], // a dotfile under another name
    ["loop", "file.none", "file.none", "file.none"],
    ["folder", "file.none", "file.none", "file.none"],
    ["nothing", "file.none", "file.none", "file.none"],
    ["file.txt/", "file.none", "file.none", "file.none"],
    ["file.txt/x", "file.none", "file.none", "file.none"],
    ["a".repeat(300), "file.none", "file.none", "file.none"],
  ] as const)
    test(name.slice(0, 30), () => {
      const found = (["inside", "none", "all"] as LinkPolicy[]).map((links) =>
        outcome(new Root(folder, links, false), name),
      );
      expect(found).toEqual([inside, none, all]);
    });
});

test("a pipe neither holds up the thread nor is served", () => {
  Bun.spawnSync(["mkfifo", join(folder, "pipe")]);
  expect(outcome(new Root(folder, "all", false), "pipe")).toBe("file.none");
  unlinkSync(join(folder, "pipe"));
});

test("nothing stays open of what was refused", () => {
  const root = new Root(folder, "inside", false);
  outcome(root, "file.txt");
  const before = readdirSync("/proc/self/fd").length;
  for (let i = 0; i < 50; i += 1) for (const name of ["secret", "folder", "nothing", "loop"]) outcome(root, name);
  expect(readdirSync("/proc/self/fd").length).toBeLessThanOrEqual(before);
});

test("a root that is a link is followed when it is set elsewhere", () => {
  for (const release of ["one", "two"]) {
    mkdirSync(join(base, release));
    writeFileSync(join(base, release, "page"), release);
  }
  const current = join(base, "current");
  symlinkSync("one", current);
  const root = new Root(current, "inside", false);
  expect(outcome(root, "page")).toBe("open");
  symlinkSync("two", join(base, "next"));
  renameSync(join(base, "next"), current);
  expect(outcome(root, "page")).toBe("open");
  unlinkSync(current);
  expect(outcome(root, "page")).toBe("file.none");
});

test("a link that is swapped all the time never lets anything outside be read", () => {
  const root = new Root(folder, "inside", false);
  const swapped = join(folder, "swapped");
  // Another process turns it to and fro while this one opens it.
  const script = `i=0; while [ $i -lt 3000 ]; do ln -sfn folder ${swapped}; ln -sfn ../beside ${swapped}; i=$((i+1)); done`;
  const child = Bun.spawn(["sh", "-c", script]);
  const seen = new Set<string>();
  const until = performance.now() + 1500;
  try {
    while (performance.now() < until) {
      for (const name of ["swapped/secret", "swapped/file.txt"]) {
        const opened = root.open(name);
        if ("code" in opened) seen.add(opened.code);
        else {
          seen.add(`${name} ${opened.state.size}`);
          closeSync(opened.fd);
        }
      }
    }
  } finally {
    child.kill();
  }
  // `folder/secret` is a link to a dotfile, so it is no file either way.
  expect([...seen].filter((each) => each.startsWith("swapped/secret"))).toEqual([]);
});

test("the state of a file tells every change", () => {
  const root = new Root(folder, "inside", false);
  const path = join(folder, "state");
  const state = () => {
    const there = root.look("state")!;
    return { size: there.size, mtimeMs: there.mtimeMs, ctimeMs: there.ctimeMs, ino: there.ino, dev: there.dev };
  };
  writeFileSync(path, "0123456789");
  utimesSync(path, 1000, 1000);
  const before = state();
  expect([isSame(state(), before), isIntact(state(), before)]).toEqual([true, true]);
  writeFileSync(path, "0123456789 and more");
  expect([isSame(state(), before), isIntact(state(), before)]).toEqual([false, true]);
  truncateSync(path, 5);
  expect([isSame(state(), before), isIntact(state(), before)]).toEqual([false, false]);
  writeFileSync(path, "9876543210");
  expect([isSame(state(), before), isIntact(state(), before)]).toEqual([false, false]);
  utimesSync(path, 1000, 1000); // who sets the time back is found out by that of the inode
  expect(isSame(state(), before)).toBe(false);
});

test("a file that was opened before is opened again only in the same state", () => {
  const root = new Root(folder, "inside", false);
  const opened = root.open("file.txt");
  if ("code" in opened) throw new Error(opened.code);
  closeSync(opened.fd);
  const again = root.openSame("file.txt", opened.state);
  expect(again).not.toBeNull();
  closeSync(again!.fd);
  writeFileSync(join(folder, "other"), "x");
  renameSync(join(folder, "other"), join(folder, "file.txt"));
  expect(root.openSame("file.txt", opened.state)).toBeNull();
  unlinkSync(join(folder, "file.txt"));
  expect(root.openSame("file.txt", opened.state)).toBeNull();
  writeFileSync(join(folder, "file.txt"), "file.txt");
});
