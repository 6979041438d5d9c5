// The root of Sluice's own authority, made once and kept in the storage folder: clients are told to trust it.
import { X509Certificate } from "node:crypto";
import {
  chmodSync,
  closeSync,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeSync,
} from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import { reasonOf } from "../config/expand.ts";
import { readCertificate } from "./certificate.ts";
import { type Authority, issueRoot, keyFromPem, keyToPem } from "./issue.ts";

/** Why there is no root, and what to do about it. */
export interface Trouble {
  readonly message: string;
  readonly hint: string;
}

export type OpenedRoot =
  | { readonly root: Authority; readonly trouble?: never }
  | { readonly root?: never; readonly trouble: Trouble };

const DAY_MS = 86_400_000;
/** Nobody is told when a root is replaced, so it lasts longer than machines do. */
const ROOT_MS = 3650 * DAY_MS;
/** Clocks differ. */
const BACKDATED_MS = DAY_MS;
const RANDOM_MAX = 0x1_0000_0000;
/** X.520 allows 64 characters: "Sluice local root", the host's name, and eight digits. */
const HOST_LENGTH_MAX = 32;

const folderOf = (storage: string): string => join(storage, "internal-ca");
/** Where the certificate of the root is, whether it exists or not. */
export const rootFile = (storage: string): string => join(folderOf(storage), "root.crt");

/** The root of a storage folder, made when there is none. Any number of processes may do this at the same time. */
export function openRoot(storage: string, nowMs: number): OpenedRoot {
  try {
    if (!hasRoot(storage)) makeRoot(storage, nowMs);
    return readRoot(storage, nowMs);
  } catch (error) {
    const hint = "the folder for what Sluice keeps must be writable for its user";
    return {
      trouble: { message: `the local root in ${folderOf(storage)} cannot be read or made: ${reasonOf(error)}`, hint },
    };
  }
}

const hasRoot = (storage: string): boolean => existsSync(rootFile(storage));

/** Certificate and key appear together: a folder that is complete is renamed to its place, and the first one stays. */
function makeRoot(storage: string, nowMs: number): void {
  mkdirSync(storage, { recursive: true, mode: 0o700 });
  const chance = crypto.getRandomValues(new Uint32Array(1))[0]! % RANDOM_MAX;
  const id = chance.toString(16).padStart(8, "0");
  const second = Math.floor(nowMs / 1000) * 1000;
  // Two roots of one name confuse those who verify, so each has a name of its own.
  const host = hostname()
    .replace(/[^\w.-]/g, "")
    .slice(0, HOST_LENGTH_MAX);
  const root = issueRoot(`Sluice local root ${host} ${id}`, {
    notBeforeMs: second - BACKDATED_MS,
    notAfterMs: second + ROOT_MS,
  });
  const made = `${folderOf(storage)}.${id}`;
  mkdirSync(made, { mode: 0o700 });
  try {
    writePrivate(join(made, "root.key"), keyToPem(root.key));
    writePrivate(join(made, "root.crt"), root.certPem);
    renameSync(made, folderOf(storage));
  } catch (error) {
    rmSync(made, { recursive: true, force: true });
    // Another process was faster: a folder with something in it is not replaced.
    if (!hasRoot(storage)) throw error;
  }
}

function writePrivate(path: string, text: string): void {
  const file = openSync(path, "wx", 0o600);
  try {
    writeSync(file, text);
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
}

function readRoot(storage: string, nowMs: number): OpenedRoot {
  const [certFile, keyFile] = [rootFile(storage), join(folderOf(storage), "root.key")];
  // Who can read this key can be any host for all that trust the root.
  for (const [path, mode] of [
    [folderOf(storage), 0o700],
    [keyFile, 0o600],
  ] as const)
    if ((statSync(path).mode & 0o077) !== 0) chmodSync(path, mode);
  const hint = `restore the files, or remove ${folderOf(storage)}: a new root is made, which clients must be told to trust`;
  const trouble = (why: string): OpenedRoot => ({ trouble: { message: `the local root in ${certFile} ${why}`, hint } });
  const certPem = readFileSync(certFile, "utf8");
  const keyPem = readFileSync(keyFile, "utf8");
  const { certificate, error } = readCertificate(certPem, keyPem);
  if (error !== undefined) return trouble(`cannot be used: ${error.message}`);
  const commonName = /^CN=(Sluice local root [\w.-]* ?[0-9a-f]{8})$/.exec(certificate.subject)?.[1];
  if (commonName === undefined || certificate.keySize !== "P-256" || !new X509Certificate(certPem).ca)
    return trouble("was not made by Sluice");
  const { notBeforeMs, notAfterMs } = certificate;
  if (notAfterMs <= nowMs) return trouble(`expired on ${new Date(notAfterMs).toISOString().slice(0, 10)}`);
  return { root: { commonName, key: keyFromPem(keyPem), certPem, notBeforeMs, notAfterMs } };
}
