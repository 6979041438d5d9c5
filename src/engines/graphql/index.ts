// GraphQL as far as a gateway has to understand it: what requests ask for, and what that comes to.
export { costOf } from "./cost.ts";
export { type Document, Documents, type GraphqlError, INTROSPECTION_LISTS_MAX, type Operation } from "./document.ts";
export { KnownDocuments } from "./known-documents.ts";
export { type Message, memberOf, readMessages } from "./message.ts";
export { PersistedDocuments, sha256 } from "./persisted.ts";
export { rawItems, rawMembers } from "./raw-json.ts";
export { isInSchema, readSchema, SchemaError } from "./schema.ts";
export { matchesName, type Rules } from "./scopes.ts";
