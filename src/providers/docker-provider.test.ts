import { afterEach, beforeEach, expect, test } from "bun:test";
import type { ServerResponse } from "node:http";
import { until } from "../../test/support/wait.ts";
import { createLog } from "../observe/log.ts";
import { containerJson, DockerDaemon } from "./docker-daemon.testing.ts";
import { DockerProvider, type DockerTimes } from "./docker-provider.ts";

/** Nothing happens by itself within a test, but for retries at once. */
const LONG = 3_600_000;
const TIMES: DockerTimes = {
  quietMs: 5,
  burstMs: 50,
  pollMs: LONG,
  retryMs: 10,
  retryMaxMs: 20,
  holdMs: LONG,
  startMs: LONG,
};

let daemon: DockerDaemon;
let provider: DockerProvider | null = null;
let told = 0;
let lines = "";

beforeEach(async () => {
  daemon = new DockerDaemon();
  await daemon.start();
  told = 0;
  lines = "";
});
afterEach(async () => {
  provider?.stop();
  provider = null;
  await daemon[Symbol.asyncDispose]();
});

async function begin(times: Partial<DockerTimes> = {}): Promise<DockerProvider> {
  const log = createLog("info", { write: (line) => (lines += line) });
  provider = new DockerProvider({
    socket: daemon.socket,
    network: null,
    log,
    changed: () => (told += 1),
    random: () => 1,
    times: { ...TIMES, ...times },
  });
  await provider.started();
  return provider;
}

/** `name: servers` of each upstream. */
const shown = (): string =>
  (provider?.fragments ?? [])
    .flatMap(({ upstreams }) => Object.entries(upstreams as Record<string, { servers: unknown[] }>))
    .map(([name, { servers }]) => `${name}: ${servers.join(" ")}`)
    .join("; ");
const showing = (want: string): Promise<void> => until(() => shown() === want, `${want}, not ${shown()}`);
const following = (): Promise<void> => until(() => daemon.followers === 1, "the events are followed");

const web = (name: string, last: number, more: object = {}) => ({
  name,
  networks: { b: `10.0.0.${last}` },
  labels: { "sluice.upstream": "web", "sluice.host": "a.example" },
  ...more,
});
const ONE = "web: http://10.0.0.1:8080";
const TWO = "web: http://10.0.0.1:8080 http://10.0.0.2:8080";

test("knows the containers that run when it starts, and asks for no others", async () => {
  daemon.containers = [containerJson(web("web-1", 1))];
  await begin();
  expect(shown()).toBe(ONE);
  await following();
  const [list, events] = ["/containers/json", "/events"].map((path) =>
    JSON.parse(daemon.requests.find((target) => target.startsWith(path))!.split("filters=")[1]!),
  );
  expect(list).toEqual({ label: ["sluice.enable=true"], status: ["running"] });
  expect(events).toMatchObject({ type: ["container"], label: ["sluice.enable=true"] });
  expect(events.event).toContain("health_status");
});

test("follows containers that start, fail their checks, and stop", async () => {
  daemon.containers = [containerJson(web("web-1", 1))];
  await begin();
  await following();
  daemon.become([web("web-1", 1), web("web-2", 2)]);
  await showing(TWO);
  daemon.become([web("web-1", 1), web("web-2", 2, { status: "Up 1 minute (unhealthy)" })], "health_status: unhealthy");
  await showing(ONE);
  daemon.become([web("web-1", 1), web("web-2", 2, { status: "Up 2 minutes (healthy)" })], "health_status: healthy");
  await showing(TWO);
  daemon.become([web("web-2", 2)], "die");
  await showing("web: http://10.0.0.2:8080");
  expect(lines).toBe("");
});

test("events that change nothing are not told, and bursts are one list", async () => {
  daemon.containers = [containerJson(web("web-1", 1))];
  await begin({ burstMs: LONG, quietMs: 50 });
  await following();
  await until(() => daemon.lists === 2, "the list behind the connect");
  const before = told;
  for (let count = 0; count < 100; count += 1) daemon.tell("update");
  await until(() => daemon.lists === 3, "one more list");
  daemon.become([web("web-2", 2)]);
  await showing("web: http://10.0.0.2:8080");
  expect(daemon.lists).toBe(4);
  expect(told).toBe(before + 1);
});

test("a stream of events that never pauses does not put the list off for ever", async () => {
  await begin({ quietMs: 1000, burstMs: 20 });
  await following();
  const timer = setInterval(() => daemon.tell("update"), 5);
  daemon.become([web("web-1", 1)]);
  await showing(ONE);
  clearInterval(timer);
});

