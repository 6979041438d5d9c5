// Cookies of single sign-on: their names, values longer than a cookie may be, and how many logins are under way.
import { firstCookie } from "../../http/cookies.ts";

/** Name, value and attributes of one cookie: some browsers take no more than 4096. */
const COOKIE_BYTES_MAX = 4000;
/** Longer sessions belong into the state: most servers take 8 to 32 KB of fields. */
const CHUNKS_MAX = 6;

export interface CookieSettings {
  /** Begins the names. */
  readonly name: string;
  /** Tells the cookies of different `oidc` settings apart. */
  readonly tag: string;
  /** Hosts of a domain share the session; null for one host alone. */
  readonly domain: string | null;
}

export class Cookies {
  /** Name of the session's cookie. */
  readonly session: string;
  readonly #flow: string;
  readonly #attributes: string;
  readonly #flowAttributes = "; Path=/; Secure; HttpOnly; SameSite=Lax";
  readonly #names: readonly string[];
  readonly #mark: string;

  constructor({ name, tag, domain }: CookieSettings) {
    // Browsers let nobody but the host itself, over TLS, set a cookie with this prefix.
    this.session = `${domain === null ? "__Host-" : "__Secure-"}${name}-${tag}`;
    this.#mark = `${name}-${tag}`;
    this.#flow = `__Host-${name}-${tag}-login-`;
    this.#attributes = `; Path=/${domain === null ? "" : `; Domain=${domain}`}; Secure; HttpOnly; SameSite=Lax`;
    this.#names = Array.from({ length: CHUNKS_MAX }, (_, i) => (i === 0 ? this.session : `${this.session}-${i}`));
  }

  /**
   * The session's text in a Cookie field; null where there is none, or a piece is missing. The first digit says how
   * many pieces there are; that they belong together is found out when they are decrypted as one.
   */
  read(field: string): string | null {
    const first = firstCookie(field, this.session);
    if (first === null || first.length < 2) return null;
    const count = first.charCodeAt(0) - 0x30;
    if (count === 1) return first.slice(1);
    if (!(count > 1 && count <= CHUNKS_MAX)) return null;
    let text = first.slice(1);
    for (let i = 1; i < count; i += 1) {
      const piece = firstCookie(field, this.#names[i]!);
      if (piece === null) return null;
      text += piece;
    }
    return text;
  }

  /** Bytes for the value of a cookie; the names of later pieces are the longest. */
  #room(maxAgeS: number): number {
    return COOKIE_BYTES_MAX - `${this.#names[1]}=`.length - this.#tail(maxAgeS).length;
  }

  #tail(maxAgeS: number): string {
    return `; Max-Age=${maxAgeS}${this.#attributes}`;
  }

  /**
   * Set-Cookie values that store the text, and that delete what an earlier one has left: `field` is what the browser
   * has. Null when it does not fit.
   */
  write(text: string, maxAgeS: number, field: string): string[] | null {
    const room = this.#room(maxAgeS);
    const count = Math.ceil((text.length + 1) / room);
    if (count > CHUNKS_MAX) return null;
    const whole = `${count}${text}`;
    const lines: string[] = [];
    for (let i = 0; i < count; i += 1)
      lines.push(`${this.#names[i]}=${whole.slice(i * room, (i + 1) * room)}${this.#tail(maxAgeS)}`);
    return [...lines, ...this.#deleted(field, count)];
  }

  /** Set-Cookie values that delete the session where the browser has one. */
  clear(field: string): string[] {
    return this.#deleted(field, 0);
  }

  #deleted(field: string, from: number): string[] {
    return this.#names
      .slice(from)
      .filter((name) => firstCookie(field, name) !== null)
      .map((name) => `${name}=${this.#tail(0)}`);
  }

  flowName(hash: string): string {
    return `${this.#flow}${hash}`;
  }

  /**
   * Set-Cookie values for one more login under way, and those that end the oldest of more than `most`. A value begins
   * with when its login began; who lies about that only ends other logins of their own.
   */
  writeFlow(hash: string, beganS: number, text: string, maxAgeS: number, field: string, most: number): string[] {
    const others = this.flows(field).sort((a, b) => b.beganS - a.beganS);
    const evicted = others.slice(Math.max(0, most - 1)).map(({ name }) => `${name}=; Max-Age=0${this.#flowAttributes}`);
    const value = `${beganS.toString(36)}.${text}`;
    return [`${this.flowName(hash)}=${value}; Max-Age=${maxAgeS}${this.#flowAttributes}`, ...evicted];
  }

  readFlow(hash: string, field: string): string | null {
    const value = firstCookie(field, this.flowName(hash));
    return value === null ? null : value.slice(value.indexOf(".") + 1);
  }

  clearFlow(hash: string): string {
    return `${this.flowName(hash)}=; Max-Age=0${this.#flowAttributes}`;
  }

  /** The logins that are under way in this browser. */
  flows(field: string): { readonly name: string; readonly beganS: number }[] {
    const found: { name: string; beganS: number }[] = [];
    if (!field.includes(this.#flow)) return found;
    for (const pair of field.split(";")) {
      const [name = "", value = ""] = pair.trim().split("=", 2);
      if (name.startsWith(this.#flow)) found.push({ name, beganS: Number.parseInt(value.split(".", 1)[0]!, 36) || 0 });
    }
    return found;
  }

  /** Whether there may be one of these in a Cookie field. */
  mayBeIn(field: string): boolean {
    return field.includes(this.#mark);
  }

  /** Whether a cookie of this name is one of these. */
  owns(name: string): boolean {
    return name === this.session || name.startsWith(`${this.session}-`) || name.startsWith(this.#flow);
  }
}
