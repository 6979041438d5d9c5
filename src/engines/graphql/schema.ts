// The schema of a service, as its own language writes it.
import { GraphQLError } from "graphql/error/index.js";
import { parse } from "graphql/language/index.js";
import { type GraphQLSchema, isInterfaceType, isObjectType, validateSchema } from "graphql/type/index.js";
import { buildASTSchema } from "graphql/utilities/buildASTSchema.js";
import { validateSDL } from "graphql/validation/validate.js";

/** What is wrong with a schema, and where in its text; 0 where that is not known. */
export class SchemaError extends Error {
  readonly line: number;
  readonly column: number;
  constructor({ message, locations }: GraphQLError) {
    super(message.split("\n", 1)[0]);
    this.name = "SchemaError";
    this.line = locations?.[0]?.line ?? 0;
    this.column = locations?.[0]?.column ?? 0;
  }
}

/** Directives by which schemas of gateways say what things cost; those that define them themselves are left alone. */
const DIRECTIVES: Readonly<Record<string, string>> = {
  cost: "directive @cost(weight: String!) on ARGUMENT_DEFINITION | ENUM | FIELD_DEFINITION | INPUT_FIELD_DEFINITION | OBJECT | SCALAR | INTERFACE | UNION",
  listSize:
    "directive @listSize(assumedSize: Int, slicingArguments: [String!], sizedFields: [String!], requireOneSlicingArgument: Boolean = true) on FIELD_DEFINITION",
};

/** Builds a schema. Throws SchemaError. */
export function readSchema(text: string): GraphQLSchema {
  try {
    const document = parse(text);
    const own = new Set(document.definitions.map((each) => ("name" in each ? each.name?.value : undefined)));
    const missing = Object.entries(DIRECTIVES).filter(([name]) => !own.has(name));
    const more = missing.flatMap(([, definition]) => parse(definition, { noLocation: true }).definitions);
    const whole = { ...document, definitions: [...document.definitions, ...more] };
    const [wrong] = validateSDL(whole);
    if (wrong !== undefined) throw wrong;
    const schema = buildASTSchema(whole, { assumeValidSDL: true });
    const [first] = validateSchema(schema);
    if (first !== undefined) throw first;
    return schema;
  } catch (error) {
    if (error instanceof GraphQLError) throw new SchemaError(error);
    if (error instanceof Error) throw new SchemaError(new GraphQLError(error.message));
    throw error;
  }
}

/** Whether `Type.field`, `Type.field*`, `Type`, or any of these with `*` as the type, is about anything in the schema. */
export function isInSchema(schema: GraphQLSchema, coordinate: string): boolean {
  const [name = "", field] = coordinate.split(".");
  const types = Object.values(schema.getTypeMap()).filter((type) => name === "*" || type.name === name);
  if (field === undefined) return types.length > 0;
  return types.some((type) => {
    if (!isObjectType(type) && !isInterfaceType(type)) return false;
    const fields = Object.keys(type.getFields());
    return field.endsWith("*") ? fields.some((each) => each.startsWith(field.slice(0, -1))) : fields.includes(field);
  });
}
