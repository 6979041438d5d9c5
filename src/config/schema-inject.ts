// `inject`: scripts in the heads of pages.
import { z } from "zod";

const scriptPath = z
  .string()
  .regex(/^(?:https?:\/\/[^\s"'<>&]+|\/[^\s"'<>&]*)$/, "write a path such as /t/t.js, or an http or https address");

export const injectSchema = z.strictObject({
  script: scriptPath.describe(
    "Path of the script, such as `/t/t.js` of a route with `tagging` (the name that it has now, where that is opaque).",
  ),
  guard: z
    .union([z.boolean(), scriptPath])
    .default(false)
    .describe("Puts `guard.js`, which stands beside the script, before it; or another one, by its path."),
});

export type InjectConfig = z.output<typeof injectSchema>;
