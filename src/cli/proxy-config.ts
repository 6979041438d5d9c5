// The configuration that the flags of `sluice proxy` stand for.
import type { ConfigInput } from "../config/schema.ts";

const LOG_FORMATS = ["json", "combined", "common"] as const;
type LogFormat = (typeof LOG_FORMATS)[number];

export interface ProxyFlags {
  readonly from: string;
  readonly to: readonly string[];
  readonly hostHeader?: string;
  /** A format, or true for the default one. */
  readonly accessLog?: string | true;
  readonly workers?: string;
  /** `internal`, or the files of a certificate and its key with a comma between. */
  readonly tls?: string;
  readonly cache?: boolean;
  readonly compress?: boolean;
  /** An address, or `off`. */
  readonly admin?: string;
}

/** A flag's value that cannot be used. */
export class FlagError extends Error {}

/** `adminDefault` is where the admin API listens when the flags do not say; false for nowhere. Throws FlagError. */
export function proxyConfig(flags: ProxyFlags, adminDefault: string | false): ConfigInput {
  const admin = flags.admin === undefined ? adminDefault : flags.admin === "off" ? false : flags.admin;
  return {
    // A bare port is what everybody types first.
    listeners: [{ address: /^\d+$/.test(flags.from) ? `:${flags.from}` : flags.from, ...tlsOf(flags.tls) }],
    upstreams: {
      to: { servers: [...flags.to], ...(flags.hostHeader === undefined ? {} : { hostHeader: flags.hostHeader }) },
    },
    routes: [
      {
        name: "all",
        to: "to",
        ...(flags.cache === true ? { cache: true } : {}),
        ...(flags.compress === true ? { compress: true } : {}),
      },
    ],
    admin: admin === false ? false : { address: admin },
    log: { access: accessLog(flags.accessLog) },
    ...(flags.workers === undefined ? {} : { workers: workers(flags.workers) }),
  };
}

function tlsOf(flag: string | undefined): Pick<NonNullable<ConfigInput["listeners"]>[number], "tls"> {
  if (flag === undefined) return {};
  if (flag === "internal") return { tls: { internal: true } };
  const [cert, key, ...more] = flag.split(",");
  if (cert === undefined || cert === "" || key === undefined || key === "" || more.length > 0)
    throw new FlagError(`--tls ${flag}: write "internal", or the files CERT,KEY`);
  return { tls: { certificates: [{ cert, key }] } };
}

function accessLog(flag: string | true | undefined): false | { format: LogFormat } {
  if (flag === undefined) return false;
  const format = flag === true ? "json" : LOG_FORMATS.find((each) => each === flag);
  if (format === undefined) throw new FlagError(`--access-log ${flag}: the formats are ${LOG_FORMATS.join(", ")}`);
  return { format };
}

function workers(flag: string): "auto" | number {
  if (flag === "auto") return flag;
  if (!/^[1-9]\d{0,2}$/.test(flag))
    throw new FlagError(`--workers ${flag}: a number of threads or "auto" was expected`);
  return Number(flag);
}
