// The load generators behind one function: which of them a scenario needs follows from its protocol.
import { h2loadVersion, runH2load } from "./h2load.ts";
import { runQuicLoad } from "./quic-load.ts";
import type { Load, LoadOptions } from "./results.ts";
import type { LoadScenario, Protocol } from "./scenario.ts";
import { runWrk, wrkVersion } from "./wrk.ts";

interface Generator {
  readonly name: string;
  readonly packages: readonly string[];
  version(): string;
  run(scenario: LoadScenario, port: number, options: LoadOptions): Promise<Load>;
}

export const GENERATORS: Readonly<Record<Protocol, Generator>> = {
  "http/1.1": { name: "wrk", packages: ["wrk"], version: wrkVersion, run: runWrk },
  h2: { name: "h2load", packages: ["nghttp2-client"], version: h2loadVersion, run: runH2load },
  // Debian's h2load speaks no HTTP/3.
  h3: { name: "node:quic of Bun", packages: [], version: () => Bun.version, run: runQuicLoad },
};

/** Runs one scenario against a port: a closed loop that ends by itself after the given seconds. */
export function runLoad(scenario: LoadScenario, port: number, options: LoadOptions): Promise<Load> {
  return GENERATORS[scenario.protocol].run(scenario, port, options);
}
