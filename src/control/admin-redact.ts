// Takes secrets out of a configuration before anybody is shown it.

const REDACTED = "[redacted]";
/** The last letters of a word in a name whose texts are secrets: `cookieSecret`, `x-api-key`, `apikeys`, `AUTH_TOKEN`. */
const SECRET_WORD = /(?:secret|token|password|passwd|passphrase|key|credential|authorization)s?$/;
/** Hashes of passwords and keys: what they were made of can be guessed, so they are kept back as well. */
const SECRET_TEXT = /^(?:\$(?:argon2|scrypt|2[abxy]\$|[156]\$)|sha(?:256|384|512):)/;
/** The user and password of a URL. */
const USER_INFO = /([a-z][a-z0-9+.-]*:\/\/)[^/?#@\s]*@/gi;

/**
 * A copy as plain JSON values: texts and numbers under a name that sounds like a secret, hashes of secrets, and
 * passwords in URLs become `[redacted]`; functions are left out, so that a plugin is shown by its name.
 */
export function redact(value: unknown, secret = false): unknown {
  switch (typeof value) {
    case "string":
      return secret || SECRET_TEXT.test(value) ? REDACTED : value.replace(USER_INFO, `$1${REDACTED}@`);
    case "number":
      return secret ? REDACTED : value;
    case "boolean":
      return value;
    case "object":
      if (value === null) return null;
      if (Array.isArray(value)) return value.map((item) => redact(item, secret) ?? null);
      return redactMembers(value, secret);
    default:
      return undefined;
  }
}

function redactMembers(value: object, secret: boolean): Readonly<Record<string, unknown>> {
  const members: [string, unknown][] = [];
  for (const [name, item] of Object.entries(value)) {
    const shown = redact(item, secret || isSecretName(name));
    if (shown !== undefined) members.push([name, shown]);
  }
  return Object.fromEntries(members);
}

/** By words, so that an upstream called `keycloak` is no secret. */
function isSecretName(name: string): boolean {
  const words = name.replace(/([a-z0-9])([A-Z])/g, "$1 $2").toLowerCase();
  return words.split(/[^a-z0-9]+/).some((word) => SECRET_WORD.test(word));
}
