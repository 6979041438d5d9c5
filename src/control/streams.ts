// What becomes of connections and sessions of layer 4: where they go, and how they are counted and logged.

import { type Fault, specOf } from "../core/faults.ts";
import type { AccessLog } from "../observe/access-log.ts";
import type { Metrics } from "../observe/metrics.ts";
import type { TcpRecord } from "../server/tcp-session.ts";
import type { UdpDrop, UdpRecord } from "../server/udp-proxy.ts";
import type { FindUpstream } from "./stream-target.ts";

/** The part of a thread that layer 4 needs. */
export interface Streams {
  readonly find: FindUpstream;
  /** A connection or session is over. */
  tcpClosed(record: TcpRecord): void;
  udpClosed(record: UdpRecord): void;
  udpSessions(listener: string, change: 1 | -1): void;
  udpDropped(listener: string, why: UdpDrop): void;
}

/** Counts by `metrics`, and writes to whatever access log is in use at the time. */
export function streamsOf(find: FindUpstream, metrics: Metrics, accessLog: () => AccessLog): Streams {
  const { page } = metrics;
  const over = (protocol: "tcp" | "udp", record: TcpRecord | UdpRecord, upstreamMs: number): void => {
    const { listener, upstream, bytesIn, bytesOut, fault } = record;
    page.cell("sluice_stream_sessions_total", [listener, upstream, resultOf(fault)]).add(1);
    page.cell("sluice_stream_bytes_total", [listener, "in"]).add(bytesIn);
    page.cell("sluice_stream_bytes_total", [listener, "out"]).add(bytesOut);
    const log = accessLog();
    if (!log.enabled) return;
    const { client: ip, server, durationMs } = record;
    log.recordSession({
      protocol,
      ip,
      bytesIn,
      bytesOut,
      durationMs,
      upstreamMs,
      upstream,
      server,
      listener,
      fault: fault?.code ?? "",
    });
  };
  return {
    find,
    tcpClosed: (record) => over("tcp", record, record.connectMs),
    udpClosed: (record) => over("udp", record, -1),
    udpSessions: (listener, change) => page.cell("sluice_udp_sessions", [listener]).add(change),
    udpDropped: (listener, why) => page.cell("sluice_udp_datagrams_dropped_total", [listener, why]).add(1),
  };
}

const resultOf = (fault: Fault | null): string => (fault === null ? "ok" : specOf(fault).side);
