// Programs that the tests drive: clients and servers which Sluice must get along with.
import { ensureDebianPackages } from "./debian.ts";

try {
  await ensureDebianPackages([
    ...["curl", "nginx", "haproxy", "caddy", "chromium", "nghttp2-client"],
    ...["redis-server", "pebble", "bind9", "sslscan", "modsecurity-crs", "slapd"],
  ]);
} catch (error) {
  console.error(`tests: ${error instanceof Error ? error.message : String(error)}`);
  process.exitCode = 1;
}
