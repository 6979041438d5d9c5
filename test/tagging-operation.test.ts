// Events of pages through the real program, as operators see them: vendors that are away, a kill in between, the queue,
// the way of one event, and dead letters.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { Folder, runConfig, SluiceProcess, sluice } from "./support/sluice.ts";
import { TaggingLoad } from "./support/tagging-load.ts";
import { TaggingVendor, taggingRoute } from "./support/tagging-vendor.ts";
import { until } from "./support/wait.ts";

const BROWSER = "Mozilla/5.0 (X11; Linux x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36";
const GRANTED = { analytics: true, ads: true, adUserData: true, adPersonalization: true };
const FLUSH_MS = 50;

let folder: Folder;
let vendor: TaggingVendor;
let proxy: SluiceProcess;
const configOf = (port: number): Record<string, unknown> => ({
  admin: { address: "127.0.0.1:0" },
  listeners: [{ address: `127.0.0.1:${port}` }],
  workers: 1,
  shutdown: { drain: "20ms" },
  storage: folder.path,
  routes: [
    taggingRoute({
      ga: { ga4: { measurementId: "G-ABC123", apiSecret: "secret", url: vendor.url }, linger: "20ms", except: ["x"] },
      meta: { meta: { pixelId: "1234", accessToken: "secret", url: vendor.url }, linger: "20ms" },
      hook: { webhook: { url: `${vendor.url}/hook` }, linger: "20ms" },
      lines: { file: { path: join(folder.path, "events.ndjson") }, linger: "20ms" },
    }),
    {
      ...taggingRoute(
        { away: { webhook: { url: `${vendor.url}/away` } } },
        { queue: { size: "2KB", whenFull: "newest" } },
      ),
      name: "small",
      match: { path: "/s/*" },
    },
  ],
});

beforeAll(async () => {
  folder = new Folder();
  vendor = new TaggingVendor();
  proxy = await runConfig(folder, configOf(0));
});
afterAll(async () => {
  await proxy[Symbol.asyncDispose]();
  vendor[Symbol.dispose]();
  folder[Symbol.dispose]();
});

interface State {
  readonly received: number;
  readonly bytes: number;
  readonly destinations: readonly { name: string; waiting: number; retried: number; dead: number; trouble: string }[];
}
const stateOf = async (): Promise<State> =>
  ((await proxy.admin("GET", "/api/tagging")).body as { routes: State[] }).routes[0]!;
const send = (body: object, path = "/t/collect"): Promise<Response> =>
  fetch(`http://127.0.0.1:${proxy.port()}${path}`, {
    method: "POST",
    headers: { "user-agent": BROWSER, connection: "close" },
    body: JSON.stringify({ consent: GRANTED, ...body }),
  });
const cli = (...args: string[]): ReturnType<typeof sluice> =>
  sluice(["tagging", ...args, "--admin", proxy.adminUrl.slice("http://".length)]);

