// Names and passwords that a directory knows (LDAP): whoever it lets in is let in here. The user's name becomes a name
// of the directory by a template, or by a search in the name of an account of Sluice's own.
import { readFileSync } from "node:fs";
import { isIP } from "node:net";
import type { ConnectionOptions } from "node:tls";
import {
  Client,
  type ClientOptions,
  type Entry,
  InvalidCredentialsError,
  InvalidDNSyntaxError,
  NoSuchObjectError,
} from "ldapts";
import { within } from "../../config/compile-error.ts";
import type { LdapConfig } from "../../config/schema-auth.ts";
import type { Exchange } from "../../pipeline/exchange.ts";
import type { Identity } from "../../pipeline/identity.ts";
import type { Authenticator, Verdict } from "../authenticator.ts";
import { basicChallenge, type Credentials } from "../basic/credentials.ts";
import { Verified } from "../basic/verified.ts";
import type { AuthContext } from "../context.ts";
import { escapeValue } from "./escape.ts";

/** Questions of a thread at a time: directories have a limit of connections for each client. */
const CHECKS_AT_ONCE = 8;
/** Somebody in more groups has them counted up to here. */
const GROUPS_MAX = 1000;
/** How a directory says that it does not let somebody in. */
const WRONG = [InvalidCredentialsError, NoSuchObjectError, InvalidDNSyntaxError];

/** Throws CompileError for addresses, templates and files that cannot work. */
export function compileLdap(config: LdapConfig, context: AuthContext): Authenticator {
  const { userDn, base, groups } = config;
  if ((userDn === undefined) === (base === undefined))
    throw new RangeError("it needs `base`, where people are searched for, or `userDn`, which makes a name of them");
  within("userDn", () => needsUser(userDn));
  within("filter", () => needsUser(config.filter));
  if (groups !== undefined && !/\{(?:dn|user)\}/.test(groups.filter))
    within("groups", () => {
      throw new RangeError("the filter has to have {dn} or {user} in it");
    });
  const directory = new Directory(
    config,
    within("url", () => reachOf(config)),
  );
  return new Ldap(config, directory, context);
}

function needsUser(template: string | undefined): void {
  if (template !== undefined && !template.includes("{user}")) throw new RangeError("it has to have {user} in it");
}

/** How the directory is reached. */
interface Reach {
  readonly client: ClientOptions;
  readonly tls: ConnectionOptions;
}

function reachOf({ url, timeout, tls, startTls, insecure }: LdapConfig): Reach {
  const parsed = URL.parse(url);
  if (parsed === null || !/^ldaps?:$/.test(parsed.protocol) || parsed.hostname === "")
    throw new RangeError(`"${url}" is not the address of a directory: write it like ldaps://ldap.example.com`);
  const isLoopback = /^(?:localhost|127(?:\.\d{1,3}){3}|\[::1\])$/.test(parsed.hostname);
  if (parsed.protocol === "ldap:" && !startTls && !insecure && !isLoopback)
    throw new RangeError("passwords would go over the network as they are: write ldaps://, or `startTls: true`");
  const ca = tls?.ca === undefined ? {} : { ca: readFileSync(tls.ca, "utf8") };
  const name = isIP(parsed.hostname) === 0 ? { servername: parsed.hostname } : {};
  const tlsOptions = { ...ca, ...name, rejectUnauthorized: tls?.verify ?? true };
  const client: ClientOptions = { url, timeout, connectTimeout: timeout, strictDN: false };
  // With these a client begins TLS at once.
  return { client: parsed.protocol === "ldaps:" ? { ...client, tlsOptions } : client, tls: tlsOptions };
}

class Ldap implements Authenticator {
  readonly kind = "ldap";
  readonly challenge: string;
  readonly #verified: Verified;

  constructor(config: LdapConfig, directory: Directory, context: AuthContext) {
    this.challenge = within("realm", () => basicChallenge(config.realm));
    const { cache: cacheMs, keep } = config;
    this.#verified = new Verified(
      { kind: "ldap", atOnce: CHECKS_AT_ONCE, cacheMs, keep },
      async (credentials) => {
        try {
          return await directory.check(credentials);
        } catch (error) {
          context.shared.tell("a directory cannot be asked", { url: config.url, error: String(error) });
          return "unavailable";
        }
      },
      context,
    );
  }

  authenticate(x: Exchange): Verdict | Promise<Verdict> {
    return this.#verified.authenticate(x);
  }
}

class Directory {
  readonly #config: LdapConfig;
  readonly #reach: Reach;
  /** In the name of Sluice's own account; null while there is no connection. */
  #service: Promise<Client> | null = null;

  constructor(config: LdapConfig, reach: Reach) {
    this.#config = config;
    this.#reach = reach;
  }

