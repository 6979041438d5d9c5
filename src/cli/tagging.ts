// `sluice tagging`: how events of pages fare in a running proxy, events as they come, and dead letters sent once more.
import type { Command } from "commander";
import type { Replayed } from "../tagging/dispatch.ts";
import type { RouteState } from "../tagging/messages.ts";
import type { Step } from "../tagging/trail.ts";
import { type AdminFlags, ask, follow, withAdminFlags } from "./admin-options.ts";

interface Shown {
  readonly time: string;
  readonly route: string;
  readonly event: { readonly id: string; readonly name: string; readonly url: string };
}

interface Traced {
  readonly ways: readonly { readonly route: string; readonly steps: readonly (Omit<Step, "at"> & { at: string })[] }[];
}

export function register(program: Command): void {
  const tagging = program.command("tagging").description("events of pages on their way to those who get them");
  withAdminFlags(tagging.command("status").description("say how events fare, by route and destination")).action(
    (flags: AdminFlags) =>
      ask(flags, "GET", "/api/tagging", ({ body }) =>
        console.log(stateText((body as { routes: RouteState[] }).routes)),
      ),
  );
  withAdminFlags(tagging.command("tail").description("show events as they are written down, up to 20 a second")).action(
    (flags: AdminFlags) =>
      follow(flags, "/api/events?kinds=tagging", (data) =>
        console.log(flags.json ? data : shownText(JSON.parse(data) as Shown)),
      ),
  );
  withAdminFlags(
    tagging
      .command("trace")
      .description("say what became of one of the last events")
      .argument("<id>", "the event's id, as `tail` shows it"),
  ).action((id: string, flags: AdminFlags) =>
    ask(flags, "GET", `/api/tagging/trace?id=${encodeURIComponent(id)}`, ({ body }) =>
      console.log(wayText(body as Traced)),
    ),
  );
  withAdminFlags(
    tagging
      .command("replay")
      .description("send what a destination has refused for good once more")
      .argument("<route>", "the route")
      .argument("<destination>", "the destination"),
  ).action((route: string, destination: string, flags: AdminFlags) =>
    ask(
      flags,
      "POST",
      "/api/tagging/replay",
      ({ body }) => {
        const { sent, left } = body as Replayed;
        console.log(`${sent} sent; ${left} left`);
      },
      { route, destination },
    ),
  );
}

function stateText(routes: readonly RouteState[]): string {
  if (routes.length === 0) return "no route has `tagging`";
  return routes
    .flatMap(({ route, received, dropped, bytes, destinations }) => [
      `${route}: ${received} received, ${dropped} dropped, ${bytes} bytes wait`,
      ...destinations.map(
        ({ name, sent, waiting, ageMs, retried, dead, latency, trouble }) =>
          `  ${name}: ${sent} done, ${waiting} waiting${waiting === 0 ? "" : ` for ${Math.round(ageMs / 1000)} s`}, ` +
          `${retried} retried, ${dead} dead, last batch ${latency} ms${trouble === "" ? "" : `; ${trouble}`}`,
      ),
    ])
    .join("\n");
}

const shownText = ({ time, route, event: { id, name, url } }: Shown): string => `${time} ${route} ${id} ${name} ${url}`;

const wayText = ({ ways }: Traced): string =>
  ways
    .flatMap(({ route, steps }) => [
      `${route}:`,
      ...steps.map(({ at, what, destination, why, times }) =>
        [`  ${at} ${what}`, destination, why, times === undefined ? "" : `${times} times`].filter(Boolean).join(" "),
      ),
    ])
    .join("\n");
