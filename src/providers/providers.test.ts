import { afterEach, beforeEach, expect, test } from "bun:test";
import { mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { Folder } from "../../test/support/sluice.ts";
import { until } from "../../test/support/wait.ts";
import { ConfigError } from "../config/diagnostic.ts";
import { type Loaded, loadConfig, withProvided } from "../config/load.ts";
import { createLog } from "../observe/log.ts";
import { containerJson, DockerDaemon } from "./docker-daemon.testing.ts";
import { Providers } from "./providers.ts";

const LONG = 3_600_000;
const DOCKER_TIMES = { quietMs: 5, burstMs: 50, pollMs: LONG, retryMs: 10, retryMaxMs: 20, holdMs: 10, startMs: LONG };

let folder: Folder;
let lines = "";
let changes = 0;
let providers: Providers;

beforeEach(() => {
  folder = new Folder();
  mkdirSync(join(folder.path, "conf.d"));
  lines = "";
  changes = 0;
  const log = createLog("info", { write: (line) => (lines += line) });
  providers = new Providers({ log, random: () => 1, filePollMs: LONG, dockerTimes: DOCKER_TIMES });
});
afterEach(() => {
  providers.stop();
  folder[Symbol.dispose]();
});

const MAIN = 'listeners: [{ address: ":0" }]\nproviders: { files: { path: conf.d } }\n';
const route = (path: string): string => `routes: [{ match: { path: ${path} }, to: "http://a" }]\n`;
const pathsOf = ({ config }: Loaded): string => config.routes.map(({ match }) => match?.path).join(" ");

/** As the supervisor does it for a reload. */
async function reload(main = MAIN): Promise<Loaded> {
  const loaded = await loadConfig(folder.write("sluice.yaml", main), { provide: providers.read });
  providers.accept(loaded);
  return loaded;
}

/** As the supervisor does it when providers have something new. */
function refresh(loaded: Loaded): Loaded {
  const next = withProvided(loaded, providers.provided);
  providers.accept(next);
  return next;
}

test("tells of changes once, until they are taken", async () => {
  folder.write("conf.d/a.yaml", route("/a"));
  const first = await reload();
  expect(pathsOf(first)).toBe("/a");
  folder.write("conf.d/b.yaml", route("/b"));
  providers.follow(() => (changes += 1)); // what was changed before is told as well
  await until(() => changes === 1, "the first change");
  folder.write("conf.d/c.yaml", route("/c"));
  await until(() => providers.provided.fragments.length === 3, "all files");
  changes = 0;
  const next = refresh(first);
  expect(pathsOf(next)).toBe("/a /b /c");
  rmSync(join(folder.path, "conf.d/b.yaml"));
  await until(() => changes === 1, "the next change");
  expect(pathsOf(refresh(next))).toBe("/a /c");
});

test("a reload sees what was written a moment before", async () => {
  await reload();
  providers.follow(() => {});
  folder.write("conf.d/a.yaml", route("/a"));
  expect(pathsOf(await reload())).toBe("/a");
});

test("a file that is broken stays in use as it was, and is told of once", async () => {
  folder.write("conf.d/a.yaml", route("/a"));
  folder.write("conf.d/b.yaml", route("/b"));
  await reload();
  folder.write("conf.d/a.yaml", "routes: [\n");
  folder.write("conf.d/b.yaml", route("/b2"));
  expect(pathsOf(await reload())).toBe("/a /b2");
  folder.write("conf.d/a.yaml", route("nowhere")); // the right shape, and wrong all the same
  const third = await reload();
  expect(pathsOf(third)).toBe("/a /b2");
  expect(pathsOf(refresh(third))).toBe("/a /b2");
  expect(lines.match(/a part of the configuration is wrong/g)).toHaveLength(2);
  expect(lines).toMatch(/problem="\\"nowhere\\" is not a path" hint=".*" file=\S+a\.yaml line=1 column=27/);
  folder.write("conf.d/a.yaml", route("/a2"));
  expect(pathsOf(await reload())).toBe("/a2 /b2");
  expect(lines).toContain("all parts of the configuration are fine again");
  rmSync(join(folder.path, "conf.d/a.yaml"));
  expect(pathsOf(await reload())).toBe("/b2");
  folder.write("conf.d/a.yaml", "routes: [\n"); // it has no version before any more
  expect(pathsOf(await reload())).toBe("/b2");
});

test("a folder that is not there is an error at the start, and no more later", async () => {
  const main = MAIN.replace("conf.d", "nowhere");
  const failed = await reload(main).catch((error) => error);
  expect(failed).toBeInstanceOf(ConfigError);
  expect((failed as Error).message).toContain(
    'sluice.yaml:2:29: error: the folder "nowhere" cannot be read: there is no such folder\n  hint: looked for',
  );
  folder.write("conf.d/a.yaml", route("/a"));
  expect(pathsOf(await reload())).toBe("/a");
  rmSync(join(folder.path, "conf.d"), { recursive: true });
  expect(pathsOf(await reload())).toBe("/a");
});

test("a configuration that is refused leaves the providers as they are", async () => {
  folder.write("conf.d/a.yaml", route("/a"));
  mkdirSync(join(folder.path, "other"));
  folder.write("other/x.yaml", route("/x"));
  const first = await reload();
  providers.follow(() => (changes += 1));
  await expect(reload(`${MAIN.replace("conf.d", "other")}wrong: 1\n`)).rejects.toThrow('unknown key "wrong"');
  expect(pathsOf(refresh(first))).toBe("/a");
  folder.write("conf.d/a.yaml", route("/b"));
  await until(() => changes === 1, "the folder in use is followed");
  expect(pathsOf(await reload(MAIN.replace("conf.d", "other")))).toBe("/x");
  folder.write("other/x.yaml", route("/y"));
  await until(() => changes === 2, "the other folder is followed");
  expect(pathsOf(await reload(MAIN.replace(/^providers.*$/m, "routes: [{ match: { path: /m }, to: http://a }]")))).toBe(
    "/m",
  );
});

test("what a refused configuration would have brought is told to the one in use", async () => {
  const first = await reload();
  providers.follow(() => (changes += 1));
  folder.write("conf.d/a.yaml", route("/a"));
  await expect(reload(`${MAIN}wrong: 1\n`)).rejects.toThrow("wrong");
  expect(changes).toBe(1);
  expect(pathsOf(refresh(first))).toBe("/a");
});

test("containers and files come together, behind the main configuration", async () => {
  await using daemon = new DockerDaemon();
  await daemon.start();
  const web = { name: "web", labels: { "sluice.path": "/web/*", "sluice.prot": "1" } };
  daemon.containers = [containerJson(web)];
  folder.write("conf.d/a.yaml", "routes: [{ match: { path: /late }, to: late }]\n");
  const main = `${MAIN.replace("} }", `}, docker: { socket: ${daemon.socket} } }`)}routes: [{ match: { path: /m }, to: web }]\n`;
  const first = await reload(main);
  expect(pathsOf(first)).toBe("/m /late /web/*");
  expect(first.config.upstreams.web?.servers).toEqual(["http://172.17.0.2:8080"]);
  expect(first.config.upstreams.late?.servers).toEqual([]);
  expect(lines).toContain(
    'problem="unknown label" hint="did you mean \\"sluice.port\\"?" source="docker: container web, label sluice.prot"',
  );
  providers.follow(() => (changes += 1));
  await until(() => daemon.followers === 1, "the events are followed");
  daemon.become([{ name: "late", labels: {} }]);
  await until(() => changes >= 1 && JSON.stringify(providers.provided).includes("upstream late"), "the container");
  const next = refresh(first);
  expect(next.config.upstreams.late?.servers).toEqual(["http://172.17.0.2:8080"]);
  expect(next.config.upstreams.web?.servers).toEqual([]);
  await reload(MAIN);
  await until(() => daemon.followers === 0, "the daemon is let go of");
});
