// A directory of OpenLDAP's, with people and groups.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { findProgram } from "../../tools/debian.ts";
import { refusingPort } from "./ports.ts";
import { accepts, Running, run } from "./programs.ts";
import type { Files } from "./tls.ts";
import { until } from "./wait.ts";

const SCHEMA = "/etc/ldap/schema";

export class Slapd extends Running {
  readonly port: number;
  readonly securePort: number;

  private constructor(child: Bun.Subprocess, port: number, securePort: number, cleanUp: () => void) {
    super(child, cleanUp);
    this.port = port;
    this.securePort = securePort;
  }

  /** `entries` are LDIF below `dc=example,dc=com`, whose manager is `cn=manager,dc=example,dc=com` with the password `manager`. */
  static async start(entries: string, { cert, key }: Files): Promise<Slapd> {
    const folder = mkdtempSync(join(tmpdir(), "slapd-"));
    mkdirSync(join(folder, "data"));
    const config = join(folder, "slapd.conf");
    writeFileSync(
      config,
      `${["core", "cosine", "inetorgperson"].map((name) => `include ${SCHEMA}/${name}.schema`).join("\n")}
modulepath /usr/lib/ldap
moduleload back_mdb
pidfile ${folder}/pid
TLSCertificateFile ${cert}
TLSCertificateKeyFile ${key}
database mdb
maxsize 10485760
suffix "dc=example,dc=com"
rootdn "cn=manager,dc=example,dc=com"
rootpw manager
directory ${folder}/data
access to attrs=userPassword by anonymous auth by * none
access to dn.subtree="ou=hidden,dc=example,dc=com" by * none
access to * by users read by anonymous auth
`,
    );
    writeFileSync(join(folder, "entries.ldif"), entries);
    const loaded = await run("slapadd", ["-f", config, "-l", join(folder, "entries.ldif")]);
    if (loaded.code !== 0) throw new Error(loaded.err);
    const [port, securePort] = [await refusingPort(), await refusingPort()];
    const program = findProgram("slapd");
    if (program === null) throw new Error("slapd is not installed");
    const urls = `ldap://127.0.0.1:${port} ldaps://127.0.0.1:${securePort}`;
    const child = Bun.spawn([program, "-f", config, "-h", urls, "-d", "0"], { stdout: "inherit", stderr: "inherit" });
    const slapd = new Slapd(child, port, securePort, () => rmSync(folder, { recursive: true }));
    await until(() => accepts({ port, host: "127.0.0.1" }), "slapd to listen");
    return slapd;
  }
}
