// The page at `/` of the admin listener: what the proxy is doing, for people.
import type { RouteState } from "../tagging/messages.ts";
import type { ProxyStatus, Readiness } from "./admin-backend.ts";
import type { ServerStatus, UpstreamStatus } from "./upstream-report.ts";

const escapeHtml = (text: string): string => text.replace(/[&<>"']/g, (char) => `&#${char.charCodeAt(0)};`);
const row = (cells: readonly (string | number)[], tag = "td"): string =>
  `<tr>${cells.map((cell) => `<${tag}>${escapeHtml(String(cell))}</${tag}>`).join("")}</tr>`;

const STYLE =
  "body{font:15px/1.5 system-ui,sans-serif;max-width:52rem;margin:2rem auto;padding:0 1rem;color:#1c1c1c;background:#fff}" +
  "table{border-collapse:collapse;margin:.5rem 0 1.5rem}th,td{text-align:left;padding:.2rem 1.2rem .2rem 0;border-bottom:1px solid #ddd}" +
  "@media(prefers-color-scheme:dark){body{color:#e4e4e4;background:#181818}th,td{border-color:#444}a{color:#8ab4ff}}";
const LINKS = ["/api/status", "/api/routes", "/api/upstreams", "/api/config", "/metrics", "/readyz"];

const SERVER_COLUMNS = ["Upstream", "Server", "Used", "Health", "State", "Weight", "In flight"];
/** More than anybody reads; the API has them all. */
const SERVERS_MAX = 500;

/** The page as HTML, without scripts. */
export function statusPage(
  status: ProxyStatus,
  readiness: Readiness,
  upstreams: readonly UpstreamStatus[],
  events: readonly RouteState[],
): string {
  const facts = [
    row(["Version", status.version]),
    row(["Process", status.pid]),
    row(["Started", status.startedAt]),
    row(["Configuration", status.configFile === "" ? "given on the command line" : status.configFile]),
    row(["Loaded", status.configLoadedAt]),
  ];
  const reasons = readiness.reasons.map((reason) => `<li>${escapeHtml(reason)}</li>`);
  const listeners = status.listeners.map(({ address, bound }) => row([address, bound]));
  const workers = status.workers.map(({ id, state, connections, restarts }) => row([id, state, connections, restarts]));
  const servers = upstreams.flatMap(({ name, servers }) => servers.map((server) => serverRow(name, server)));
  const more = servers.length - SERVERS_MAX;
  const heading = readiness.ready ? "ready" : status.state === "ready" ? "not ready" : status.state;
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Sluice: ${heading}</title><style>${STYLE}</style></head>
<body><h1>Sluice is ${heading}</h1>
${reasons.length === 0 ? "" : `<ul>${reasons.join("")}</ul>\n`}<table>${facts.join("")}</table>
<h2>Listeners</h2><table>${row(["Configured", "Listening on"], "th")}${listeners.join("")}</table>
<h2>Workers</h2><table>${row(["Worker", "State", "Connections", "Restarts"], "th")}${workers.join("")}</table>
<h2>Servers</h2><table>${row(SERVER_COLUMNS, "th")}${servers.slice(0, SERVERS_MAX).join("")}</table>
${more > 0 ? `<p>and ${more} more</p>\n` : ""}${queues(upstreams)}${eventsTable(events)}
<p>${LINKS.map((link) => `<a href="${link}">${link}</a>`).join(" · ")}</p></body></html>
`;
}

function serverRow(upstream: string, server: ServerStatus): string {
  const { id, health, ejectedFor, failing, mode, weight, backup, inFlight, usable } = server;
  const why = ejectedFor > 0 ? "left out" : failing ? "cannot be connected to" : health;
  return row([upstream, id, usable ? "yes" : "no", why, mode, `${weight}${backup ? ", backup" : ""}`, inFlight]);
}

/** Events of pages, by route and destination. */
function eventsTable(routes: readonly RouteState[]): string {
  if (routes.length === 0) return "";
  const rows = routes.flatMap(({ route, received, dropped, destinations }) => [
    row([route, `${received} received, ${dropped} dropped`, "", "", "", "", ""]),
    ...destinations.map(({ name, sent, waiting, ageMs, retried, dead, trouble }) =>
      row([name, sent, waiting, `${Math.round(ageMs / 1000)} s`, retried, dead, trouble]),
    ),
  ]);
  const columns = ["Destination", "Done", "Waiting", "Oldest", "Retried", "Dead", "Trouble"];
  return `<h2>Events of pages</h2><table>${row(columns, "th")}${rows.join("")}</table>\n`;
}

/** The upstreams where something holds requests up. */
function queues(upstreams: readonly UpstreamStatus[]): string {
  const held = upstreams.filter(({ queued, circuit }) => queued > 0 || circuit === "open" || circuit === "half-open");
  if (held.length === 0) return "";
  const rows = held.map(({ name, queued, circuit }) => row([name, queued, circuit]));
  return `<h2>Held up</h2><table>${row(["Upstream", "Waiting", "Circuit"], "th")}${rows.join("")}</table>\n`;
}
