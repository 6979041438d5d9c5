// `sluice waf`: the firewall as people use it: a request tried on its rules, the Core Rule Set installed, and what a
// running proxy has refused explained.
import type { Command } from "commander";
import type { WafBlock } from "../control/waf-blocks.ts";
import { type Suggestion, suggestionsOf, suggestionsText } from "../control/waf-suggestions.ts";
import { type AdminFlags, ask, withAdminFlags } from "./admin-options.ts";
import { auditUses } from "./waf-audit-file.ts";
import { blocksText } from "./waf-blocks-text.ts";
import { type InstallFlags, install } from "./waf-install.ts";
import { type TestFlags, test } from "./waf-test.ts";

interface ExplainFlags extends AdminFlags {
  readonly last: string;
}

interface SuggestFlags extends AdminFlags {
  readonly audit?: string;
}

const EXIT_NOT_FOUND = 1;
const EXIT_USAGE = 2;
const LAST_DEFAULT = "10";

const collect = (value: string, all: readonly string[] = []): readonly string[] => [...all, value];

export function register(program: Command): void {
  const waf = program.command("waf").description("the application firewall");
  waf
    .command("test")
    .description("say what the firewall does with a request: exit code 0 when it passes, 4 when it is blocked")
    .argument("<request>", "a URL, a file with a raw request of HTTP/1.1, or - for one on stdin")
    .option("-c, --config <file>", "the configuration (default: the first found here or in /etc/sluice)")
    .option("--route <name>", "the route whose firewall is tried (default: the one that takes the request)")
    .option("--crs <folder>", "in place of a configuration: the rules of this folder")
    .option("--paranoia <level>", "paranoia level, in place of that of the configuration")
    .option("--ip <address>", "the client's address", "127.0.0.1")
    .option("-X, --request <method>", "the method, for a URL")
    .option("-H, --header <field>", "a field, `name: value`, for a URL; may be given again", collect)
    .option("-d, --data <data>", "the body, or @FILE, for a URL; the method is POST then")
    .option("--json", "print the result as JSON")
    .action((request: string, flags: TestFlags) => test(request, flags));
  waf
    .command("install")
    .description("unpack a release of the OWASP Core Rule Set, check it, and put it in place of what is there")
    .argument("<archive>", "the release as .tar.gz: a file, or a URL with --sha256")
    .option("--to <folder>", "where to", "crs")
    .option("--sha256 <sum>", "the SHA-256 of the archive (default: what stands in ARCHIVE.sha256 beside a file)")
    .action((archive: string, flags: InstallFlags) => install(archive, flags));
  withAdminFlags(
    waf
      .command("explain")
      .description("say why a running proxy has refused a request, or the last ones")
      .argument("[request-id]", "the id that the client was told")
      .option("--last <count>", "how many, without an id", LAST_DEFAULT),
  ).action(explain);
  withAdminFlags(
    waf
      .command("suggest")
      .description("say what to leave out of the rules, as far as what was refused tells")
      .option("--audit <file>", "of an audit log, of Sluice or ModSecurity 3, in place of a running proxy"),
  ).action(suggest);
}

async function explain(id: string | undefined, { last, ...flags }: ExplainFlags): Promise<void> {
  if (!/^[1-9]\d{0,5}$/.test(last)) return usage("--last is a number");
  const query = id === undefined ? `last=${last}` : `id=${encodeURIComponent(id)}`;
  await ask(flags, "GET", `/api/waf/blocks?${query}`, ({ body }) => {
    const blocks = body as WafBlock[];
    if (blocks.length > 0) return console.log(blocksText(blocks));
    process.exitCode = id === undefined ? 0 : EXIT_NOT_FOUND;
    console.error(
      id === undefined
        ? "nothing was refused"
        : `sluice: nothing is known of request ${id}: only the last ones are kept; see the audit log`,
    );
  });
}

async function suggest({ audit, ...flags }: SuggestFlags): Promise<void> {
  const show = (found: readonly Suggestion[]): void => console.log(suggestionsText(found));
  if (audit === undefined) return ask(flags, "GET", "/api/waf/suggestions", ({ body }) => show(body as Suggestion[]));
  try {
    const found = suggestionsOf(await auditUses(audit));
    if (flags.json) console.log(JSON.stringify(found, null, 2));
    else show(found);
  } catch (error) {
    usage(`cannot read ${audit}: ${(error as Error).message}`);
  }
}

function usage(message: string): void {
  console.error(`sluice: ${message}`);
  process.exitCode = EXIT_USAGE;
}
