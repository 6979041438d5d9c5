// Four small servers that say who they are.
const names = ["one", "two", "three", "canary"];

for (const [at, name] of names.entries()) {
  const port = Number(process.env[`${name.toUpperCase()}_PORT`] ?? 3001 + at);
  const server = Bun.serve({ hostname: "127.0.0.1", port, fetch: () => new Response(`${name}\n`) });
  console.log(`${name}: ${server.url.origin}`);
}
