// `sluice hash-password`: what the configuration has in place of passwords and keys. They are read from the terminal
// without being shown, or from what is piped in, and never from the command line, which others can see.
import { randomBytes } from "node:crypto";
import { type Command, Option } from "commander";

const EXIT_USAGE = 2;
/** What `auth` takes at most (auth/basic). */
const PASSWORD_MAX = 1024;
/** As many as a key of AES-256 has. */
const KEY_BYTES = 32;

interface HashOptions {
  readonly bcrypt?: boolean;
  readonly user?: string;
  readonly key?: boolean;
  readonly newKey?: boolean;
}

export function register(program: Command): void {
  program
    .command("hash-password")
    .description("hash a password, or a key, for `auth` in the configuration")
    .option("--bcrypt", "use bcrypt in place of argon2id")
    .option("--user <name>", "print a line for a `usersFile`")
    .addOption(new Option("--key", "hash an API key").conflicts(["bcrypt", "user"]))
    .addOption(new Option("--new-key", "make a new API key, and print it and its hash").conflicts(["bcrypt", "user"]))
    .action(hash);
}

async function hash({ bcrypt, user, key, newKey }: HashOptions): Promise<void> {
  if (newKey === true) {
    const made = randomBytes(KEY_BYTES).toString("base64url");
    process.stdout.write(`key:  ${made}\nhash: ${hashOfKey(made)}\n`);
    return;
  }
  const secret = await readSecret(key === true ? "Key" : "Password");
  const problem = problemOf(secret, user);
  if (problem !== "") {
    console.error(`sluice: ${problem}`);
    process.exitCode = EXIT_USAGE;
    return;
  }
  const made =
    key === true ? hashOfKey(secret) : await Bun.password.hash(secret, bcrypt === true ? BCRYPT : "argon2id");
  process.stdout.write(user === undefined ? `${made}\n` : `${user}:${made}\n`);
}

/** About as slow as argon2id with the usual settings. */
const BCRYPT = { algorithm: "bcrypt", cost: 11 } as const;

const hashOfKey = (key: string): string => `sha256:${new Bun.CryptoHasher("sha256").update(key).digest("hex")}`;

function problemOf(secret: string, user: string | undefined): string {
  if (secret === "") return "there is nothing to hash";
  if (secret.length > PASSWORD_MAX) return `more than ${PASSWORD_MAX} characters`;
  if (/[\x00-\x1f\x7f]/.test(secret)) return "control characters cannot be sent: give it one line";
  return user !== undefined && (user === "" || /[:\x00-\x1f\x7f]/.test(user)) ? "a name has no colon in it" : "";
}

async function readSecret(what: string): Promise<string> {
  if (!process.stdin.isTTY) return (await Bun.stdin.text()).replace(/\r?\n$/, "");
  const first = await readHidden(`${what}: `);
  const second = await readHidden("Again: ");
  if (first === second) return first;
  console.error("sluice: these are not the same");
  process.exit(EXIT_USAGE);
}

const ENTER = ["\r", "\n", "\x04"];
const ERASE = ["\x7f", "\b"];

/** Reads a line from the terminal without showing it. */
function readHidden(prompt: string): Promise<string> {
  const { stdin } = process;
  stdin.setRawMode(true); // before the prompt, as some type at once
  stdin.setEncoding("utf8");
  process.stderr.write(prompt);
  return new Promise((resolve) => {
    let line = "";
    const read = (text: string): void => {
      for (const char of text) {
        if (char === "\x03") process.exit(130); // Ctrl-C, which a raw terminal leaves to us
        if (ERASE.includes(char)) line = line.slice(0, -1);
        else if (!ENTER.includes(char)) line += char;
        else {
          stdin.off("data", read);
          stdin.setRawMode(false);
          stdin.pause();
          process.stderr.write("\n");
          return resolve(line);
        }
      }
    };
    stdin.on("data", read);
    stdin.resume();
  });
}
