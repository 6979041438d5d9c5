// Debian's package of the Core Rule Set, as tests of the engine load it.
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { type CompileOptions, compileRules } from "./rules/compiler.ts";
import type { Program } from "./rules/program.ts";

const FOLDER = "/usr/share/modsecurity-crs/rules";
const SETUP = "/etc/modsecurity/crs/crs-setup.conf";
const BODY_MAX = 131_072;

const read = (file: string): { file: string; text: string } => ({ file, text: readFileSync(file, "latin1") });

/** All rules at a paranoia level, over bodies of up to 128 KB. */
export function coreRules(paranoia: number, options: CompileOptions = {}): Program {
  const settings = `SecRuleEngine On
SecRequestBodyAccess On
SecAction "id:1,phase:1,nolog,pass,setvar:tx.paranoia_level=${paranoia},setvar:tx.executing_paranoia_level=${paranoia}"
SecRule REQUEST_HEADERS:Content-Type "@beginsWith application/json" \\
  "id:2,phase:1,t:none,pass,nolog,ctl:requestBodyProcessor=JSON"`;
  const names = readdirSync(FOLDER).filter((name) => name.endsWith(".conf"));
  const rules = names.sort().map((name) => read(join(FOLDER, name)));
  return compileRules([read(SETUP), { file: "settings", text: settings }, ...rules], {
    data: (name, from) => {
      const file = join(dirname(from), name);
      return existsSync(file) ? readFileSync(file, "latin1") : null;
    },
    settings: { requestBodyLimit: BODY_MAX, requestBodyNoFilesLimit: BODY_MAX },
    ...options,
  }).program;
}
