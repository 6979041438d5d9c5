// `sluice run`: the proxy in the foreground, until a signal ends it.
import type { Command } from "commander";
import { ConfigError, renderDiagnostic } from "../config/diagnostic.ts";
import { StartError } from "../control/start.ts";
import { type Supervisor, type SupervisorOptions, startSupervisor } from "../control/supervisor.ts";

const EXIT_INVALID = 1;
const EXIT_USAGE = 2;
const EXIT_START = 3;
/** As in the schema's `workers`. */
const WORKERS_MAX = 256;

interface RunOptions {
  readonly config?: string;
  readonly workers?: string;
  readonly watch?: boolean;
}

export function register(program: Command): void {
  program
    .command("run")
    .description("run the proxy in the foreground until SIGTERM or SIGINT; SIGHUP reloads, SIGUSR1 reopens log files")
    .option("-c, --config <file>", "the configuration (default: the first found here or in /etc/sluice)")
    .option("--workers <n>", "worker threads, in place of the configuration's")
    .option("--watch", "reload when a file of the configuration changes")
    .action(async (options: RunOptions) => {
      const workers = options.workers === undefined ? undefined : Number(options.workers);
      if (workers !== undefined && !(/^\d+$/.test(options.workers!) && workers >= 1 && workers <= WORKERS_MAX)) {
        process.stderr.write(
          `sluice run: --workers takes a whole number from 1 to ${WORKERS_MAX}, not "${options.workers}"\n`,
        );
        process.exitCode = EXIT_USAGE;
        return;
      }
      await runForeground({
        config: { file: options.config },
        watch: options.watch === true,
        ...(workers === undefined ? {} : { workers }),
      });
    });
}

/**
 * Runs until a signal or the admin API stops it, then exits the process: 0, 1 for an invalid configuration, 3 when
 * something could not be bound or started. `started` is called once everything accepts, before `sluice ready` is
 * printed.
 */
export async function runForeground(
  options: SupervisorOptions,
  started: (supervisor: Supervisor) => void = () => {},
): Promise<void> {
  let supervisor: Supervisor | null = null;
  // From the start, as an early one would end the process.
  process.on("SIGHUP", () => void supervisor?.reload());
  process.on("SIGUSR1", () => supervisor?.reopenLogs());
  try {
    supervisor = await startSupervisor(options);
  } catch (error) {
    process.exit(explainFailure(error));
  }
  for (const warning of supervisor.warnings) process.stderr.write(`${renderDiagnostic(warning)}\n`);
  for (const { bound, http3 } of supervisor.status().listeners) {
    process.stdout.write(`listening on ${bound}\n`);
    if (http3) process.stdout.write(`HTTP/3 on ${bound.replace(/^https/, "udp")}\n`);
  }
  if (supervisor.adminAddress !== null) process.stdout.write(`admin API on ${supervisor.adminAddress}\n`);
  started(supervisor);
  process.stdout.write("sluice ready\n");
  stopOnSignal(supervisor);
  surviveStrayErrors(supervisor);
  await supervisor.stopped;
  process.exit(0);
}

function stopOnSignal(supervisor: Supervisor): void {
  let stopping = false;
  const stop = (): void => {
    if (stopping) process.exit(0); // the second signal does not wait
    stopping = true;
    supervisor.log.info("stopping: requests in flight are finished first");
    void supervisor.stop();
  };
  process.on("SIGTERM", stop);
  process.on("SIGINT", stop);
}

/**
 * This thread runs the modules of TypeScript configurations. What a timer or promise of theirs throws must not end the
 * process, and with it the workers, which do not even notice.
 */
function surviveStrayErrors(supervisor: Supervisor): void {
  const tell = (error: unknown): void => {
    const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
    supervisor.log.error("an error that nobody caught in the main thread", { error: text });
  };
  process.on("uncaughtException", tell);
  process.on("unhandledRejection", tell);
}

function explainFailure(error: unknown): number {
  if (error instanceof ConfigError) {
    for (const diagnostic of error.diagnostics) process.stderr.write(`${renderDiagnostic(diagnostic)}\n`);
    process.stderr.write("nothing was started\n");
    return EXIT_INVALID;
  }
  if (error instanceof StartError) {
    process.stderr.write(`sluice: ${error.message}\n`);
    return EXIT_START;
  }
  throw error;
}
