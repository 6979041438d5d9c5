import { afterAll, describe, expect, test } from "bun:test";
import { mkdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Folder } from "../../test/support/sluice.ts";
import { until } from "../../test/support/wait.ts";
import { createLog } from "../observe/log.ts";
import { type CertificatePair, FileCertificates } from "./file-certificates.ts";
import { lasting, type Made, NOW_MS, Pki } from "./make.testing.ts";

const pki = new Pki();
const [first, second] = [pki.make(["first.test"]), pki.make(["second.test"])];

/** Longer than a test: what is seen was told by the system. */
const NEVER_MS = 600_000;

interface Setup {
  readonly folder: Folder;
  readonly files: FileCertificates;
  readonly lines: string[];
  readonly changes: string[];
  readonly names: (listener?: string) => string;
}
const opened: Setup[] = [];
afterAll(() => {
  for (const { files, folder } of opened) {
    files.stop();
    folder[Symbol.dispose]();
  }
});

function write(folder: string, made: Made): void {
  writeFileSync(join(folder, "tls.crt"), made.chainPem);
  writeFileSync(join(folder, "tls.key"), made.keyPem);
}

function pair(folder: string, listener = ":443", at = 0): CertificatePair {
  const path = ["listeners", 0, "tls", "certificates", at] as const;
  return { listener, path, cert: join(folder, "tls.crt"), key: join(folder, "tls.key") };
}

function open(prepare: (folder: string) => readonly CertificatePair[], pollMs = NEVER_MS): Setup {
  const folder = new Folder();
  const lines: string[] = [];
  const changes: string[] = [];
  const log = createLog("info", { write: (line) => lines.push(line) });
  const changed = (listeners: readonly string[]): number => changes.push(listeners.join(" "));
  const files = new FileCertificates(prepare(folder.path), { log, changed, now: () => NOW_MS, pollMs });
  const names = (listener = ":443"): string =>
    files
      .certificates(listener)
      .flatMap((one) => one.names)
      .join(" ");
  const setup = { folder, files, lines, changes, names };
  opened.push(setup);
  return setup;
}

const openOne = (made: Made = first, pollMs = NEVER_MS): Setup =>
  open((folder) => {
    write(folder, made);
    return [pair(folder)];
  }, pollMs);

describe("at start", () => {
  const CASES: readonly (readonly [name: string, prepare: (folder: string) => void, want: readonly string[]])[] = [
    ["fine", (folder) => write(folder, first), []],
    ["missing", () => undefined, ["error cert tls.crt: it cannot be read: there is no such file"]],
    [
      "no key",
      (folder) => writeFileSync(join(folder, "tls.crt"), first.chainPem),
      ["error key tls.key: it cannot be read: there is no such file"],
    ],
    ["a folder", (folder) => mkdirSync(join(folder, "tls.crt")), ["error cert tls.crt: it is not a regular file"]],
    [
      "too large",
      (folder) => writeFileSync(join(folder, "tls.crt"), Buffer.alloc(1024 * 1024 + 1)),
      ["error cert tls.crt: it is too large for what it should be"],
    ],
    [
      "mismatched",
      (folder) => write(folder, { ...first, keyPem: second.keyPem }),
      ["error key tls.key: the key does not belong to the certificate"],
    ],
    [
      "incomplete and late",
      (folder) => write(folder, { ...pki.make(["a"], lasting(2)), ...{} }),
      ["warning cert tls.crt: it expires on 2026-06-03 12:00 UTC, in 2 days"],
    ],
    [
      "without its chain",
      (folder) => write(folder, { ...first, chainPem: first.leafPem }),
      ['warning cert tls.crt: the chain is incomplete: "Test intermediate", which issued it, is not in the file'],
    ],
  ];
  for (const [name, prepare, want] of CASES)
    test(name, () => {
      const { files, folder, names } = open((path) => {
        prepare(path);
        return [pair(path, ":443", 3)];
      });
      const said = files.problems.map(({ severity, message, path, hint }) => {
        expect(path.slice(0, -1)).toEqual(["listeners", 0, "tls", "certificates", 3]);
        expect(hint).not.toBe("");
        return `${severity} ${path.at(-1)} ${message.replaceAll(`${folder.path}/`, "")}`;
      });
      expect(said).toEqual([...want]);
      expect(names() === "").toBe(want.some((one) => one.startsWith("error")));
    });

  test("listeners have their own, and may share files", () => {
    const { names } = open((folder) => {
      for (const [name, made] of [
        ["a", first],
        ["b", second],
      ] as const) {
        mkdirSync(join(folder, name));
        write(join(folder, name), made);
      }
      return [pair(join(folder, "b")), pair(join(folder, "a"), ":443", 1), pair(join(folder, "a"), ":444")];
    });
    expect([names(":443"), names(":444"), names(":445")]).toEqual(["second.test first.test", "first.test", ""]);
  });
});

