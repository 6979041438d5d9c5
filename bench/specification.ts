// A large OpenAPI document, for what is measured with one.

/** A document of four operations for each resource, whose schemas refer to one another. */
export function specification(resources: number): unknown {
  const paths: Record<string, unknown> = {};
  const schemas: Record<string, unknown> = {};
  for (let at = 0; at < resources; at += 1) {
    const ref = { $ref: `#/components/schemas/Order${at}` };
    const json = { "application/json": { schema: ref } };
    const answers = { "200": { description: "one", content: json }, default: { description: "an error" } };
    const id = { name: "id", in: "path", required: true, schema: { type: "integer", minimum: 1 } };
    const query = [
      { name: "limit", in: "query", schema: { type: "integer", maximum: 100 } },
      { name: "sort", in: "query", schema: { type: "string", enum: ["name", "date"] } },
    ];
    paths[`/resource${at}`] = {
      get: { parameters: query, responses: answers },
      post: { requestBody: { required: true, content: json }, responses: answers },
    };
    paths[`/resource${at}/{id}`] = {
      parameters: [id],
      get: { parameters: query, responses: answers },
      put: { requestBody: { content: json }, responses: answers },
    };
    schemas[`Order${at}`] = order(`#/components/schemas/Order${(at + 1) % resources}`);
  }
  return { openapi: "3.0.3", info: { title: "large", version: "1" }, paths, components: { schemas } };
}

const order = (next: string): unknown => ({
  type: "object",
  required: ["customer", "lines"],
  properties: {
    customer: { type: "string", minLength: 1, maxLength: 100 },
    email: { type: "string", format: "email" },
    code: { type: "string", pattern: "^[A-Z]{2}-[0-9]{4,8}$" },
    placed: { type: "string", format: "date-time" },
    lines: {
      type: "array",
      maxItems: 100,
      items: {
        type: "object",
        required: ["article", "count"],
        properties: {
          article: { type: "string", maxLength: 50 },
          count: { type: "integer", minimum: 1 },
          price: { type: "number", minimum: 0, nullable: true },
        },
      },
    },
    related: { $ref: next },
  },
});
