// Runs cases of cache conformance against a proxy and a server on loopback.
import { field, type Message } from "../support/message.ts";
import { Peer } from "../support/peer.ts";
import { startProxy, type TestProxy } from "../support/proxy.ts";
import { RawBackend } from "../support/raw-backend.ts";
import type { Case, Fields, Step } from "./case.ts";

/** Longer than `max-age=1` lasts, dates being cut to seconds. */
const PAUSE_MS = 2100;
/** Cases that are under way at a time: they wait more than they work. */
const TOGETHER = 60;

/** The lines of some fields, with dates filled in. */
function linesOf(fields: Fields | undefined, now: number): string[] {
  if (fields === undefined || fields === "") return [];
  return fields
    .split(" | ")
    .map((line) => line.replace(/\{(-?\d+)\}/g, (_, seconds) => new Date(now + Number(seconds) * 1000).toUTCString()));
}

class Run {
  readonly #case: Case;
  readonly path: string;
  readonly #now = Math.floor(Date.now() / 1000) * 1000;
  /** What the server got, by step. */
  readonly #got = new Map<number, Message[]>();
  #seen = 0;

  constructor(of: Case, id: number) {
    this.#case = of;
    this.path = `/${of.route ?? "plain"}/${id}`;
  }

  // ——— the server

  async serve(got: Message, peer: Peer): Promise<void> {
    const at = Number(got.field("x-step"));
    const list = this.#got.get(at);
    if (list === undefined) this.#got.set(at, [got]);
    else list.push(got);
    this.#seen += 1;
    const step = this.#case.steps[at]!;
    for (const head of step.interim ?? []) peer.send(head);
    if (step.takes !== undefined) await Bun.sleep(step.takes * 1000);
    if (step.closes) peer.reset();
    else peer.send(this.#answer(step, got));
  }

  #answer(step: Step, got: Message): string {
    const isCondition = step.from === "etag" || step.from === "lm";
    const status = isCondition && hasCondition(got) ? 304 : (step.status ?? 200);
    const content = status === 304 || status === 204 ? "" : (step.content ?? this.path);
    const lines = [`HTTP/1.1 ${status} Test`, ...linesOf(step.answer, this.#now), `X-Count: ${this.#seen}`];
    if (status !== 304 && status !== 204 && !/^(content-length|transfer-encoding):/im.test(lines.join("\n")))
      lines.push(`Content-Length: ${content.length}`);
    return `${lines.join("\r\n")}\r\n\r\n${got.method === "HEAD" ? "" : content}`;
  }

  // ——— the client

  async run(proxy: TestProxy): Promise<string[]> {
    const problems: string[] = [];
    for (const [at, step] of this.#case.steps.entries()) {
      const { answer, interim } = await this.#ask(proxy, at, step);
      for (const problem of [...this.#check(at, step, answer), ...toldWrong(step, interim)])
        problems.push(`step ${at + 1}: ${problem}`);
      if (step.pause) await Bun.sleep(PAUSE_MS);
    }
    return problems;
  }

  async #ask(proxy: TestProxy, at: number, step: Step): Promise<{ answer: Message; interim: number[] }> {
    const { method = "GET", body = "" } = step;
    const lines = [`${method} ${this.path}${step.target ?? ""} HTTP/1.1`, "Host: app.example", `X-Step: ${at}`];
    lines.push("Connection: close", ...linesOf(step.fields, this.#now));
    if (body !== "") lines.push(`Content-Length: ${body.length}`);
    await using client = await Peer.connect(proxy.port);
    client.send(`${lines.join("\r\n")}\r\n\r\n${body}`);
    const interim: number[] = [];
    for (;;) {
      const answer = await client.response(method);
      if (answer.status >= 200) return { answer, interim };
      interim.push(answer.status);
    }
  }

  *#check(at: number, step: Step, answer: Message): Generator<string> {
    const got = this.#got.get(at)?.[0];
    if (step.from === "cached" && got !== undefined && !step.closes) yield "the server was asked";
    if (step.from !== undefined && step.from !== "cached" && got === undefined) yield "it came from the cache";
    if (step.from === "etag" && got?.field("if-none-match") === null) yield "asked without If-None-Match";
    if (step.from === "lm" && got?.field("if-modified-since") === null) yield "asked without If-Modified-Since";
    const status = step.gets ?? (step.from === "etag" || step.from === "lm" ? 200 : (step.status ?? 200));
    if (answer.status !== status) yield `status ${answer.status}, not ${status}`;
    if (step.text !== undefined && answer.body !== step.text) yield `content ${JSON.stringify(answer.body)}`;
    if (step.aged !== undefined && !(Number(answer.field("age")) >= step.aged)) yield `age ${answer.field("age")}`;
    for (const [name, value] of linesOf(step.has, this.#now).map(field)) {
      const found = answer.field(name.toLowerCase());
      if (found !== value) yield `${name} is ${found}, not ${value}`;
    }
    for (const name of step.lacks ?? []) if (answer.field(name) !== null) yield `${name} is ${answer.field(name)}`;
    for (const [name, value] of linesOf(step.sent, this.#now).map(field)) {
      const found = got?.field(name.toLowerCase()) ?? null;
      if (found !== value) yield `the server got ${name} ${found}, not ${value}`;
    }
    for (const name of step.unsent ?? []) if (got !== undefined && got.field(name) !== null) yield `it got ${name}`;
  }
}

const hasCondition = (got: Message): boolean =>
  got.field("if-none-match") !== null || got.field("if-modified-since") !== null;

function* toldWrong({ told }: Step, interim: readonly number[]): Generator<string> {
  if (told !== undefined && told.join() !== interim.join()) yield `interim answers ${interim.join()}`;
}

/** What is wrong about each case, in their order. */
export async function runCases(cases: readonly Case[]): Promise<string[][]> {
  const runs = cases.map((each, id) => new Run(each, id));
  const byPath = new Map(runs.map((run) => [run.path, run]));
  await using server = await RawBackend.start(async (peer) => {
    try {
      while (!peer.ended) {
        const got = await peer.request();
        const [, route, id] = got.target.split(/[/?]/);
        await byPath.get(`/${route}/${id}`)!.serve(got, peer);
      }
    } catch {
      peer.close(); // the proxy has no more questions
    }
  });
  const to = server.url;
  await using proxy = await startProxy({
    defaults: { limits: false },
    routes: [
      { match: { path: "/heuristic/*" }, cache: { heuristic: "10%" }, retry: false, to },
      { match: { path: "/cookies/*" }, cache: { setCookie: "store" }, retry: false, to },
      { match: { path: "/ttl/*" }, cache: { ttl: "1m" }, retry: false, to },
      { cache: true, retry: false, to },
    ],
  });
  const results: string[][] = [];
  let next = 0;
  const work = async (): Promise<void> => {
    while (next < runs.length) {
      const at = next;
      next += 1;
      results[at] = await runs[at]!.run(proxy).catch((error: Error) => [error.message]);
    }
  };
  await Promise.all(Array.from({ length: TOGETHER }, work));
  return results;
}
