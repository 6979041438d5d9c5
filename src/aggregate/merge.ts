// One JSON value of the results of all calls. What lies in them goes out byte for byte.
import { JsonNode } from "../engines/transform/json-node.ts";
import type { Exchange } from "../pipeline/exchange.ts";
import type { AggregatePlan } from "./plan.ts";
import { NULL } from "./values.ts";

/** For templates, `lookAt` has been called. */
export function merged({ merge, calls }: AggregatePlan, results: readonly (JsonNode | null)[], x: Exchange): JsonNode {
  if (merge.kind === "json") return merge.make(x);
  if (merge.kind === "list") return JsonNode.list(results.map((result) => result ?? NULL));
  const members = new Map<string, JsonNode>();
  for (const [at, { name }] of calls.entries()) {
    const result = results[at] ?? NULL;
    if (merge.kind === "flat" && result.openObject())
      for (const [member, item] of result.items.entries()) members.set(result.nameAt(member), item);
    else if (merge.kind === "object" || result !== NULL) members.set(name, result);
  }
  const object = JsonNode.object();
  for (const [name, item] of members) object.add(name, item);
  return object;
}
