// A fleet for tests: without workers, and with everything that it tells.
import { checkConfig } from "../config/load.ts";
import type { Config, ConfigInput, UpstreamConfig } from "../config/schema.ts";
import { createLog } from "../observe/log.ts";
import { Board } from "../upstream/board.ts";
import type { UpstreamMembership } from "../upstream/member.ts";
import { compilePlan } from "./compile.ts";
import { Fleet } from "./fleet.ts";
import { ServerChanges } from "./server-changes.ts";

export interface FleetUnderTest {
  readonly fleet: Fleet;
  /** What workers were told, in order. */
  readonly told: readonly (readonly [upstream: string, membership: UpstreamMembership])[];
  /** Lines of the log. */
  readonly said: readonly string[];
  /** Puts other upstreams into use. */
  use(upstreams: Upstreams): void;
  /** What `fleet.prepare` wants. */
  read(upstreams: Upstreams): { readonly checked: Config; readonly compiled: ReadonlyMap<string, UpstreamConfig> };
}

export type Upstreams = NonNullable<ConfigInput["upstreams"]>;

/** Runs until `fleet.stop()`. */
export function fleetOf(upstreams: Upstreams, changes: ServerChanges = new ServerChanges(null)): FleetUnderTest {
  const configOf = (input: Upstreams) =>
    checkConfig({ listeners: [{ address: ":1" }], upstreams: input, routes: [{ respond: {} }] }).config;
  const told: [string, UpstreamMembership][] = [];
  const said: string[] = [];
  const fleet = new Fleet(
    {
      log: createLog("info", { write: (line) => said.push(line) }),
      memory: Board.memory(1),
      changes,
      onMembers: (upstream, membership) => told.push([upstream, membership]),
    },
    configOf(upstreams),
  );
  const read = (input: Upstreams) => {
    const checked = configOf(input);
    return { checked, compiled: compilePlan(checked).upstreams };
  };
  const use = (input: Upstreams): void => {
    const { checked, compiled } = read(input);
    fleet.prepare(checked, compiled).commit();
  };
  use(upstreams);
  return { fleet, told, said, use, read };
}
