// Makes a route's dispatch of its configuration: the refinery, and a sender for each destination.
import { createHmac } from "node:crypto";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import type { DestinationConfig, PrivacyConfig, TaggingConfig } from "../config/schema-tagging.ts";
import { type Consent, DENIED, forAll, type Purpose } from "../engines/tagging/consent/consent.ts";
import type { Finder } from "../engines/tagging/privacy/scrub.ts";
import { Scrubber } from "../engines/tagging/privacy/scrub.ts";
import { Selection } from "../engines/tagging/selection.ts";
import type { DeliveryClock, Sender } from "./delivery.ts";
import { Dispatch, type DispatchOptions } from "./dispatch.ts";
import type { RouteSetup } from "./messages.ts";
import { Refinery, type SaltNow } from "./refine.ts";
import { Salts } from "./salts.ts";
import { BucketSender, FileSender, HttpSender, type OnUnwanted, type SenderSettings } from "./senders.ts";
import { type Format, ga4, meta, webhook } from "./sending.ts";
import { Trail } from "./trail.ts";

export interface AssembleOptions {
  readonly clock: DeliveryClock;
  readonly find: Finder;
  readonly onUnwanted: OnUnwanted;
  readonly onTrouble: DispatchOptions["onTrouble"];
  readonly onEvent: DispatchOptions["onEvent"];
}

/** Throws an Error in plain words when the folder cannot be used. */
export function assemble({ folder, config }: RouteSetup, options: AssembleOptions): Dispatch {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const { queue, consent, privacy, destinations } = config;
  const trail = new Trail();
  const onUnwanted: OnUnwanted = (name, why, seq) => {
    trail.unwanted(name, seq, why, options.clock.now());
    options.onUnwanted(name, why, seq);
  };
  return new Dispatch({
    queue: { path: join(folder, "events.db"), bytesMax: queue.size, whenFull: queue.whenFull, sync: queue.sync },
    refinery: refineryOf(privacy, options.find, saltOf(privacy, folder, options.clock)),
    senders: Object.entries(destinations).map(([name, each]) => senderOf(name, each, onUnwanted)),
    clock: options.clock,
    flushMs: queue.flush,
    waitMs: consent.wait,
    byDefault: defaultOf(consent.default),
    onTrouble: options.onTrouble,
    onEvent: options.onEvent,
    trail,
  });
}

const defaultOf = (choices: TaggingConfig["consent"]["default"]): Consent =>
  choices === "denied" ? DENIED : choices === "granted" ? forAll("granted") : choices;

function refineryOf(privacy: PrivacyConfig, find: Finder, salt: SaltNow): Refinery {
  const parameters = new Set(privacy.parameters.map((name) => name.toLowerCase()));
  const { ip, userAgent, referrer, clickIds, campaigns, replacement } = privacy;
  const scrubber = new Scrubber({ find, replacement, names: parameters });
  return new Refinery({ ip, userAgent, referrer, clickIds, campaigns, parameters, replacement }, scrubber, salt);
}

function saltOf({ ids, secret }: PrivacyConfig, folder: string, clock: DeliveryClock): SaltNow {
  if (ids === "keep") return () => null;
  if (ids === "hash") {
    const lasting = createHmac("sha256", secret ?? "")
      .update("ids")
      .digest();
    return () => lasting;
  }
  const salts = new Salts(join(folder, "salt"), ids);
  return () => salts.at(clock.now());
}

/** What each kind needs to have been agreed to, unless the configuration says otherwise. */
const PURPOSES: Readonly<Record<"ga4" | "meta" | "webhook" | "file" | "s3", readonly Purpose[]>> = {
  ga4: ["analytics"],
  meta: ["ads", "adUserData"],
  webhook: ["analytics"],
  file: ["analytics"],
  s3: ["analytics"],
};

/** Files take as much at a time as memory bears, objects in buckets should not be small. */
const FILE_BATCH = 1000;
const BUCKET_BATCH = 10_000;

function senderOf(name: string, config: DestinationConfig, onUnwanted: OnUnwanted): Sender {
  const kind =
    "ga4" in config
      ? "ga4"
      : "meta" in config
        ? "meta"
        : "webhook" in config
          ? "webhook"
          : "file" in config
            ? "file"
            : "s3";
  const { purposes = PURPOSES[kind], events, except, sample, rename, params } = config;
  const selection = new Selection({ purposes, only: events, except, sample, rename, params });
  const settings = (batch: number, parallel: number): SenderSettings => ({
    name,
    batch: config.batch ?? batch,
    parallel: config.parallel ?? parallel,
    lingerMs: config.linger,
    timeoutMs: config.timeout,
  });
  // Two batches at once would mix their lines.
  if ("file" in config) return new FileSender(settings(FILE_BATCH, 1), config.file.path, selection, onUnwanted);
  if ("s3" in config) return new BucketSender(settings(BUCKET_BATCH, 1), config.s3, selection, onUnwanted);
  const format = formatOf(config);
  return new HttpSender(settings(format.batch, format.parallel), format, selection, onUnwanted);
}

function formatOf(config: Exclude<DestinationConfig, { file: unknown } | { s3: unknown }>): Format {
  if ("ga4" in config) return ga4(config.ga4);
  return "meta" in config ? meta(config.meta) : webhook(config.webhook);
}
