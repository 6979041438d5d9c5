// Reads archives of tar (POSIX.1-2017, pax): regular files alone, with names that stay below the folder that they are
// unpacked to. Links, devices and the like are passed over.

export interface TarFile {
  readonly name: string;
  readonly content: Buffer;
}

const BLOCK = 512;
/** A release has some 300 files. */
const FILES_MAX = 20_000;

/** Throws Error for what is no such archive, or has names that lead elsewhere. */
export function* readTar(archive: Buffer): Generator<TarFile> {
  let longName = "";
  let count = 0;
  for (let at = 0; at + BLOCK <= archive.length; ) {
    const head = archive.subarray(at, at + BLOCK);
    if (head.every((byte) => byte === 0)) return;
    if (!hasSum(head)) throw new Error("the archive is damaged");
    const size = octal(head, 124, 12);
    const start = at + BLOCK;
    if (start + size > archive.length) throw new Error("the archive ends too early");
    const content = archive.subarray(start, start + size) as Buffer;
    at = start + Math.ceil(size / BLOCK) * BLOCK;
    const type = String.fromCharCode(head[156]!);
    if (type === "x") longName = paxPath(content);
    else if (type === "L") longName = text(content, 0, content.length);
    else if (type !== "g") {
      const name = longName === "" ? nameOf(head) : longName;
      longName = "";
      if (type !== "0" && type !== "\0") continue;
      count += 1;
      if (count > FILES_MAX) throw new Error("the archive has too many files");
      if (!isInside(name)) throw new Error(`the archive has a file outside of its folder: ${JSON.stringify(name)}`);
      yield { name, content };
    }
  }
}

/** Neither absolute, nor up and out. */
const isInside = (name: string): boolean =>
  name !== "" && !name.startsWith("/") && !name.includes("\0") && !name.split("/").includes("..");

function text(bytes: Buffer, from: number, to: number): string {
  const end = bytes.indexOf(0, from);
  return bytes.toString("utf8", from, end < 0 || end > to ? to : end);
}

function octal(head: Buffer, from: number, length: number): number {
  const digits = text(head, from, from + length).trim();
  if (!/^[0-7]{1,11}$/.test(digits)) throw new Error("the archive is damaged: a size is no number");
  return Number.parseInt(digits, 8);
}

/** The sum of all bytes of the head, with its own place as blanks. */
function hasSum(head: Buffer): boolean {
  let sum = 0;
  for (let at = 0; at < BLOCK; at += 1) sum += at >= 148 && at < 156 ? 0x20 : head[at]!;
  return sum === Number.parseInt(text(head, 148, 156).trim(), 8);
}

function nameOf(head: Buffer): string {
  const name = text(head, 0, 100);
  const prefix = text(head, 257, 262) === "ustar" ? text(head, 345, 500) : "";
  return prefix === "" ? name : `${prefix}/${name}`;
}

/** The path of a pax header: lines of `LENGTH key=value`. */
function paxPath(content: Buffer): string {
  for (let at = 0; at < content.length; ) {
    const blank = content.indexOf(0x20, at);
    const length = Number.parseInt(content.toString("latin1", at, blank), 10);
    if (blank < 0 || !(length > 0)) throw new Error("the archive is damaged: an extended head is none");
    const line = content.toString("utf8", blank + 1, at + length - 1);
    if (line.startsWith("path=")) return line.slice("path=".length);
    at += length;
  }
  return "";
}
