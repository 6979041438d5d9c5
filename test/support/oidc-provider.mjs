// A real OpenID Connect provider, as a process of its own: it signs in whoever the query of the login page or `account`
// names, without asking. Prints its port; takes settings as lines of JSON and answers each with `{}` or what was asked.
import { createHash } from "node:crypto";
import { createServer } from "node:http";
import { createInterface } from "node:readline";
import { exportJWK, generateKeyPair, importJWK, SignJWT } from "jose";
import Provider from "oidc-provider";

const settings = { account: "ann", claims: {}, idClaims: [], accessTtl: 3600, down: false, tokenDown: false, delayMs: 0 };
const counts = { token: 0, refreshed: 0, refused: 0 };
let keys = [];
let handle = null;
let issuer = "";

const newKey = async () => {
  const { privateKey } = await generateKeyPair("ES256", { extractable: true });
  const jwk = await exportJWK(privateKey);
  return { ...jwk, use: "sig", alg: "ES256", kid: createHash("sha256").update(jwk.x).digest("base64url").slice(0, 8) };
};

const grantAll = async (ctx) => {
  const { Grant } = ctx.oidc.provider;
  const clientId = ctx.oidc.client.clientId;
  const known = await Grant.find(ctx.oidc.session.grantIdFor(clientId) ?? "none");
  if (known !== undefined) return known; // a new one would end those of other tabs
  const grant = new Grant({ clientId, accountId: ctx.oidc.session.accountId });
  grant.addOIDCScope("openid email profile offline_access groups");
  await grant.save();
  return grant;
};

function build() {
  const provider = new Provider(issuer, {
    clients: ["web", "second"].map((id) => ({
      client_id: id,
      client_secret: `${id}-secret-${"x".repeat(32)}`,
      redirect_uris: ["http://127.0.0.1/cb"],
      post_logout_redirect_uris: ["http://127.0.0.1/out"],
      grant_types: ["authorization_code", "refresh_token"],
      response_types: ["code"],
      id_token_signed_response_alg: "ES256",
      backchannel_logout_uri: settings.backchannel || "http://127.0.0.1:9/none",
      backchannel_logout_session_required: true,
      application_type: "web",
    })),
    jwks: { keys },
    cookies: { keys: ["some", "keys"] },
    claims: {
      openid: ["sub"],
      email: ["email", "email_verified"],
      profile: ["name", "preferred_username"],
      groups: ["groups", "_claim_names", "_claim_sources", "padding"],
    },
    conformIdTokenClaims: true,
    scopes: ["openid", "email", "profile", "offline_access", "groups"],
    features: {
      devInteractions: { enabled: false },
      backchannelLogout: { enabled: true },
      rpInitiatedLogout: {
        enabled: true,
        logoutSource(ctx, form) {
          ctx.body = `<!doctype html>${form}<script>document.forms[0].innerHTML+='<input name=logout value=yes>'</script>`;
        },
      },
    },
    pkce: { required: () => true },
    rotateRefreshToken: true,
    issueRefreshToken: async () => true,
    loadExistingGrant: grantAll,
    ttl: { AccessToken: () => settings.accessTtl, Interaction: 600, Session: 3600, Grant: 3600, IdToken: 3600, RefreshToken: 3600 },
    interactions: { url: (_ctx, interaction) => `/interaction/${interaction.uid}` },
    findAccount: (_ctx, sub) => ({
      accountId: sub,
      claims: () => ({ sub, email: `${sub}@example.com`, email_verified: true, name: sub, ...settings.claims }),
    }),
  });
  provider.Client.prototype.redirectUriAllowed = () => true;
  provider.Client.prototype.postLogoutRedirectUriAllowed = () => true;
  provider.on("grant.success", () => (counts.token += 1));
  provider.on("grant.error", () => (counts.refused += 1));
  provider.use(async (ctx, next) => {
    if (!ctx.path.startsWith("/interaction/")) return await next();
    const result = { login: { accountId: settings.account } };
    await provider.interactionFinished(ctx.req, ctx.res, result, { mergeWithLastSubmission: false });
    ctx.respond = false;
  });
  handle = provider.callback();
}

const server = createServer(async (request, response) => {
  if (settings.down || (settings.tokenDown && request.url === "/token")) return void response.writeHead(503).end("down");
  if (request.url === "/graph/me/getMemberObjects") {
    response.writeHead(200, { "content-type": "application/json" });
    return void response.end(JSON.stringify({ value: settings.graphGroups ?? [] }));
  }
  if (request.url.startsWith("/plain/")) return void plain(request, response);
  if (settings.delayMs > 0 && request.url === "/token") await new Promise((done) => setTimeout(done, settings.delayMs));
  handle(request, response);
});

/** OAuth 2.0 alone, as GitHub has it. */
function plain(request, response) {
  const url = new URL(request.url, issuer);
  const json = (value) => {
    response.writeHead(200, { "content-type": "application/json" });
    response.end(JSON.stringify(value));
  };
  if (url.pathname === "/plain/authorize") {
    const back = new URL(url.searchParams.get("redirect_uri"));
    back.searchParams.set("code", "plain-code");
    back.searchParams.set("state", url.searchParams.get("state"));
    return response.writeHead(302, { location: back.href }).end();
  }
  if (url.pathname === "/plain/token") return json({ access_token: "plain-token", token_type: "bearer" });
  if (request.headers.authorization !== "Bearer plain-token") return response.writeHead(401).end();
  if (url.pathname === "/plain/user") return json({ id: 42, login: "octo", email: "profile@evil.example" });
  if (url.pathname === "/plain/emails") return json([{ email: "octo@example.com", primary: true, verified: true }]);
  return json([{ login: "makers" }]);
}

const COMMANDS = {
  set: (values) => void Object.assign(settings, values),
  rebuild: (values) => {
    Object.assign(settings, values);
    build();
  },
  rotateKeys: async () => {
    keys = [await newKey()];
    build();
  },
  counts: () => counts,
  sign: async ({ payload, header = {}, foreign = false }) => {
    const jwk = foreign ? await newKey() : keys[0];
    const key = await importJWK(jwk, "ES256");
    return await new SignJWT(payload).setProtectedHeader({ alg: "ES256", kid: keys[0].kid, ...header }).sign(key);
  },
};

server.listen(0, "127.0.0.1", async () => {
  const { port } = server.address();
  issuer = `http://127.0.0.1:${port}`;
  keys = [await newKey()];
  build();
  console.log(JSON.stringify(port));
});
createInterface({ input: process.stdin })
  .on("line", async (line) => {
    const [command, values] = JSON.parse(line);
    console.log(JSON.stringify((await COMMANDS[command](values ?? {})) ?? {}));
  })
  .on("close", () => process.exit(0));
