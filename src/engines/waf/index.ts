// The application firewall: SecLang rules over requests and responses. Pure: whoever uses it hands in all values.
export { FormTail } from "./bodies/form-tail.ts";
export { compileRules, type RuleSet } from "./rules/compiler.ts";
export { targetProblem } from "./rules/exclusion.ts";
export { SecLangError } from "./seclang/error.ts";
export { type CollectionEntry, Collections } from "./transaction/collections.ts";
export type { Host } from "./transaction/host.ts";
export { eachEntry, isMultipart } from "./transaction/look.ts";
export type { Interruption, Match } from "./transaction/state.ts";
export { type Report, Transaction } from "./transaction/transaction.ts";