describe("while running", () => {
  const CHANGES: readonly (readonly [name: string, change: (folder: string) => void])[] = [
    ["written in place", (folder) => write(folder, second)],
    [
      "renamed over",
      (folder) => {
        for (const [name, text] of [
          ["tls.key", second.keyPem],
          ["tls.crt", second.chainPem],
        ] as const) {
          writeFileSync(join(folder, `${name}.new`), text);
          renameSync(join(folder, `${name}.new`), join(folder, name));
        }
      },
    ],
    [
      "removed and made anew",
      (folder) => {
        rmSync(join(folder, "tls.crt"));
        rmSync(join(folder, "tls.key"));
        write(folder, second);
      },
    ],
  ];
  for (const [name, change] of CHANGES)
    test(name, async () => {
      const { folder, files, names, changes } = openOne();
      files.follow();
      change(folder.path);
      await until(() => names() === "second.test", "the new certificate");
      expect(changes).toEqual([":443"]);
    });

  test("behind links that are swapped, as Kubernetes does", async () => {
    const { folder, files, names } = open((path) => {
      for (const [name, made] of [
        ["..one", first],
        ["..two", second],
      ] as const) {
        mkdirSync(join(path, name));
        write(join(path, name), made);
      }
      symlinkSync("..one", join(path, "..data"));
      for (const name of ["tls.crt", "tls.key"]) symlinkSync(`..data/${name}`, join(path, name));
      return [pair(path)];
    });
    expect(names()).toBe("first.test");
    files.follow();
    symlinkSync("..two", join(folder.path, "..data_tmp"));
    renameSync(join(folder.path, "..data_tmp"), join(folder.path, "..data"));
    await until(() => names() === "second.test", "the new certificate");
  });

  test("changes between reading and following are seen", () => {
    const { folder, files, names } = openOne();
    write(folder.path, second);
    expect(names()).toBe("first.test");
    files.follow();
    expect(names()).toBe("second.test");
  });

  test("where the system tells nothing, a look from time to time", async () => {
    const { folder, files, names } = open((path) => {
      mkdirSync(join(path, "real"));
      write(join(path, "real"), first);
      mkdirSync(join(path, "links"));
      for (const name of ["tls.crt", "tls.key"]) symlinkSync(`../real/${name}`, join(path, "links", name));
      return [pair(join(path, "links"))];
    }, 20);
    files.follow();
    write(join(folder.path, "real"), second);
    await until(() => names() === "second.test", "the new certificate");
  });

  test("a folder that another one takes the place of is watched again", async () => {
    const { folder, files, names } = open((path) => {
      mkdirSync(join(path, "tls"));
      write(join(path, "tls"), first);
      return [pair(join(path, "tls"))];
    }, 20);
    const tls = join(folder.path, "tls");
    files.follow();
    mkdirSync(join(folder.path, "new"));
    write(join(folder.path, "new"), second);
    renameSync(tls, join(folder.path, "old"));
    renameSync(join(folder.path, "new"), tls);
    await until(() => names() === "second.test", "the new folder");
    write(tls, first);
    await until(() => names() === "first.test", "a change in the new folder");
  });

  const SPOILT: readonly (readonly [name: string, spoil: (folder: string) => void, reason: string])[] = [
    ["only the certificate", (folder) => writeFileSync(join(folder, "tls.crt"), second.chainPem), "does not belong"],
    [
      "half of it",
      (folder) => writeFileSync(join(folder, "tls.crt"), second.chainPem.slice(0, 200)),
      "no whole certificate",
    ],
    ["removed", (folder) => rmSync(join(folder, "tls.key")), "there is no such file"],
    ["emptied", (folder) => writeFileSync(join(folder, "tls.key"), ""), "it is not PEM"],
  ];
  for (const [name, spoil, reason] of SPOILT)
    test(`${name}: the old pair stays, with one line in the log, until both fit`, async () => {
      const { folder, files, lines, changes, names } = openOne(first, 10);
      const warnings = (): number => lines.filter((line) => line.includes("cannot be used")).length;
      files.follow();
      spoil(folder.path);
      await until(() => warnings() > 0, "a warning");
      expect(lines.join("")).toContain(reason);
      expect(files.problems[0]?.severity).toBe("error");
      const looked = lines.length;
      writeFileSync(join(folder.path, "unrelated"), "x"); // another look, which finds the same
      expect([names(), changes.length]).toEqual(["first.test", 0]);
      write(folder.path, second);
      await until(() => names() === "second.test", "the new certificate");
      expect(warnings()).toBe(1);
      expect(lines.length).toBeGreaterThan(looked);
      expect(files.problems).toEqual([]);
    });

  test("the same again changes nothing, and is in order again", async () => {
    const { folder, files, lines, changes } = openOne();
    files.follow();
    writeFileSync(join(folder.path, "tls.key"), "");
    await until(() => lines.some((line) => line.includes("cannot be used")), "a warning");
    write(folder.path, first);
    await until(() => lines.some((line) => line.includes("in order again")), "the all-clear");
    expect(changes).toEqual([]);
  });

  test("a new certificate that is late is taken, and said to be", async () => {
    const { folder, files, lines, changes } = openOne();
    files.follow();
    write(folder.path, pki.make(["first.test"], lasting(-0.5)));
    await until(() => changes.length > 0, "the new certificate");
    expect(lines.join("")).toContain("it expired on 2026-06-01 00:00 UTC");
    expect(lines.join("")).not.toContain("PRIVATE KEY");
  });
});