  /** Who it is; null for those whom the directory does not let in. Throws where it cannot be asked. */
  async check({ user, password }: Credentials): Promise<Identity | null> {
    // A bind with a name and no password succeeds, as one of nobody (RFC 4513 section 5.1.2).
    if (password === "") return null;
    const { userDn } = this.#config;
    const found = userDn === undefined ? await this.#find(user) : null;
    if (userDn === undefined && found === null) return null;
    const dn = found?.dn ?? userDn!.replaceAll("{user}", () => escapeValue(user));
    const own = await this.#connect();
    try {
      if (!(await isLetIn(own, dn, password))) return null;
      const entry = found ?? (await this.#read(own, dn));
      return this.#identityOf(user, dn, entry, await this.#groupsOf(own, user, dn, entry));
    } finally {
      void own.unbind().catch(() => {});
    }
  }

  /** The one entry that the filter finds; null for none, and for several: they are not one person. */
  async #find(user: string): Promise<Entry | null> {
    const filter = this.#config.filter.replaceAll("{user}", () => escapeValue(user));
    const { searchEntries } = await this.#asService((client) =>
      client.search(this.#config.base!, { scope: "sub", filter, sizeLimit: 2, attributes: this.#attributes() }),
    );
    return searchEntries.length === 1 ? searchEntries[0]! : null;
  }

  async #read(client: Client, dn: string): Promise<Entry | null> {
    const { searchEntries } = await client.search(dn, { scope: "base", attributes: this.#attributes() });
    return searchEntries[0] ?? null;
  }

  #attributes(): string[] {
    const { userAttribute, emailAttribute, groupsAttribute } = this.#config;
    return [userAttribute, emailAttribute, groupsAttribute].filter((name) => name !== undefined);
  }

  async #groupsOf(own: Client, user: string, dn: string, entry: Entry | null): Promise<string[]> {
    const { groups, groupsAttribute } = this.#config;
    const names = groupsAttribute === undefined || entry === null ? [] : textsOf(entry[groupsAttribute]);
    if (groups !== undefined) {
      const filter = groups.filter.replace(/\{(dn|user)\}/g, (_, what) => escapeValue(what === "dn" ? dn : user));
      const search = (client: Client) =>
        client.search(groups.base, { scope: "sub", filter, attributes: [groups.attribute], sizeLimit: GROUPS_MAX });
      const { searchEntries } = await (this.#config.bindDn === undefined ? search(own) : this.#asService(search));
      for (const group of searchEntries) names.push(...textsOf(group[groups.attribute]));
    }
    return [...new Set(names)].slice(0, GROUPS_MAX);
  }

  #identityOf(user: string, dn: string, entry: Entry | null, groups: readonly string[]): Identity {
    const { userAttribute, emailAttribute } = this.#config;
    // The directory compares names in any case: the user is who it says, by which of their names they came.
    const names = entry === null ? [] : textsOf(entry[userAttribute]);
    const name = names.find((one) => one.toLowerCase() === user.toLowerCase()) ?? names[0] ?? user;
    const [email] = entry === null ? [] : textsOf(entry[emailAttribute]);
    const claims = { dn, ...(email === undefined ? {} : { email, email_verified: true }) };
    return {
      kind: "ldap",
      user: name,
      issuer: this.#config.url,
      groups,
      scopes: [],
      plan: "",
      consumer: "",
      limits: null,
      claims,
    };
  }

  async #connect(): Promise<Client> {
    const client = new Client(this.#reach.client);
    if (!this.#config.startTls) return client;
    try {
      await client.startTLS(this.#reach.tls);
      return client;
    } catch (error) {
      void client.unbind().catch(() => {});
      throw error;
    }
  }

  /** Asks over the connection that is kept. One that has ended meanwhile is made anew, once. */
  async #asService<T>(ask: (client: Client) => Promise<T>): Promise<T> {
    const kept = this.#service !== null;
    const service = this.#service ?? this.#bindService();
    this.#service = service;
    try {
      const client = await service;
      if (!client.isConnected || !client.isBound) throw new Error("the connection has ended");
      return await ask(client);
    } catch (error) {
      if (this.#service === service) this.#service = null;
      void service.then((client) => client.unbind()).catch(() => {});
      if (!kept) throw error;
      return this.#asService(ask);
    }
  }

  async #bindService(): Promise<Client> {
    const { bindDn = "", bindPassword = "" } = this.#config;
    const client = await this.#connect();
    await client.bind(bindDn, bindPassword);
    return client;
  }
}

async function isLetIn(client: Client, dn: string, password: string): Promise<boolean> {
  try {
    await client.bind(dn, password);
    return true;
  } catch (error) {
    if (WRONG.some((kind) => error instanceof kind)) return false;
    throw error;
  }
}

function textsOf(value: Entry[string] | undefined): string[] {
  if (value === undefined) return [];
  return [value].flat().map((one) => (typeof one === "string" ? one : one.toString("utf8")));
}
