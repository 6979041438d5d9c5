// `sluice demo`: two sample servers behind a proxy, and what to try with them.
import type { Command } from "commander";
import { startDemoBackends } from "./demo-backends.ts";
import { demoConfig, demoWelcome } from "./demo-config.ts";
import { firstFree } from "./free-port.ts";
import { runForeground } from "./run.ts";

const HOST = "127.0.0.1";
const PORT = 8080;
const ADMIN_PORT = 9901;

export function register(program: Command): void {
  program
    .command("demo")
    .description("two sample servers behind a proxy on this machine, and what to try with them")
    .action(demo);
}

async function demo(): Promise<void> {
  const servers = startDemoBackends().map((each) => each.url);
  const listen = await address(PORT);
  const admin = await address(ADMIN_PORT);
  await runForeground({ config: { input: demoConfig({ listen, admin, servers }) } }, (supervisor) => {
    const [url = ""] = supervisor.addresses;
    process.stdout.write(demoWelcome(withScheme(url), withScheme(supervisor.adminAddress ?? "")));
  });
}

/** The wanted port of the loopback interface, or another one; says so. */
async function address(wanted: number): Promise<string> {
  const port = await firstFree(HOST, wanted);
  if (port !== wanted) process.stdout.write(`port ${wanted} is taken: using ${port === 0 ? "another one" : port}\n`);
  return `${HOST}:${port}`;
}

const withScheme = (text: string): string => (text.includes("://") ? text : `http://${text}`);
