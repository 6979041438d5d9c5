// Debian packages that benchmarks and end-to-end tests drive from outside: nginx, haproxy, caddy, wrk, curl, …
import { existsSync, rmSync, writeFileSync } from "node:fs";

/** Debian keeps servers in sbin, which is not on the PATH of ordinary users. */
const SEARCH_PATH = `${process.env.PATH ?? ""}:/usr/local/sbin:/usr/sbin:/sbin`;
/** Read by invoke-rc.d: 101 means "do not start the service that was just installed". */
const SERVICE_POLICY = "/usr/sbin/policy-rc.d";

/** The full path of a program, or null; looks into the sbin folders too. */
export function findProgram(name: string): string | null {
  return Bun.which(name, { PATH: SEARCH_PATH });
}

/**
 * Makes sure that Debian packages are there. A package counts as present when dpkg says so or when a program of its
 * name is found (built by hand, or another distribution). What is missing is installed when we are root and apt-get
 * exists; no service is started by that.
 *
 * @throws Error naming the missing packages and the one command that installs them.
 */
export async function ensureDebianPackages(names: readonly string[]): Promise<void> {
  const missing = missingPackages(names);
  if (missing.length === 0) return;
  const command = `apt-get install -y --no-install-recommends ${missing.join(" ")}`;
  const apt = findProgram("apt-get");
  if (apt === null || process.getuid?.() !== 0) {
    throw new Error(`not installed: ${missing.join(", ")}. On Debian or Ubuntu run: sudo ${command}`);
  }
  console.error(`installing ${missing.join(", ")} …`);
  await withoutServices(async () => {
    // The lists may be absent or stale (fresh containers), and then install fails; refreshing them is cheap.
    await runApt(apt, ["update"]);
    await runApt(apt, ["install", "-y", "--no-install-recommends", ...missing]);
  });
  const still = missingPackages(missing);
  if (still.length > 0) throw new Error(`apt-get did not install ${still.join(", ")}. Try: sudo ${command}`);
}

function missingPackages(names: readonly string[]): string[] {
  const absent = names.filter((name) => findProgram(name) === null);
  if (absent.length === 0 || findProgram("dpkg-query") === null) return absent;
  // biome-ignore lint/suspicious/noTemplateCurlyInString: the format language of dpkg-query.
  const query = Bun.spawnSync(["dpkg-query", "-W", "-f=${Package} ${db:Status-Status}\\n", ...absent], {
    stderr: "ignore",
  });
  const lines = query.stdout.toString().split("\n");
  return absent.filter((name) => !lines.includes(`${name} installed`));
}

async function runApt(program: string, args: readonly string[]): Promise<void> {
  // Tests in other processes may be installing too: wait for the lock instead of failing.
  const child = Bun.spawn([program, "-q", "-o", "DPkg::Lock::Timeout=300", ...args], {
    env: { ...process.env, DEBIAN_FRONTEND: "noninteractive" },
    stdin: "ignore",
    stdout: "ignore",
    stderr: "pipe",
  });
  const [complaint, code] = await Promise.all([new Response(child.stderr).text(), child.exited]);
  if (code !== 0) throw new Error(`apt-get ${args.join(" ")} failed (exit code ${code}): ${complaint.trim()}`);
}

/** Installing nginx must not occupy port 80 of the machine: keeps package scripts from starting services meanwhile. */
async function withoutServices(install: () => Promise<void>): Promise<void> {
  const ours = !existsSync(SERVICE_POLICY);
  if (ours) writeFileSync(SERVICE_POLICY, "#!/bin/sh\nexit 101\n", { mode: 0o755 });
  try {
    await install();
  } finally {
    if (ours) rmSync(SERVICE_POLICY, { force: true });
  }
}
