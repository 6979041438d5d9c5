// The part of the schema about TLS: what listeners show and ask for, where names lead to, how servers are reached.
import { z } from "zod";
import { millis } from "../core/units.ts";
import { duration, oneOrMany } from "./schema-values.ts";

const minTlsVersion = z.enum(["1.2", "1.3"]);

const certificateSchema = z.strictObject({
  cert: z.string().describe("File with the certificate and its chain (PEM), the certificate first."),
  key: z.string().describe("File with its private key (PEM, without a passphrase)."),
});

const propagationSchema = z.strictObject({
  servers: z
    .array(z.string())
    .optional()
    .describe("DNS servers that must know the record, as `ip` or `ip:port`; the zone's own ones without it."),
  resolvers: z
    .array(z.string())
    .optional()
    .describe("DNS servers that find the zone's own ones; the system's without it."),
  timeout: duration.default(millis(120_000)).describe("Longest wait for them; `0s` does not wait."),
});

const propagation = propagationSchema
  .optional()
  .describe("How to find out that everybody can see a record before the CA looks.");

const dnsSchema = z.union([
  z.strictObject({
    provider: z.literal("rfc2136").describe("DNS updates (RFC 2136)."),
    server: z.string().describe("The zone's primary server, as `ip` or `ip:port`."),
    zone: z.string().optional().describe("The zone to change; the server is asked for it without it."),
    key: z
      .strictObject({
        name: z.string().min(1).describe("Name of the TSIG key (RFC 8945)."),
        secret: z.string().min(1).describe("The key in Base64, for HMAC-SHA256."),
      })
      .optional()
      .describe("Signs the updates."),
    propagation,
  }),
  z.strictObject({
    provider: z.literal("exec").describe("A program of yours."),
    command: z
      .array(z.string())
      .min(1)
      .describe("The program and its arguments; `present` or `cleanup`, the record's name and its value are added."),
    timeout: duration.default(millis(60_000)).describe("Longest time of one run."),
    propagation,
  }),
]);

const onDemandSchema = z.strictObject({
  ask: z
    .string()
    .optional()
    .describe(
      "URL that is asked with `?domain=NAME` before a certificate is ordered; a status from 200 to 299 permits it.",
    ),
  allow: z
    .array(z.string())
    .optional()
    .describe("Names that are permitted without asking, and `*.example.com` for those one label below."),
});

const LETS_ENCRYPT = "https://acme-v02.api.letsencrypt.org/directory";

const acmeSchema = z.strictObject({
  email: z.string().optional().describe("Where the CA may write to about the certificates."),
  directory: oneOrMany(z.string())
    .default(LETS_ENCRYPT)
    .describe("Address of the CA's directory. With several, the next one is asked when one gives no certificate."),
  ca: z
    .string()
    .optional()
    .describe("File with the CAs to trust when talking to the directories (PEM), in place of the system's."),
  eab: z
    .strictObject({
      kid: z.string().min(1).describe("The key's identifier, as the CA gave it."),
      hmacKey: z
        .string()
        .regex(/^[A-Za-z0-9_-]+={0,2}$/, "a key in Base64url has letters, digits, - and _")
        .describe("The key in Base64url, as the CA gave it."),
    })
    .optional()
    .describe("Binds the account to one that exists at the CA (external account binding)."),
  domains: z
    .array(z.string())
    .default([])
    .describe("The names to get certificates for, one for each; `*.example.com` with dns-01."),
  challenge: z
    .enum(["http-01", "tls-alpn-01", "dns-01"])
    .default("http-01")
    .describe(
      "How the CA sees who holds a name: `http-01` (comes to port 80, so there is a plain listener), `tls-alpn-01` (comes to port 443, to this listener) or `dns-01`.",
    ),
  dns: dnsSchema.optional().describe("Who sets the records of dns-01."),
  keyType: z
    .enum(["ecdsa-p256", "ecdsa-p384", "rsa-2048", "rsa-4096"])
    .default("ecdsa-p256")
    .describe("Kind of the certificates' keys."),
  onDemand: onDemandSchema
    .optional()
    .describe("Gets certificates for further names when somebody connects to them, with permission only."),
});

const clientAuthSchema = z.strictObject({
  ca: z.string().describe("File with the CAs whose client certificates are taken (PEM)."),
  mode: z
    .enum(["require", "optional"])
    .default("require")
    .describe("Refuse clients without a valid certificate, or serve them too."),
  crl: z.string().optional().describe("File with the revocation lists of these CAs (PEM)."),
});

const ciphersSchema = z
  .string()
  .regex(/^[A-Z0-9_-]+(?::[A-Z0-9_-]+)*$/, "write suites in OpenSSL's names, with colons between")
  .optional();

