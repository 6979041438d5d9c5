import { expect, test } from "bun:test";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { Folder } from "../../test/support/sluice.ts";
import { loadConfig } from "../config/load.ts";
import { createLog } from "../observe/log.ts";
import { Providers } from "../providers/providers.ts";
import { loadForWorkers, refreshForWorkers } from "./load.ts";
import { offerSluiceModule } from "./sluice-module.ts";

const route = (path: string): string => `routes: [{ match: { path: ${path} }, to: "http://a" }]\n`;
const pathsOf = ({ routes }: { routes: readonly { match?: { path?: unknown } | undefined }[] }): unknown[] =>
  routes.map(({ match }) => match?.path);
const started = (): Providers => new Providers({ log: createLog("error", { write: () => {} }), random: () => 1 });

test("what providers have is taken without the file being read again", async () => {
  using folder = new Folder();
  mkdirSync(join(folder.path, "conf.d"));
  folder.write("conf.d/a.yaml", route("/a"));
  const text = 'listeners: [{ address: ":0" }]\nproviders: { files: { path: conf.d } }\n';
  const origin = { file: folder.write("sluice.yaml", text) };
  const providers = started();
  const loaded = await loadForWorkers(origin, providers.read);
  providers.accept(loaded);
  folder.write("sluice.yaml", "half a line");
  folder.write("conf.d/b.yaml", route("/b"));
  expect(pathsOf((await refreshForWorkers(origin, loaded, providers)).config)).toEqual(["/a"]);
  await expect(loadForWorkers(origin, providers.read)).rejects.toThrow("sluice.yaml");
  folder.write("sluice.yaml", text);
  expect(pathsOf((await loadForWorkers(origin, providers.read)).config)).toEqual(["/a", "/b"]);
  providers.stop();
});

const PLUGINS = `import { defineConfig, definePlugin } from "sluice";
export default defineConfig({
  listeners: [{ address: ":0" }],
  providers: { files: { path: "conf.d" } },
  routes: [{ match: { path: "/p" }, use: [definePlugin({ name: "p", request() {} })], to: "late" }],
});
`;

test("a worker that reads a file with plugins gets the fragments along", async () => {
  offerSluiceModule();
  using folder = new Folder();
  mkdirSync(join(folder.path, "conf.d"));
  folder.write("conf.d/a.yaml", `upstreams: { late: { servers: [a] } }\n${route("/a")}`);
  const providers = started();
  const { source } = await loadForWorkers({ file: folder.write("sluice.config.ts", PLUGINS) }, providers.read);
  if (source.kind !== "file") throw new Error("plugins cannot be sent");
  const { fragments } = structuredClone({ fragments: source.fragments });
  const provide = () => ({ fragments, problems: [], rejected: [] });
  expect(pathsOf((await loadConfig(source.path, { provide })).config)).toEqual(["/p", "/a"]);
  providers.stop();
});
