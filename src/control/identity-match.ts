// Whether who asks is one of those that a weighted upstream is for.
import { within } from "../config/compile-error.ts";
import { claimText, type Identity } from "../pipeline/identity.ts";
import { matchesValue, parseValuePattern } from "../routing/pattern.ts";

/** As the configuration has it; what is absent asks nothing. */
export interface IdentityMatch {
  readonly consumer?: string | string[] | undefined;
  readonly plan?: string | string[] | undefined;
  readonly group?: string | string[] | undefined;
  readonly claim?: Readonly<Record<string, string | true>> | undefined;
}

export type IdentityTest = (identity: Identity) => boolean;

/** Null where nothing is asked; all that is has to fit. Throws CompileError for a pattern that is none. */
export function compileIdentityMatch({ consumer, plan, group, claim }: IdentityMatch): IdentityTest | null {
  const tests: IdentityTest[] = [];
  const consumers = setOf(consumer);
  const plans = setOf(plan);
  const groups = setOf(group);
  if (consumers !== null) tests.push((identity) => consumers.has(identity.consumer));
  if (plans !== null) tests.push((identity) => plans.has(identity.plan));
  if (groups !== null) tests.push((identity) => identity.groups.some((each) => groups.has(each)));
  for (const [name, wanted] of Object.entries(claim ?? {})) {
    const pattern = within("claim", () => within(name, () => parseValuePattern(wanted)));
    tests.push((identity) => Object.hasOwn(identity.claims, name) && matchesValue(pattern, claimText(identity, name)));
  }
  return tests.length === 0 ? null : (identity) => tests.every((test) => test(identity));
}

function setOf(value: string | readonly string[] | undefined): ReadonlySet<string> | null {
  return value === undefined ? null : new Set([value].flat().filter((name) => name !== ""));
}