describe("the way of events", () => {
  test("one that some destinations do not get", async () => {
    expect((await send({ id: "one", name: "x", consent: { analytics: true } })).status).toBe(204);
    await until(() => vendor.at("/hook").has("one"), "the event at the webhook");
    await until(async () => (await stateOf()).destinations.every(({ waiting }) => waiting === 0), "all to be done");
    const { body } = await proxy.admin("GET", "/api/tagging/trace?id=one");
    const { ways } = body as { ways: { route: string; steps: Record<string, string>[]; event: { name: string } }[] };
    expect(ways).toMatchObject([{ route: "t", event: { name: "x" } }]);
    const steps = ways[0]!.steps.map(({ what, destination, why }) =>
      [what, destination, why].filter(Boolean).join(" "),
    );
    expect(steps.slice(0, 3)).toEqual(["received", "refined", "written"]);
    expect(steps.slice(3).sort()).toEqual(["sent hook", "sent lines", "unwanted ga filter", "unwanted meta consent"]);
    const { out } = await cli("trace", "one");
    expect(out).toMatch(/^t:\n {2}\d{4}-\S+ received\n(.*\n)*.* unwanted ga filter\n/);
    expect(await proxy.admin("GET", "/api/tagging/trace?id=another")).toMatchObject({ status: 404 });
  });

  test("events are shown as they come, and what is done", async () => {
    const watching = await fetch(`${proxy.adminUrl}/api/events?kinds=tagging`);
    const reader = watching.body!.getReader();
    const decoder = new TextDecoder();
    let seen = "";
    await send({ id: "two", name: "seen", params: { mail: "ann@example.com" } });
    while (!/event: tagging\ndata: .*\n\n/.test(seen))
      seen += decoder.decode((await reader.read()).value, { stream: true });
    await reader.cancel();
    expect(seen).toMatch(/event: tagging\ndata: \{"time":"\S+","route":"t","event":\{"id":"two","name":"seen"/);
    expect(seen).not.toContain("ann@");
    expect((await proxy.admin("GET", "/")).body).toMatch(/Events of pages.*<td>t<.*<td>hook<\/td><td>\d/);
    await proxy.counted('sluice_tagging_received_total{route="t"}', 2);
    expect((await cli("status")).out).toMatch(/^t: 2 received, 0 dropped, \d+ bytes wait\n {2}ga: 2 done, 0 waiting, /);
  });

  test("`/healthy` and what is wrong", async () => {
    const asked = await fetch(`http://127.0.0.1:${proxy.port()}/t/healthy`);
    expect([asked.status, await asked.text()]).toEqual([200, "ok"]);
    const replay = (body: object): Promise<Response> =>
      fetch(`${proxy.adminUrl}/api/tagging/replay`, {
        method: "POST",
        headers: { "content-type": "application/json", connection: "close" },
        body: JSON.stringify(body),
      });
    for (const [body, status, text] of [
      [{ route: "t", destination: "nowhere" }, 404, 'there is no destination named \\"nowhere\\"'],
      [{ route: "nowhere", destination: "ga" }, 404, 'no route with `tagging` named \\"nowhere\\"'],
      [{ route: "t" }, 422, "what is to be sent once more"],
    ] as const) {
      const answer = await replay(body);
      expect([answer.status, await answer.text()]).toEqual([status, expect.stringContaining(text)]);
    }
    expect((await proxy.admin("GET", "/api/tagging/trace")).status).toBe(400);
  });

  test("a queue without room drops, and says so", async () => {
    const port = proxy.port();
    const health = async (): Promise<string> => {
      const answer = await fetch(`http://127.0.0.1:${port}/s/healthy`, { headers: { connection: "close" } });
      return `${answer.status} ${await answer.text()}`;
    };
    expect(await health()).toBe("200 ok");
    const sent = Array.from({ length: 10 }, async (_, at) => {
      await Bun.sleep(at * 60); // a flush each: what finds no room is dropped with all of its flush
      return (await send({ name: "e", title: "x".repeat(500) }, "/s/collect")).status;
    });
    await until(async () => (await health()) === "503 events cannot be kept: full", "a word of it");
    expect(await Promise.all(sent)).toEqual(Array.from({ length: 10 }, () => 204));
    expect(proxy.err).toMatch(/warn .*events are dropped, as there is no room for them route=small dropped=\d/);
    await until(async () => (await health()) === "200 ok", "all to be well again");
  });

  test("what a vendor refuses for good is kept, and sent again when it is told to", async () => {
    vendor.status = 400;
    await send({ id: "three", name: "refused" });
    await until(async () => (await stateOf()).destinations.slice(0, 3).every(({ dead }) => dead === 1), "dead letters");
    vendor.status = 200;
    expect((await cli("replay", "t", "hook")).out).toBe("1 sent; 0 left\n");
    expect(vendor.at("/hook").get("three")?.count).toBe(1);
    expect((await stateOf()).destinations.map(({ dead }) => dead)).toEqual([1, 1, 0, 0]);
    const { body } = await proxy.admin("GET", "/api/tagging/trace?id=three");
    expect(JSON.stringify(body)).toContain('"what":"dead","destination":"hook","why":"status 400"');
  });
});

test("vendors away, a kill in between: what was accepted arrives, with its id and time", async () => {
  vendor.status = 503;
  const port = proxy.port();
  const load = new TaggingLoad("outage", 16, 50);
  await load.run(() => port, 1000, 500);
  const sure = load.accepted.length;
  await Bun.sleep(FLUSH_MS * 4); // what was accepted so far is on the disk by then
  const killed = load.run(() => port, 1000, 400);
  await Bun.sleep(200);
  const atKill = load.accepted.length;
  proxy.signal("SIGKILL");
  await proxy.exited;
  proxy = await SluiceProcess.start(["run", "-c", folder.write("again.json", configOf(port))]);
  await killed;
  await load.run(() => port, 1000, 200);
  load.end();
  expect((await stateOf()).bytes).toBeGreaterThan(0);
  vendor.status = 200;
  const isThere = (id: string): boolean =>
    ["/hook", "/mp/collect", "/1234/events"].every((at) => vendor.at(at).has(id));
  const last = load.accepted.at(-1)!;
  await until(() => isThere(last), "the last event");
  await until(async () => (await stateOf()).destinations.every(({ waiting }) => waiting === 0), "all to be done");
  expect(load.refused).toBe(0);
  expect(load.accepted.slice(0, sure).filter((id) => !isThere(id))).toEqual([]);
  const lost = load.accepted.filter((id) => !isThere(id));
  // What the flush had not taken yet, and what was on its way to it.
  expect(lost.length).toBeLessThanOrEqual(((FLUSH_MS * 3) / 1000) * 1000);
  expect(lost.every((id) => load.accepted.indexOf(id) < atKill + 16)).toBe(true);
  for (const id of load.accepted) {
    if (lost.includes(id)) continue;
    expect(vendor.at("/hook").get(id)?.time).toBe(load.times.get(id)!);
    expect(vendor.at("/mp/collect").get(id)?.time).toBe(load.times.get(id)!);
  }
  const lines = readFileSync(join(folder.path, "events.ndjson"), "utf8").trim().split("\n");
  expect(new Set(lines.map((line) => (JSON.parse(line) as { id: string }).id)).size).toBeGreaterThanOrEqual(
    load.accepted.length - lost.length,
  );
}, 20_000);
