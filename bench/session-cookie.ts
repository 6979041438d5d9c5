// The Cookie field of somebody who has signed in, as single sign-on writes it.
import { authContext } from "../src/auth/context.ts";
import { Endpoints } from "../src/auth/endpoints.ts";
import { realmOf } from "../src/auth/oidc/realm.ts";
import type { Session } from "../src/auth/oidc/session.ts";
import { oidcSchema } from "../src/config/schema-auth-oidc.ts";
import { UNSHARED } from "../src/pipeline/shared.ts";

export const OIDC = {
  issuer: "https://127.0.0.1:1", // nobody is asked
  clientId: "web",
  clientSecret: "secret",
  cookieSecret: "a secret of the benchmark, long enough",
};

/** For a session that was last seen at `at` and goes on for an hour; about 900 bytes. */
export function sessionCookie(at: number): string {
  const config = oidcSchema.parse(OIDC);
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
    createdAt: at,
    seenAt: at,
    endsAt: at + 3_600_000,
    refreshAt: 0,
    refreshToken: "r".repeat(43),
    idToken: "",
  };
  return realm.sessions
    .writeCookie(session, "")!
    .map((line) => line.split(";", 1)[0]!)
    .join("; ");
}
