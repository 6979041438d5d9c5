// One container as the daemon lists it, read as carefully as anything else that comes over a socket.
import { PROVIDED_NAME } from "../config/fragment.ts";
import { suggest } from "../config/suggest.ts";
import { parseIp } from "../core/ip.ts";
import { type LabelFault, type LabelRoute, readLabels, type Wishes } from "./docker-labels.ts";

const NAME_LENGTH_MAX = 128;
const SERVICE_LABEL = "com.docker.compose.service";
const PROJECT_LABEL = "com.docker.compose.project";
/** Containers in the host's network have its addresses. */
const HOST_NETWORK = "host";
const LOOPBACK = "127.0.0.1";

export interface Container {
  readonly name: string;
  readonly upstream: string;
  /** The Compose project whose service the upstream is named after; null when the name was chosen. */
  readonly project: string | null;
  /** `http://address:port` */
  readonly url: string;
  readonly weight: number;
  /** What its own health check says; one without is healthy. */
  readonly isHealthy: boolean;
  readonly healthPath: string | null;
  readonly routes: readonly LabelRoute[];
}

export interface ReadContainer {
  /** For messages. */
  readonly name: string;
  /** Null when it cannot be served. */
  readonly container: Container | null;
  readonly faults: readonly LabelFault[];
}

type Fields = Readonly<Record<string, unknown>>;

/** Reads an item of `GET /containers/json`; `network` is the one whose addresses are used, the first when null. */
export function readContainer(item: unknown, network: string | null): ReadContainer {
  const fields = fieldsOf(item);
  const name = nameOf(fields);
  const labels = textsOf(fields.Labels);
  const faults: LabelFault[] = [];
  const wishes = readLabels(labels, faults);
  const { upstream, project } = upstreamOf(name, labels, wishes, faults);
  const host = hostOf(fields, wishes.network ?? network, faults, wishes.network !== null);
  const port = portOf(fields, wishes, faults);
  const isFine = faults.every(({ severity }) => severity === "warning");
  if (!isFine || host === null || port === null) return { name, container: null, faults };
  const container = {
    name,
    upstream,
    project,
    url: `http://${host.includes(":") ? `[${host}]` : host}:${port}`,
    weight: wishes.weight,
    isHealthy: isHealthy(fields),
    healthPath: wishes.healthPath,
    routes: wishes.routes,
  };
  return { name, container, faults };
}

function fieldsOf(value: unknown): Fields {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Fields) : {};
}

function textsOf(value: unknown): Record<string, string> {
  return Object.fromEntries(
    Object.entries(fieldsOf(value)).filter((entry): entry is [string, string] => typeof entry[1] === "string"),
  );
}

/** Links of other containers are names as well: `/other/alias`. */
function nameOf(fields: Fields): string {
  const names = Array.isArray(fields.Names) ? (fields.Names as unknown[]) : [];
  const own = names.find((name) => typeof name === "string" && /^\/?[^/]+$/.test(name));
  const text = String(own ?? String(fields.Id ?? "").slice(0, 12)).replace(/^\//, "");
  return text.replace(/[^\x21-\x7e]/g, "?").slice(0, NAME_LENGTH_MAX) || "?";
}

function upstreamOf(
  name: string,
  labels: Readonly<Record<string, string>>,
  { upstream }: Wishes,
  faults: LabelFault[],
): { upstream: string; project: string | null } {
  if (upstream !== null) return { upstream, project: null };
  const service = labels[SERVICE_LABEL];
  const text = service ?? name;
  if (!PROVIDED_NAME.test(text))
    faults.push({
      severity: "error",
      label: service === undefined ? null : SERVICE_LABEL,
      message: `"${text.slice(0, NAME_LENGTH_MAX)}" is not a name for an upstream`,
      hint: "give it one with the label sluice.upstream",
    });
  return { upstream: text, project: service === undefined ? null : (labels[PROJECT_LABEL] ?? "") };
}

function hostOf(fields: Fields, wanted: string | null, faults: LabelFault[], isLabel: boolean): string | null {
  const networks = fieldsOf(fieldsOf(fields.NetworkSettings).Networks);
  const names = Object.keys(networks);
  const isHost = fieldsOf(fields.HostConfig).NetworkMode === HOST_NETWORK || names.includes(HOST_NETWORK);
  if (isHost) return LOOPBACK;
  const label = isLabel ? "sluice.network" : null;
  if (wanted !== null && !names.includes(wanted)) {
    const near = suggest(wanted, names);
    const hint = near === null ? `its networks: ${names.slice(0, 10).join(", ") || "none"}` : `did you mean "${near}"?`;
    faults.push({ severity: "error", label, message: `it is not in the network "${wanted}"`, hint });
    return null;
  }
  for (const name of wanted === null ? names : [wanted]) {
    const { IPAddress: v4, GlobalIPv6Address: v6 } = fieldsOf(networks[name]);
    for (const text of [v4, v6]) if (typeof text === "string" && parseIp(text) !== null) return text;
  }
  const where = wanted === null ? "" : ` in the network "${wanted}"`;
  faults.push({ severity: "warning", label, message: `it has no address${where}`, hint: "connect it to a network" });
  return null;
}

function portOf(fields: Fields, { port }: Wishes, faults: LabelFault[]): number | null {
  if (port !== null) return port;
  const ports = Array.isArray(fields.Ports) ? (fields.Ports as unknown[]) : [];
  const exposed = new Set<number>();
  for (const one of ports) {
    const { Type: type, PrivatePort: number } = fieldsOf(one);
    if (type === "tcp" && Number.isInteger(number) && (number as number) > 0 && (number as number) <= 65_535)
      exposed.add(number as number);
  }
  const [only] = exposed;
  if (exposed.size === 1) return only!;
  // With a port that is wrong this would be told twice.
  if (faults.some(({ label }) => label === "sluice.port")) return null;
  const shown = [...exposed].sort((a, b) => a - b).slice(0, 10);
  const message = exposed.size === 0 ? "it exposes no TCP port" : `it exposes several TCP ports: ${shown.join(", ")}`;
  faults.push({ severity: "warning", label: null, message, hint: "choose one with the label sluice.port" });
  return null;
}

/** Newer daemons have a field for it, all have words: `Up 5 minutes (unhealthy)`. */
function isHealthy(fields: Fields): boolean {
  const status = fieldsOf(fields.Health).Status;
  if (typeof status === "string" && status !== "") return status !== "unhealthy";
  return !/\(unhealthy\)\s*$/.test(String(fields.Status ?? ""));
}
