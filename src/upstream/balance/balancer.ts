// From the configuration's `balance` to the balancer that does it.
import type { UpstreamConfig } from "../../config/schema.ts";
import { ConsistentHash } from "./consistent-hash.ts";
import type { Balancer, Random } from "./contract.ts";
import { LeastConnections } from "./least-connections.ts";
import { PeakEwma } from "./peak-ewma.ts";
import { RandomChoice } from "./random-choice.ts";
import { RoundRobin } from "./round-robin.ts";
import { TwoChoices } from "./two-choices.ts";

export type { Balancer, Candidates } from "./contract.ts";

/** A balancer without candidates: it has them from its first `reset` on. `now` in ms, monotonic. */
export function createBalancer(kind: UpstreamConfig["balance"], random: Random, now: () => number): Balancer {
  if (typeof kind === "object") return new ConsistentHash(kind.maxLoad);
  switch (kind) {
    case "round-robin":
      return new RoundRobin();
    case "least-connections":
      return new LeastConnections();
    case "random":
      return new RandomChoice(random);
    case "p2c":
      return new TwoChoices(random);
    case "peak-ewma":
      return new PeakEwma(random, now);
    case "ip-hash":
      return new ConsistentHash(undefined);
  }
}