test("the routes of an upstream whose last container has gone answer 503 for a while", async () => {
  daemon.containers = [containerJson(web("web-1", 1))];
  const { fragments } = await begin({ holdMs: 100 });
  const [{ routes } = { routes: [] }] = fragments;
  await following();
  daemon.become([], "die");
  await showing("web: ");
  expect(provider?.fragments[0]?.routes).toEqual(routes);
  daemon.become([web("web-2", 2)]);
  await showing("web: http://10.0.0.2:8080");
  daemon.become([], "die");
  await showing("");
});

test("keeps what it knows while the daemon is restarted, and goes on then", async () => {
  daemon.containers = [containerJson(web("web-1", 1))];
  await begin();
  await following();
  await daemon.stop();
  await until(() => lines.includes("Docker cannot be asked"), "a warning");
  expect(shown()).toBe(ONE);
  daemon.containers = [containerJson(web("web-1", 1)), containerJson(web("web-2", 2))];
  await daemon.start();
  await showing(TWO);
  await following();
  daemon.become([web("web-2", 2)]);
  await showing("web: http://10.0.0.2:8080");
  await until(() => lines.includes("Docker can be asked again"), "the all-clear");
});

test("starts without a daemon, and finds it later", async () => {
  await daemon.stop();
  await begin();
  expect(shown()).toBe("");
  expect(lines).toMatch(/reason="(there is no such socket|nobody listens on the socket)"/);
  daemon.containers = [containerJson(web("web-1", 1))];
  await daemon.start();
  await showing(ONE);
});

test("a daemon that is slow holds the start up for a bounded time", async () => {
  let answer = (): void => {};
  daemon.list = (response) => {
    answer = () => response.end(JSON.stringify([containerJson(web("web-1", 1))]));
  };
  await begin({ startMs: 30 });
  expect(lines).toContain('reason="the daemon has not answered yet"');
  expect(shown()).toBe("");
  answer();
  await showing(ONE);
});

const ANSWERS: readonly (readonly [name: string, answer: (response: ServerResponse) => void, reason: string])[] = [
  ["an error", (response) => response.writeHead(500).end('{"message":"boom"}'), "the daemon answers 500: boom"],
  ["a proxy's refusal", (response) => response.writeHead(403).end("Forbidden"), "the daemon answers 403: Forbidden"],
  ["no JSON", (response) => response.end("[{"), "JSON"],
  ["no list", (response) => response.end('{"a":1}'), "the answer is not a list of containers"],
  [
    "half an answer",
    (response) => response.writeHead(200, { "content-length": "9" }).write("[") && response.destroy(),
    "",
  ],
  ["more than 10 MB", flood, "the answer is larger than 10 MB"],
];

function flood(response: ServerResponse): void {
  const piece = Buffer.alloc(1024 * 1024, " ");
  const more = (): void => {
    while (!response.destroyed && response.write(piece));
  };
  response.on("drain", more);
  more();
}

for (const [name, answer, reason] of ANSWERS) {
  test(`keeps what it knows when the daemon gives ${name}`, async () => {
    daemon.containers = [containerJson(web("web-1", 1))];
    await begin();
    await following();
    daemon.list = answer;
    daemon.tell("start");
    await until(() => lines.includes(reason) && lines.includes("Docker cannot be asked"), reason);
    expect(shown()).toBe(ONE);
    daemon.list = null;
    daemon.become([web("web-2", 2)]);
    await showing("web: http://10.0.0.2:8080");
  });
}

test("takes ten thousand containers, and says that there are more", async () => {
  const item = JSON.stringify(containerJson({ name: "web", ports: [8080] }));
  const short = JSON.parse(item) as Record<string, unknown>;
  daemon.containers = Array.from({ length: 10_001 }, (_, at) => {
    const networks = { b: { IPAddress: `10.0.${at >> 8}.${at & 255}` } };
    return {
      Names: [`/w${at}`],
      Labels: { "sluice.enable": "true" },
      Ports: short.Ports,
      NetworkSettings: { Networks: networks },
    };
  });
  const { fragments } = await begin();
  expect(fragments).toHaveLength(10_000);
  expect(lines).toContain("there are too many containers");
}, 20_000);

test("a poll finds what no event told", async () => {
  await begin({ pollMs: 20 });
  await following();
  daemon.containers = [containerJson(web("web-1", 1))];
  await showing(ONE);
});

test("bad labels are told at their container, and the others serve", async () => {
  daemon.containers = [
    containerJson(web("web-1", 1)),
    containerJson(web("web-2", 2, { labels: { "sluice.upstream": "web", "sluice.port": "x" } })),
  ];
  await begin();
  expect(shown()).toBe(ONE);
  expect(provider?.diagnostics.map(({ file }) => file)).toEqual(["docker: container web-2, label sluice.port"]);
});

test("lets go of the daemon at the end", async () => {
  await begin();
  await following();
  provider?.stop();
  await until(() => daemon.followers === 0, "the stream has ended");
  expect(lines).toBe("");
});
