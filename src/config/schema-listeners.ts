// `listeners`: where clients connect, and what is spoken there.
import { z } from "zod";
import { byteCount, millis, parseDataRate } from "../core/units.ts";
import { listenerAccessSchema } from "./schema-access.ts";
import { listenerTlsKeys } from "./schema-tls.ts";
import { dataRate, duration, size } from "./schema-values.ts";

export const listenerSchema = z.strictObject({
  address: z
    .string()
    .describe("Where to listen: `host:port`, `:port` (every address), `[::1]:port` or `unix:/path.sock`."),
  timeouts: z
    .strictObject({
      header: duration.default(millis(10_000)).describe("From the first byte of a request to the end of its head."),
      body: duration
        .default(millis(30_000))
        .describe("Longest pause between two reads of a request body, and between two writes that a client accepts."),
      idle: duration
        .default(millis(75_000))
        .describe("How long a keep-alive connection may wait for its next request."),
      tunnel: duration
        .default(millis(3_600_000))
        .describe("How long an upgraded connection (WebSocket) may be silent in both directions."),
    })
    .prefault({})
    .describe("How long clients may take."),
  limits: z
    .strictObject({
      connections: z
        .int()
        .min(1)
        .default(32_768)
        .describe("Open client connections for each worker; more are closed at once."),
      connectionsPerAddress: z
        .int()
        .min(1)
        .default(16_384)
        .describe("Open client connections from one address (IPv6: one /64), for each worker."),
      bodyRate: dataRate
        .default(parseDataRate("256B/s")!)
        .describe("Slowest average rate of a request body, after a grace of 5 s; 408 below it."),
      requestLine: size.default(byteCount(8192)).describe("Longest request line; 414 above it."),
      headers: size.default(byteCount(32_768)).describe("Largest header section; 431 above it."),
      fields: z.int().min(1).max(1000).default(100).describe("Most header fields; 431 above it."),
      streams: z
        .int()
        .min(1)
        .max(10_000)
        .default(128)
        .describe(
          "Requests that one HTTP/2 or HTTP/3 connection may have under way; more are refused and may be sent again.",
        ),
    })
    .prefault({})
    .describe("How much clients may ask for."),
  proxyProtocol: z
    .strictObject({
      trusted: z
        .array(z.string())
        .min(1)
        .describe("Networks of the proxies that speak it; connections of others are taken as they are."),
      required: z
        .boolean()
        .default(true)
        .describe("Connections of trusted proxies that do not begin with it are closed."),
      timeout: duration.default(millis(3000)).describe("Longest wait for it."),
    })
    .optional()
    .describe("Takes the client's address from the PROXY protocol (versions 1 and 2)."),
  tcp: z
    .strictObject({
      to: z.string().describe("Name of an upstream, or an address."),
      idle: duration.default(millis(600_000)).describe("How long a connection may be silent in both directions."),
    })
    .optional()
    .describe("Forwards connections as they are (layer 4), in place of HTTP."),
  udp: z
    .strictObject({
      to: z.string().describe("Name of an upstream, or an address."),
      idle: duration.default(millis(30_000)).describe("How long a session may be silent before it is forgotten."),
      sessions: z
        .int()
        .min(1)
        .max(1_000_000)
        .default(10_000)
        .describe("Sessions at a time; datagrams of more clients are dropped."),
    })
    .optional()
    .describe("Forwards datagrams (layer 4): `address` is a UDP port then."),
  access: listenerAccessSchema
    .optional()
    .describe("Who may connect. Connections of others are dropped before a byte is read."),
  ...listenerTlsKeys,
  http2: z.boolean().default(true).describe("Speaks HTTP/2 with clients that offer it in TLS (ALPN)."),
  http3: z
    .union([
      z.boolean(),
      z.strictObject({
        port: z
          .int()
          .min(1)
          .max(65_535)
          .optional()
          .describe("Port that clients are told, where it is not the listener's."),
        maxAge: duration.default(millis(86_400_000)).describe("How long clients may remember it."),
      }),
    ])
    .default(false)
    .describe("Speaks HTTP/3 too, on the UDP port of the same number. Experimental: docs/http3.md."),
  h2c: z
    .boolean()
    .default(false)
    .describe(
      "Speaks HTTP/2 on a plain listener too, with clients that begin with it (prior knowledge); all others get HTTP/1.1.",
    ),
  halfClose: z
    .boolean()
    .default(false)
    .describe(
      "Go on answering a client that has closed its sending side. Off: it counts as gone, and its request is stopped.",
    ),
  underscoreHeaders: z
    .boolean()
    .default(false)
    .describe(
      "Forward request fields whose names contain `_`. Off: they are dropped, as they can pass for the same name with `-` behind the proxy.",
    ),
});