const policySchema = z.strictObject({
  hosts: z
    .array(z.string())
    .min(1)
    .describe("The names; `*.example.com` stands for every name below it, as in a route's `match.host`."),
  minVersion: minTlsVersion.optional().describe("Oldest version of TLS that clients may speak."),
  ciphers: ciphersSchema.describe("Cipher suites of TLS 1.2."),
  clientAuth: z
    .union([z.literal(false), clientAuthSchema])
    .optional()
    .describe("Asks clients for certificates; `false` does not, where the listener does."),
});

export const listenerTlsSchema = z.strictObject({
  certificates: z
    .array(certificateSchema)
    .default([])
    .describe(
      "Certificates; a client gets the one for its name. The files are watched, and taken up when they change.",
    ),
  acme: acmeSchema.optional().describe("Gets and renews certificates from a CA (ACME, RFC 8555)."),
  internal: z
    .boolean()
    .default(false)
    .describe("Makes certificates for all other names with Sluice's own local CA, when they are asked for."),
  minVersion: minTlsVersion.default("1.2").describe("Oldest version of TLS that clients may speak."),
  ciphers: ciphersSchema.describe(
    "Cipher suites of TLS 1.2 in OpenSSL's names, with colons between; Mozilla's intermediate ones without it. Those of TLS 1.3 are all good and cannot be chosen.",
  ),
  clientAuth: clientAuthSchema.optional().describe("Asks clients for certificates (mutual TLS)."),
  policies: z
    .array(policySchema)
    .default([])
    .describe(
      "Other terms for some names; what a policy does not say is as for the listener. The most specific name counts. Requests for a host with other terms than their connection's are answered 421.",
    ),
  handshakeTimeout: duration.default(millis(10_000)).describe("Longest time of a handshake."),
  keyLog: z
    .string()
    .min(1)
    .optional()
    .describe(
      "File to which the keys of all connections are written, so that tools can decrypt them. Only to find faults.",
    ),
});

export const listenerSniSchema = z.record(
  z.string(),
  z.union([
    z.literal("terminate"),
    z.strictObject({
      passthrough: z.string().describe("Name of an upstream, or an address; it gets the connections as they are."),
    }),
  ]),
);

const redirectToHttpsSchema = z.union([
  z.boolean(),
  z.strictObject({
    port: z.int().min(1).max(65_535).describe("The port that clients come to, where another one is mapped to ours."),
  }),
]);

export const upstreamTlsSchema = z.strictObject({
  serverName: z
    .string()
    .optional()
    .describe("The name that servers are asked for and must prove; without it, the host of their address."),
  ca: z.string().optional().describe("File with the CAs to trust (PEM), in place of the system's."),
  cert: z.string().optional().describe("File with the certificate to show to servers (PEM)."),
  key: z.string().optional().describe("File with its private key (PEM)."),
  verify: z
    .boolean()
    .default(true)
    .describe("Whether servers must prove who they are. `false` lets anybody on the way read and change everything."),
  minVersion: minTlsVersion.default("1.2").describe("Oldest version of TLS that is spoken with servers."),
});

const certPattern = oneOrMany(z.string()).optional();

/** `clientCert` of a route's `match`. */
export const clientCertMatch = z
  .union([
    z.literal(true),
    z.strictObject({
      subject: certPattern.describe("The subject, as in `CN=robot,O=Example`, or `~regex`."),
      issuer: certPattern.describe("The name of the CA that issued it, or `~regex`."),
      san: certPattern.describe(
        "One of the alternative names, as in `DNS:a.example` or `URI:spiffe://…`, or `~regex`.",
      ),
      fingerprint: certPattern.describe("SHA-256 of the certificate in hexadecimal."),
      serial: certPattern.describe("Its number in hexadecimal."),
    }),
  ])
  .describe("The client's certificate, which the listener asks for with `tls.clientAuth`; `true` for any valid one.");

/** The keys of a listener about TLS, with their descriptions. */
export const listenerTlsKeys = {
  tls: listenerTlsSchema.optional().describe("Terminates TLS."),
  sni: listenerSniSchema
    .optional()
    .describe(
      "What is done with TLS connections by the name that they ask for (`git.example.com`, `*.example.com` for all below it, `*` for all others, those without a name included): `terminate` here, or pass through to an upstream. A name that is not listed is refused.",
    ),
  redirectToHttps: redirectToHttpsSchema
    .default(false)
    .describe("Answers every request of a plain listener with a redirect to the same place over HTTPS."),
};

export type ListenerTls = z.infer<typeof listenerTlsSchema>;
export type ClientAuth = z.infer<typeof clientAuthSchema>;
export type ListenerSni = z.infer<typeof listenerSniSchema>;
export type UpstreamTls = z.infer<typeof upstreamTlsSchema>;
