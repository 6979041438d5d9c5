import { afterEach, beforeEach, expect, test } from "bun:test";
import { mkdtempSync, renameSync, rmSync, unlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createLog } from "../observe/log.ts";
import { ClientTrust, type TrustFiles } from "./client-trust.ts";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "trust-"));
});
afterEach(() => rmSync(folder, { recursive: true }));

const write = (name: string, text: string): string => {
  writeFileSync(join(folder, name), text);
  return join(folder, name);
};

interface Made {
  readonly trust: ClientTrust;
  readonly changes: string[][];
  readonly log: string[];
  /** Resolves with the next change. */
  changed(): Promise<void>;
  said(): Promise<void>;
}

/** Texts are good unless they say "bad". */
function make(files: readonly TrustFiles[]): Made {
  const changes: string[][] = [];
  const log: string[] = [];
  const waiting: (() => void)[] = [];
  const wake = (): void => {
    for (const each of waiting.splice(0)) each();
  };
  const trust = new ClientTrust(files, {
    log: createLog("info", {
      write: (line) => {
        log.push(line);
        wake();
      },
    }),
    changed: (listeners) => {
      changes.push([...listeners]);
      wake();
    },
    check: (ca, crl) => {
      if (`${ca}${crl}`.includes("bad")) throw new Error("not PEM");
    },
    pollMs: 50,
  });
  const until = async (is: () => boolean): Promise<void> => {
    while (!is()) {
      const { promise, resolve, reject } = Promise.withResolvers<void>();
      const timer = setTimeout(() => reject(new Error("nothing happened")), 5000);
      waiting.push(resolve);
      await promise.finally(() => clearTimeout(timer));
    }
  };
  const changed = (): Promise<void> => {
    const before = changes.length;
    return until(() => changes.length > before);
  };
  const said = (): Promise<void> => until(() => log.some((line) => line.includes("cannot be used")));
  return { trust, changes, log, changed, said };
}

test("listeners get the files that they name, two of them with the same files too", () => {
  const ca = write("ca.pem", "one");
  const crl = write("a.crl", "list");
  const { trust } = make([
    { listener: ":1", ca, crl: undefined },
    { listener: ":2", ca, crl: undefined },
    { listener: ":2", ca, crl },
  ]);
  const plain = { ca, crl: undefined, caPem: "one", crlPem: undefined };
  expect(trust.of(":1")).toEqual([plain]);
  expect(trust.of(":2")).toEqual([plain, { ca, crl, caPem: "one", crlPem: "list" }]);
  expect(trust.of(":3")).toEqual([]);
});

test("files that cannot be used from the start are an error that names them", () => {
  const ca = write("ca.pem", "bad");
  expect(() => make([{ listener: ":1", ca, crl: undefined }])).toThrow(`${ca}: not PEM`);
  expect(() => make([{ listener: ":1", ca: join(folder, "none"), crl: undefined }])).toThrow(/none: it cannot be read/);
  expect(() => make([{ listener: ":1", ca: folder, crl: undefined }])).toThrow("not a regular file");
});

test("changes are told to those whom they concern, and taken up as a whole", async () => {
  const ca = write("ca.pem", "one");
  const crl = write("a.crl", "list");
  const other = write("other.pem", "other");
  const made = make([
    { listener: ":1", ca, crl },
    { listener: ":2", ca: other, crl: undefined },
  ]);
  made.trust.follow();
  try {
    let next = made.changed();
    renameSync(write("new", "list 2"), crl);
    await next;
    expect([made.changes, made.trust.of(":1")[0]?.crlPem]).toEqual([[[":1"]], "list 2"]);
    write("ca.pem", "bad");
    await made.said();
    unlinkSync(crl);
    expect(made.trust.of(":1")).toEqual([{ ca, crl, caPem: "one", crlPem: "list 2" }]);
    next = made.changed();
    write("a.crl", "list 3");
    write("ca.pem", "two");
    await next;
    expect(made.trust.of(":1")).toEqual([{ ca, crl, caPem: "two", crlPem: "list 3" }]);
    expect(made.changes).toEqual([[":1"], [":1"]]);
  } finally {
    made.trust.stop();
  }
});
