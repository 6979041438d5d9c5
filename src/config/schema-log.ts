// `log`: what is written down.
import { z } from "zod";

export const logSchema = z.strictObject({
  access: z
    .union([
      z.literal(false),
      z.strictObject({
        path: z.string().default("stdout").describe("`stdout`, `stderr` or a file."),
        format: z.enum(["json", "combined", "common", "off"]).default("json").describe("How a line looks."),
        sample: z
          .string()
          .regex(/^\d+(\.\d+)?%$/, "write a share like 10%")
          .meta({ title: "share" })
          .default("100%")
          .describe("Share of the requests that are logged."),
      }),
    ])
    .default(false)
    .describe("One line for each request; off by default."),
  level: z
    .enum(["debug", "info", "warn", "error"])
    .default("info")
    .describe("The least severe messages that the program writes about itself."),
});
