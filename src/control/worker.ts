// The entry of a worker thread: a data plane that does what the supervisor says.
import { parentPort, workerData } from "node:worker_threads";
import type { NameAnswer } from "../certificates/contexts.ts";
import type { Config } from "../config/schema.ts";
import { createLog } from "../observe/log.ts";
import { Metrics } from "../observe/metrics.ts";
import { startThreadMetrics } from "../observe/thread-metrics.ts";
import { type KeyAnswer, type KeyQuestion, NO_KEY_ANSWER } from "../pipeline/own-keys.ts";
import { setViaPseudonym } from "../pipeline/via.ts";
import { Board } from "../upstream/board.ts";
import { DataPlane, type Prepared } from "./data-plane.ts";
import { Questions } from "./questions.ts";
import { offerSluiceModule } from "./sluice-module.ts";
import { WorkerKeys } from "./worker-keys.ts";
import type { ConfigSource, FromWorker, ToWorker, WorkerData } from "./worker-messages.ts";

const STATE_EVERY_MS = 500;
/** For a supervisor that does not answer. */
const NO_CERTIFICATE: NameAnswer = { certificate: null, refusedMs: 1000 };

const { id, primary, via, level, board, secret, threads, cacheChanges, cacheDirectory } = workerData as WorkerData;
const post = (message: FromWorker): void => parentPort!.postMessage(message);

setViaPseudonym(via);
offerSluiceModule();
const ownLog = createLog(level);
const log = ownLog.with({ worker: id });
const metrics = new Metrics(post);
startThreadMetrics(metrics, String(id));
const questions = new Questions<[listener: string, name: string], NameAnswer>(
  NO_CERTIFICATE,
  (question, listener, name) => post({ kind: "want-certificate", question, listener, name }),
);
const tokens = new Questions<[token: string], string | null>(null, (question, token) =>
  post({ kind: "want-token", question, token }),
);
const keys = new WorkerKeys((question, message) => post({ kind: "key", question, message }));
const usage = new Questions<[who: "user" | "consumer", subject: string], readonly object[]>(
  [],
  (question, who, subject) => post({ kind: "want-usage", question, who, subject }),
);
const ownKeys = new Questions<[about: KeyQuestion], KeyAnswer>(NO_KEY_ANSWER, (question, about) =>
  post({ kind: "own-keys", question, about }),
);
const plane = new DataPlane({
  log,
  metrics,
  primary,
  board: new Board(board, id + 1),
  secret,
  threads,
  cacheChanges,
  peers: { memory: cacheDirectory, worker: id, send: (to, message) => post({ kind: "to-peer", to, message }) },
  ban: (ban) => post({ kind: "ban", ban }),
  handOver: (what) => post({ kind: "hand-over", what }),
  keys,
  event: (event) => post({ kind: "event", event }),
  ask: questions.ask,
  askToken: tokens.ask,
  usageOf: usage.ask,
  ownKeys: ownKeys.ask,
});
let prepared: Prepared | null = null;

// A plugin that forgets a promise must not take the connections of this worker along; an exception that nobody caught
// does, as nothing is known about the state it left.
process.on("unhandledRejection", (error) =>
  log.error("a promise was rejected and nobody looked", {
    error: error instanceof Error ? (error.stack ?? error.message) : String(error),
  }),
);

async function configOf(source: ConfigSource): Promise<Config> {
  if (source.kind === "config") return source.config;
  // Loaded only where it is needed: the schema and the parsers behind it are most of a thread's memory.
  const { loadConfig } = await import("../config/load.ts");
  const provide = () => ({ fragments: source.fragments, problems: [], rejected: [] });
  const { expandApis } = await import("../apis/expand.ts");
  return (await loadConfig(source.path, { provide, expand: expandApis })).config;
}

async function prepare({ source, ports, knowledge }: Extract<ToWorker, { kind: "prepare" }>): Promise<void> {
  try {
    const config = await configOf(source);
    prepared = plane.prepare(config, ports, knowledge);
    post({ kind: "prepared", ports: plane.ports(prepared) });
  } catch (error) {
    post({ kind: "failed", message: error instanceof Error ? error.message : String(error) });
  }
}

async function receive(message: ToWorker): Promise<void> {
  switch (message.kind) {
    case "prepare":
      return prepare(message);
    case "challenge":
      return plane.answers.set(message.change);
    case "certificates":
      return plane.setCertificates(message.update);
    case "certificate":
      return void questions.answered(message.question, message.answer);
    case "token":
      return void tokens.answered(message.question, message.response);
    case "claimed":
      return keys.claimed(message.question, message.claimed);
    case "usage":
      return void usage.answered(message.question, message.usage);
    case "own-keys-answer":
      return void ownKeys.answered(message.question, message.answer);
    case "memory":
      return plane.setMemory(message.name, message.memory);
    case "members":
      return plane.setMembers(message.upstream, message.membership);
    case "ping":
      return post({ kind: "pong" });
    case "commit":
      if (prepared !== null) {
        ownLog.setLevel(prepared.config.log.level);
        plane.commit(prepared);
      }
      prepared = null;
      return post({ kind: "committed" });
    case "discard":
      if (prepared !== null) plane.discard(prepared);
      prepared = null;
      return;
    case "from-peer":
      return plane.onPeer(message.from, message.message);
    case "purge":
      return post({ kind: "purged", question: message.question, count: await plane.purge(message.purge) });
    case "disk":
      return plane.setDisk(message.access);
    case "threads":
      return plane.setThreads(message.count);
    case "watched":
      return plane.setWatched(message.isWatched);
    case "reopen-logs":
      return plane.reopenLogs();
    case "drain":
      await plane.drain(message.ms);
      return post({ kind: "drained" });
  }
}

// Also when an exception ends the thread: what it has stored lies in memory of the process.
process.on("exit", () => plane.dropCache());
parentPort!.on("message", (message: ToWorker) => void receive(message));
setInterval(
  () =>
    post({
      kind: "state",
      connections: plane.connections,
      upstreams: plane.upstreamStatus(),
      cache: plane.cacheStatus(),
    }),
  STATE_EVERY_MS,
).unref();
