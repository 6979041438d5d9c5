// The `files` action: a folder served as it is.
import { z } from "zod";
import { fieldMap } from "./schema-values.ts";

const fileName = z
  .string()
  .regex(/^[^/\0]+$/, "the name of a file, without a slash, was expected")
  .refine((name) => name !== "." && name !== "..", "the name of a file was expected");

export const filesSchema = z.strictObject({
  root: z.string().min(1).describe("The folder. A path below it names a file; nothing outside of it is ever served."),
  index: z.array(fileName).default(["index.html"]).describe("Files that stand for the folder that they lie in."),
  spa: z
    .union([z.boolean(), z.string().min(1)])
    .default(false)
    .describe("Browsers get this page of the root where there is no file; `true` for the first name of `index`."),
  cleanUrls: z
    .boolean()
    .default(false)
    .describe("`/about` stands for `about.html`, and `/about.html` is redirected to it."),
  precompressed: z
    .boolean()
    .default(false)
    .describe("Sends `app.js.zst`, `app.js.br` or `app.js.gz` for `app.js` to clients that read them."),
  listing: z.boolean().default(false).describe("Shows what is in folders without an index file."),
  dotfiles: z
    .boolean()
    .default(false)
    .describe("Serves names that begin with a dot. Off: only what is in `/.well-known`."),
  followSymlinks: z
    .union([z.boolean(), z.literal("inside")])
    .default("inside")
    .describe("Follows symbolic links: those that stay inside of the root, none, or (`true`) wherever they lead."),
  headers: z
    .record(z.string().min(1), fieldMap)
    .default({})
    .describe("Fields by pattern: `*.css` for names of files, `/assets/*` for paths; `*` stands for any characters."),
  earlyHints: z
    .record(z.string().min(1), z.array(z.string().min(1)).min(1).max(16))
    .default({})
    .describe("Values of `Link` fields by pattern, sent ahead (103) over HTTP/2 and HTTP/3, and with the file."),
});

export type FilesConfig = z.output<typeof filesSchema>;
