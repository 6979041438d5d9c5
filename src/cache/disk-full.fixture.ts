// Stores answers in a folder, whose path is the argument, on a disk that others fill; says what became of it.
import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { TestTier } from "./disk.testing.ts";

const [, , disk = ""] = process.argv;
const path = join(disk, "cache");
const BODY = "x".repeat(10_000);
/** Larger than the disk: writing fails in the midst of a record. */
const FOREIGN = Buffer.alloc(16 * 1024 * 1024);
const MANY = 200;

let tier = TestTier.open(path, 1 << 26, 1 << 20);
const found = (from: number): number =>
  Array.from({ length: MANY }, (_, at) => tier.get(`key-${from + at}`)).filter((body) => body === BODY).length;
const putMany = (from: number): void => {
  for (let at = 0; at < MANY; at += 1) {
    tier.now += 10; // what waits after a failure is over by and by
    tier.put(`key-${from + at}`, BODY);
  }
};
const said: Record<string, unknown> = {};
putMany(0);
said.fits = found(0);
try {
  writeFileSync(join(disk, "foreign"), FOREIGN);
} catch (error) {
  said.foreign = (error as NodeJS.ErrnoException).code;
}
putMany(1000);
said.saidSo = tier.troubles.some((text) => text.includes("cannot be written"));
const [before, after] = [found(0), found(1000)];
said.lostSome = before < MANY && after < MANY;
rmSync(join(disk, "foreign"));
tier.now += 1000;
said.queued = tier.board.stats().queuedBytes;
putMany(2000);
said.recovered = found(2000);
const [older, newer] = [found(0), found(1000)];
tier.crash();
tier = TestTier.open(path, 1 << 26, 1 << 20);
said.sameAfterCrash = found(0) === older && found(1000) === newer && found(2000) === MANY;
tier.close();
console.log(JSON.stringify(said));
