// `sluice waf install`: a release of the OWASP Core Rule Set, checked before it takes the place of what is there.
import { createHash, timingSafeEqual } from "node:crypto";
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { gunzipSync } from "node:zlib";
import { type WafConfig, wafSchema } from "../config/schema-waf.ts";
import { loadRules } from "../filters/waf/rule-files.ts";
import { readTar, type TarFile } from "./tar.ts";

export interface InstallFlags {
  readonly to: string;
  readonly sha256?: string;
}

/** A release has 0.5 MB packed and 5 MB unpacked, a third of it tests. */
const ARCHIVE_MAX = 33_554_432;
const UNPACKED_MAX = 268_435_456;
const DOWNLOAD_MS = 120_000;
const EXIT_FAILED = 1;
const FOLDER_MODE = 0o755;
/** What the rules need: the tests and tools of a release are left out. */
const WANTED = /^(?:rules\/[\w.-]+\.(?:conf|data)|plugins\/[\w.-]+\.(?:conf|data)|crs-setup\.conf\.example|LICENSE)$/;
/** What the operator has changed stays. */
const KEPT = ["crs-setup.conf"];

/** Prints what went wrong in plain words, and sets the exit code. */
export async function install(archive: string, { to, sha256 }: InstallFlags): Promise<void> {
  try {
    const bytes = await bytesOf(archive, sha256);
    const folder = resolve(to);
    const rules = place(filesOf(bytes), folder);
    const { settings, ruleCount } = rules.program;
    const name = settings.components.join(", ") || "rules";
    console.log(`${name}: ${ruleCount} rules in ${folder}`);
    for (const warning of rules.warnings) console.log(`warning: ${warning}`);
    console.log(`write into the configuration, and look at the log for some days before you block:

  waf: { crs: ${JSON.stringify(folder)}, mode: detect }`);
  } catch (error) {
    console.error(`sluice waf install: ${(error as Error).message}; nothing was changed`);
    process.exitCode = EXIT_FAILED;
  }
}

const isUrl = (archive: string): boolean => /^https?:\/\//i.test(archive);

/** The archive, whose sum is what it should be. */
async function bytesOf(archive: string, given: string | undefined): Promise<Buffer> {
  if (given !== undefined && !/^[0-9a-f]{64}$/i.test(given)) throw new Error("--sha256 takes 64 hexadecimal digits");
  if (isUrl(archive) && given === undefined)
    throw new Error("a download needs --sha256, the sum that the release announces");
  const bytes = isUrl(archive) ? await download(archive) : readFileSync(archive);
  if (bytes.length > ARCHIVE_MAX) throw new Error(`the archive is larger than ${ARCHIVE_MAX} bytes`);
  const wanted = given ?? sumBeside(archive);
  const sum = createHash("sha256").update(bytes).digest();
  if (wanted !== null && !timingSafeEqual(sum, Buffer.from(wanted, "hex")))
    throw new Error(`the archive has another SHA-256 than it should: ${sum.toString("hex")}`);
  return bytes;
}

/** The sum in `ARCHIVE.sha256`, as sha256sum writes it. */
function sumBeside(archive: string): string | null {
  const file = `${archive}.sha256`;
  if (!existsSync(file)) return null;
  const sum = /^[0-9a-f]{64}(?=\s|$)/i.exec(readFileSync(file, "latin1"))?.[0];
  if (sum === undefined) throw new Error(`there is no SHA-256 in ${file}`);
  return sum;
}

async function download(url: string): Promise<Buffer> {
  const response = await fetch(url, { signal: AbortSignal.timeout(DOWNLOAD_MS) });
  if (!response.ok) throw new Error(`${url} answered ${response.status}`);
  const pieces: Uint8Array[] = [];
  let length = 0;
  for await (const piece of response.body ?? []) {
    length += piece.length;
    if (length > ARCHIVE_MAX) throw new Error(`the archive is larger than ${ARCHIVE_MAX} bytes`);
    pieces.push(piece);
  }
  return Buffer.concat(pieces);
}

/** The files that the rules need, without the folder that a release has them in. */
function filesOf(archive: Buffer): TarFile[] {
  let unpacked: Buffer;
  try {
    unpacked = gunzipSync(archive, { maxOutputLength: UNPACKED_MAX });
  } catch (error) {
    throw new Error(`it is not an archive (.tar.gz) of at most ${UNPACKED_MAX} bytes: ${(error as Error).message}`, {
      cause: error,
    });
  }
  const files = [...readTar(unpacked)].map(({ name, content }) => {
    const parts = name.replace(/^\.\//, "").split("/");
    const inner = parts[0] === "rules" || parts[0] === "plugins" || parts.length === 1 ? parts : parts.slice(1);
    return { name: inner.join("/"), content };
  });
  const wanted = files.filter(({ name }) => WANTED.test(name));
  if (!wanted.some(({ name }) => name.startsWith("rules/"))) throw new Error("there are no rules in the archive");
  return wanted;
}

/** Writes the files beside the folder, compiles them there, and only then exchanges the two. */
function place(files: readonly TarFile[], folder: string): ReturnType<typeof loadRules> {
  mkdirSync(dirname(folder), { recursive: true });
  const made = mkdtempSync(join(dirname(folder), `.${basename(folder)}-`));
  try {
    for (const { name, content } of files) {
      mkdirSync(dirname(join(made, name)), { recursive: true });
      writeFileSync(join(made, name), content);
    }
    for (const name of KEPT) if (existsSync(join(folder, name))) cpSync(join(folder, name), join(made, name));
    chmodSync(made, FOLDER_MODE); // whoever installs is seldom the user whom the proxy runs as
    const config: WafConfig = wafSchema.parse({ crs: made });
    const rules = loadRules(config);
    exchange(folder, made);
    return rules;
  } finally {
    rmSync(made, { recursive: true, force: true });
  }
}

function exchange(folder: string, made: string): void {
  if (!existsSync(folder)) return renameSync(made, folder);
  if (!existsSync(join(folder, "rules"))) throw new Error(`${folder} is there, and is no folder of rules`);
  const old = `${made}-old`;
  renameSync(folder, old);
  renameSync(made, folder);
  rmSync(old, { recursive: true, force: true });
}
