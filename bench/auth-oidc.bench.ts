// What a session of single sign-on costs a request, over the same exchange without: `bun bench/auth-oidc.bench.ts`. The
// Cookie field becomes text (some 900 bytes), the session is looked up by it, and the field is taken out, so that the
// rest goes out in two pieces: 2 µs. The ways take turns, so that a busy machine slows all of them alike.
import { authContext } from "../src/auth/context.ts";
import { Endpoints } from "../src/auth/endpoints.ts";
import { realmOf } from "../src/auth/oidc/realm.ts";
import type { Session } from "../src/auth/oidc/session.ts";
import { type OidcConfig, oidcSchema } from "../src/config/schema-auth-oidc.ts";
import { UNSHARED } from "../src/pipeline/shared.ts";
import { BROWSER_FIELDS } from "./heads.ts";
import { InProcess } from "./in-process.ts";

const ROUNDS = 15;
const CALLS = 20_000;
const BUDGET = 6;

const ANSWER = Buffer.from("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 7\r\n\r\ncontent");
const OIDC = {
  issuer: "https://127.0.0.1:1", // nobody is asked
  clientId: "web",
  clientSecret: "secret",
  cookieSecret: "a secret of the benchmark, long enough",
};

/** The Cookie field of somebody who has signed in. */
function cookieOf(config: OidcConfig): string {
  const [realm] = realmOf(config, authContext("bench", "bench", UNSHARED, new Endpoints(), null, []));
  const session: Session = {
    id: "i".repeat(22),
    key: "k".repeat(43),
    generation: 0,
    provider: "default",
    issuer: OIDC.issuer,
    subject: "248289761001",
    sid: "08a5019c-17e1-4977-8f42-65a12843ea02",
    user: "248289761001",
    groups: ["staff"],
    scopes: ["openid", "email"],
    claims: {
      sub: "248289761001",
      email: "ann@example.com",
      email_verified: true,
      name: "Ann Example",
      groups: ["staff"],
    },
    createdAt: 0,
    seenAt: 0,
    endsAt: 1,
    refreshAt: 0,
    refreshToken: "r".repeat(43),
    idToken: "",
  };
  return realm.sessions
    .writeCookie(session, "")!
    .map((line) => line.split(";", 1)[0]!)
    .join("; ");
}

interface Way {
  readonly name: string;
  readonly worker: InProcess;
  readonly request: Buffer;
  readonly micros: number[];
}

const cookie = cookieOf(oidcSchema.parse(OIDC));

function way(name: string, policies: object, more = ""): Way {
  const fields = [...BROWSER_FIELDS, `Cookie: ${cookie}${more}`];
  const head = ["GET /index.html HTTP/1.1", "Host: 127.0.0.1:8080", ...fields, "", ""].join("\r\n");
  return { name, worker: new InProcess(1, {}, policies), request: Buffer.from(head), micros: [] };
}

function exchange({ worker, request }: Way): void {
  worker.ask(request);
  worker.answer(ANSWER);
}

const auth = { oidc: OIDC };
const ways = [
  way("none", {}),
  way("session", { auth }),
  way("session and rules", { auth: { oidc: { ...OIDC, allow: { emails: ["*@example.com"], groups: ["admins"] } } } }),
  way("session beside another cookie", { auth }, "; theme=dark; consent=0123456789abcdef"),
  way("session, told to the server", { auth, requestHeaders: { set: { "x-user": "{user}" } } }),
];

for (const each of ways)
  if (!each.worker.sentBy(() => exchange(each)).endsWith("content")) throw new Error(`${each.name} does not work`);
for (let round = 0; round < ROUNDS; round += 1)
  for (const each of ways) {
    const before = process.cpuUsage();
    for (let i = 0; i < CALLS; i += 1) exchange(each);
    const { user, system } = process.cpuUsage(before);
    each.micros.push((user + system) / CALLS);
  }
const median = ({ micros }: Way): number => micros.toSorted((a, b) => a - b)[micros.length >> 1]!;
const none = median(ways[0]!);
for (const each of ways.slice(1)) {
  const more = median(each) - none;
  const verdict = more > BUDGET ? "over the budget" : "within the budget";
  console.log(`${each.name}: +${more.toFixed(2)} µs over ${none.toFixed(2)} µs, ${verdict} of ${BUDGET} µs`);
}
