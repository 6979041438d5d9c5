import { expect, test } from "bun:test";
import { chmodSync, existsSync, mkdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { Folder } from "../../test/support/sluice.ts";
import { installRoot, type Machine, type TrustStep, trustInstructions, uninstallRoot } from "./trust.ts";

/** A machine in a folder, on which programs only say that they were run. */
function machine(folder: Folder, more: Partial<Machine> = {}) {
  const ran: string[] = [];
  const home = join(folder.path, "user");
  const real: Machine = {
    uid: 0,
    home,
    systemFolder: join(folder.path, "system"),
    has: () => true,
    run: (command) => {
      ran.push(command.join(" ").replaceAll(folder.path, ""));
      return { code: 0, error: "" };
    },
    ...more,
  };
  return { machine: real, ran };
}

function withBrowsers(folder: Folder): void {
  for (const database of ["user/.pki/nssdb", "user/.mozilla/firefox/x.default"]) {
    mkdirSync(join(folder.path, database), { recursive: true });
    folder.write(`${database}/cert9.db`, "");
  }
  mkdirSync(join(folder.path, "user/.mozilla/firefox/Crash Reports"));
}

const results = (folder: Folder, steps: readonly TrustStep[]): string[] =>
  steps.map(
    ({ place, result, reason }) =>
      `${place.replace(folder.path, "")} ${result}${reason === undefined ? "" : ` ${reason}`}`,
  );

const SYSTEM = "/system/sluice-local-root.crt";

test("as root: the system and every browser, and back", () => {
  using folder = new Folder();
  withBrowsers(folder);
  const root = folder.write("root.crt", "PEM");
  chmodSync(root, 0o600);
  const { machine: here, ran } = machine(folder);
  expect(results(folder, installRoot(root, here))).toEqual([
    `${SYSTEM} done`,
    "/user/.pki/nssdb done",
    "/user/.mozilla/firefox/x.default done",
  ]);
  const copy = join(folder.path, SYSTEM);
  expect(readFileSync(copy, "utf8")).toBe("PEM");
  expect(statSync(copy).mode & 0o777).toBe(0o644);
  expect(ran).toEqual([
    "update-ca-certificates",
    "certutil -D -d sql:/user/.pki/nssdb -n Sluice local root",
    "certutil -A -d sql:/user/.pki/nssdb -t C,, -n Sluice local root -i /root.crt",
    "certutil -D -d sql:/user/.mozilla/firefox/x.default -n Sluice local root",
    "certutil -A -d sql:/user/.mozilla/firefox/x.default -t C,, -n Sluice local root -i /root.crt",
  ]);
  ran.length = 0;
  expect(results(folder, uninstallRoot(here)).every((step) => step.endsWith(" done"))).toBe(true);
  expect(existsSync(copy)).toBe(false);
  expect(ran[0]).toBe("update-ca-certificates --fresh");
  expect(results(folder, uninstallRoot(here))[0]).toBe(`${SYSTEM} skipped it is not there`);
});

test("another user: the browsers alone", () => {
  using folder = new Folder();
  withBrowsers(folder);
  const { machine: here } = machine(folder, { uid: 1000 });
  const steps = results(folder, installRoot(folder.write("root.crt", "PEM"), here));
  expect(steps[0]).toBe(`${SYSTEM} skipped only root may change it: use sudo, with --storage`);
  expect(steps.slice(1).every((step) => step.endsWith(" done"))).toBe(true);
  expect(existsSync(join(folder.path, SYSTEM))).toBe(false);
});

test("programs that are not there, and programs that fail", () => {
  using folder = new Folder();
  withBrowsers(folder);
  const root = folder.write("root.crt", "PEM");
  const without = machine(folder, { has: () => false });
  expect(results(folder, installRoot(root, without.machine))).toEqual([
    `${SYSTEM} skipped there is no update-ca-certificates (Debian package ca-certificates)`,
    "/user/.pki/nssdb skipped there is no certutil (Debian package libnss3-tools)",
    "/user/.mozilla/firefox/x.default skipped there is no certutil (Debian package libnss3-tools)",
  ]);
  expect(without.ran).toEqual([]);
  const failing = machine(folder, { run: () => ({ code: 3, error: "locked\n" }) });
  expect(results(folder, installRoot(root, failing.machine))[0]).toBe(`${SYSTEM} failed locked`);
  const silent = machine(folder, { run: () => ({ code: 3, error: "" }) });
  expect(results(folder, installRoot(root, silent.machine))[0]).toBe(`${SYSTEM} failed the program ended with 3`);
  expect(results(folder, installRoot(join(folder.path, "no.crt"), failing.machine))[0]).toStartWith(`${SYSTEM} failed`);
});

test("a machine without browsers has the system alone", () => {
  using folder = new Folder();
  expect(installRoot(folder.write("root.crt", "PEM"), machine(folder).machine)).toHaveLength(1);
});

test("the instructions name the file, and the folder that sudo would miss", () => {
  const text = trustInstructions("/s/internal-ca/root.crt", "/s");
  expect(text).toContain("/s/internal-ca/root.crt");
  expect(text).toContain("sudo sluice trust --install --storage /s\n");
});
