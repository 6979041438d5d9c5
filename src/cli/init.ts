// `sluice init`: a configuration to start from.
import { existsSync, writeFileSync } from "node:fs";
import { type Command, Option } from "commander";
import { reasonOf } from "../config/expand.ts";
import { CONFIG_NAMES } from "../config/load.ts";

const EXIT_FAILED = 1;

export function register(program: Command): void {
  program
    .command("init")
    .description("write a commented starting configuration")
    .addOption(new Option("--yaml", "write sluice.yaml (default)").conflicts("ts"))
    .addOption(new Option("--ts", "write sluice.config.ts").conflicts("yaml"))
    .action((options: { ts?: boolean }) => init(options.ts === true));
}

function init(typescript: boolean): void {
  const file = typescript ? "sluice.config.ts" : "sluice.yaml";
  const existing = CONFIG_NAMES.find((name) => existsSync(name));
  if (existing !== undefined) {
    fail(`there is a configuration here already: ${existing}`, "remove or rename it first; nothing was changed");
    return;
  }
  try {
    // "wx" fails if the file has appeared in the meantime.
    writeFileSync(file, typescript ? TYPESCRIPT_START : YAML_START, { flag: "wx" });
  } catch (error) {
    fail(`${file} cannot be written: ${reasonOf(error)}`, "run it in a directory where this user may write");
    return;
  }
  process.stdout.write(
    `${file} written. Next: put the address of your server into it, then\n  sluice check\n  sluice run\n`,
  );
}

function fail(message: string, hint: string): void {
  process.stderr.write(`error: ${message}\n  hint: ${hint}\n`);
  process.exitCode = EXIT_FAILED;
}

const YAML_START = `# Configuration of Sluice. Check it with \`sluice check\`, run it with \`sluice run\`.
# Durations: 250ms, 5s, 1m, 2h, 30d. Sizes: 512B, 64KB, 10MB. \${NAME} and \${NAME:-default} read the environment,
# \${file:PATH} a file. All keys with their defaults are in docs/reference.md.

listeners:
  - address: ":8080"                # host:port, :port, [::1]:port or unix:/path.sock

upstreams:
  app:
    servers:                        # requests go to them in turn
      - http://127.0.0.1:3001
      # - { url: http://127.0.0.1:3002, weight: 2 }
    # timeouts: { connect: 2s, response: 60s }
    # hostHeader: upstream          # servers see their own name and not the client's Host

# Whose X-Forwarded-For and X-Forwarded-Proto are believed: the networks of load balancers in front of this proxy.
# trustedProxies: [10.0.0.0/8]

# Policies for every route; a route's own key replaces one, \`false\` turns it off.
defaults:
  limits: { body: 10MB }

routes:                             # tried from top to bottom, the first match wins
  - name: health
    match: { path: /healthz }
    respond: { body: ok }

  # - name: old-site
  #   match: { host: old.example.com }
  #   redirect: { to: "https://www.example.com{uri}" }

  # - name: api
  #   match: { path: /api/*, method: [GET, POST] }
  #   rewrite: { stripPrefix: /api }
  #   requestHeaders: { set: { x-client: "{ip}" } }
  #   to: app

  - name: everything-else
    to: app

log:
  access: { path: stdout, format: json }
  level: info

# Metrics, status and reload; on this machine only, unless it has a token.
admin: { address: "127.0.0.1:9901" }
`;

const TYPESCRIPT_START = `// Configuration of Sluice. Check it with \`sluice check\`, run it with \`sluice run\`.
// Durations: 250ms, 5s, 1m, 2h, 30d. Sizes: 512B, 64KB, 10MB. All keys with their defaults are in docs/reference.md.
import { defineConfig, definePlugin } from "sluice";

/** Runs for every request of the routes that name it in \`use\`. */
const stamp = definePlugin({
  name: "stamp",
  response(x) {
    x.response.setHeader("x-served-by", x.server?.name ?? "sluice");
  },
});

export default defineConfig({
  // host:port, :port, [::1]:port or unix:/path.sock
  listeners: [{ address: ":8080" }],

  upstreams: {
    app: {
      // Requests go to the servers in turn.
      servers: [process.env.APP_URL ?? "http://127.0.0.1:3001"],
    },
  },

  // Policies for every route; a route's own key replaces one, \`false\` turns it off.
  defaults: { limits: { body: "10MB" } },

  // Tried from top to bottom, the first match wins.
  routes: [
    { name: "health", match: { path: "/healthz" }, respond: { body: "ok" } },
    // { match: { host: "old.example.com" }, redirect: { to: "https://www.example.com{uri}" } },
    // { match: { path: "/api/*" }, rewrite: { stripPrefix: "/api" }, to: "app" },
    { name: "everything-else", use: [stamp], to: "app" },
  ],

  log: { access: { path: "stdout", format: "json" }, level: "info" },

  // Metrics, status and reload; on this machine only, unless it has a token.
  admin: { address: "127.0.0.1:9901" },
});
`;
