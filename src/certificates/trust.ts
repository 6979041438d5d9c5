// Tells this machine to trust Sluice's own root, or to forget it: the system's bundle, and the databases of browsers.
import { chmodSync, copyFileSync, existsSync, mkdirSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";

/** The result of a program; `code` is null when it could not be started. */
export interface Ran {
  readonly code: number | null;
  /** What it wrote to stderr. */
  readonly error: string;
}

/** The machine, so that tests can be another one. */
export interface Machine {
  /** Effective user. */
  readonly uid: number;
  readonly home: string;
  /** Where the system looks for roots that its operator adds. */
  readonly systemFolder: string;
  /** Whether a program is installed. */
  readonly has: (program: string) => boolean;
  readonly run: (command: readonly [program: string, ...args: string[]]) => Ran;
}

/** Debian and what is made from it. */
export const SYSTEM_FOLDER = "/usr/local/share/ca-certificates";
const SYSTEM_FILE = "sluice-local-root.crt";
const NICKNAME = "Sluice local root";

/** One place where a root can be trusted, and how it went. */
export interface TrustStep {
  readonly place: string;
  readonly result: "done" | "skipped" | "failed";
  /** Why it was skipped or failed. */
  readonly reason?: string;
}

/** Copies the root to where the system and the user's browsers look for it. Doing it again changes nothing. */
export function installRoot(rootFile: string, machine: Machine): TrustStep[] {
  return [
    installInSystem(rootFile, machine),
    ...forEachDatabase(machine, (database) => addTo(database, rootFile, machine)),
  ];
}

/** Undoes `installRoot`. */
export function uninstallRoot(machine: Machine): TrustStep[] {
  return [uninstallFromSystem(machine), ...forEachDatabase(machine, (database) => removeFrom(database, machine))];
}

/** How to have a root trusted that is kept in this folder. */
export function trustInstructions(rootFile: string, storage: string): string {
  // With sudo another folder is the default one, and another root would be trusted.
  const install = `sluice trust --install --storage ${storage}`;
  return [
    `The root certificate of this Sluice is ${rootFile}`,
    "",
    "Whoever trusts it trusts every certificate that this Sluice makes. To trust it",
    `  on this machine:          sudo ${install}`,
    `  in your browsers here:    ${install}`,
    `  on Debian and Ubuntu:     copy it to ${SYSTEM_FOLDER}/${SYSTEM_FILE} and run update-ca-certificates`,
    "  on Fedora and the like:   copy it to /etc/pki/ca-trust/source/anchors/ and run update-ca-trust",
    "  on macOS:                 security add-trusted-cert -d -r trustRoot -k /Library/Keychains/System.keychain FILE",
    "  on Windows:               certutil -addstore Root FILE",
    "  in Firefox:               Settings, Certificates, Authorities, Import",
    `  with curl and others:     curl --cacert ${rootFile} https://…`,
    "",
    "sluice trust --print writes the certificate, to take it to another machine.",
  ].join("\n");
}

function installInSystem(rootFile: string, machine: Machine): TrustStep {
  const skipped = systemObstacle(machine);
  if (skipped !== null) return skipped;
  const file = join(machine.systemFolder, SYSTEM_FILE);
  try {
    mkdirSync(machine.systemFolder, { recursive: true });
    copyFileSync(rootFile, file);
    chmodSync(file, 0o644); // the root's own file is for Sluice's user alone
  } catch (error) {
    return { place: file, result: "failed", reason: String(error) };
  }
  return stepOf(file, machine.run(["update-ca-certificates"]));
}

function uninstallFromSystem(machine: Machine): TrustStep {
  const file = join(machine.systemFolder, SYSTEM_FILE);
  if (!existsSync(file)) return { place: file, result: "skipped", reason: "it is not there" };
  const skipped = systemObstacle(machine);
  if (skipped !== null) return skipped;
  rmSync(file, { force: true });
  return stepOf(file, machine.run(["update-ca-certificates", "--fresh"]));
}

function systemObstacle(machine: Machine): TrustStep | null {
  const place = join(machine.systemFolder, SYSTEM_FILE);
  if (machine.uid !== 0)
    return { place, result: "skipped", reason: "only root may change it: use sudo, with --storage" };
  if (machine.has("update-ca-certificates")) return null;
  return { place, result: "skipped", reason: "there is no update-ca-certificates (Debian package ca-certificates)" };
}

/** The databases of Chromium and of every Firefox profile. */
function databasesOf(home: string): string[] {
  const profiles = join(home, ".mozilla", "firefox");
  const firefox = existsSync(profiles) ? readdirSync(profiles).map((name) => join(profiles, name)) : [];
  return [join(home, ".pki", "nssdb"), ...firefox].filter((folder) => existsSync(join(folder, "cert9.db")));
}

function forEachDatabase(machine: Machine, act: (database: string) => TrustStep): TrustStep[] {
  const databases = databasesOf(machine.home);
  if (machine.has("certutil")) return databases.map(act);
  const reason = "there is no certutil (Debian package libnss3-tools)";
  return databases.map((place) => ({ place, result: "skipped", reason }));
}

function addTo(database: string, rootFile: string, machine: Machine): TrustStep {
  removeFrom(database, machine); // an older root of the same nickname stays in the way of a new one
  return stepOf(
    database,
    machine.run(["certutil", "-A", "-d", `sql:${database}`, "-t", "C,,", "-n", NICKNAME, "-i", rootFile]),
  );
}

function removeFrom(database: string, machine: Machine): TrustStep {
  const { code } = machine.run(["certutil", "-D", "-d", `sql:${database}`, "-n", NICKNAME]);
  return code === 0
    ? { place: database, result: "done" }
    : { place: database, result: "skipped", reason: "it is not there" };
}

function stepOf(place: string, { code, error }: Ran): TrustStep {
  if (code === 0) return { place, result: "done" };
  return { place, result: "failed", reason: error.trim() || `the program ended with ${code}` };
}
