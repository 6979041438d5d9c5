// What a session of single sign-on costs a request, over the same exchange without: `bun bench/auth-oidc.bench.ts`. The
// Cookie field becomes text (some 900 bytes), the session is looked up by it, and the field is taken out, so that the
// rest goes out in two pieces: 2 µs.
import { OIDC, sessionCookie } from "./session-cookie.ts";
import { takeTurns, Way } from "./turns.ts";

const BUDGET = 6;

// The clock of such a worker stands at 1970.
const cookie = sessionCookie(0);
const way = (name: string, policies: object, more = ""): Way =>
  new Way(name, BUDGET, policies, [`Cookie: ${cookie}${more}`]);

const auth = { oidc: OIDC };
await takeTurns([
  way("none", {}),
  way("session", { auth }),
  way("session and rules", { auth: { oidc: { ...OIDC, allow: { emails: ["*@example.com"], groups: ["admins"] } } } }),
  way("session beside another cookie", { auth }, "; theme=dark; consent=0123456789abcdef"),
  way("session, told to the server", { auth, requestHeaders: { set: { "x-user": "{user}" } } }),
]);
