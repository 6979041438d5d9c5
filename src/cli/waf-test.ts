// `sluice waf test`: one request on the firewall of a route.

import { readFileSync } from "node:fs";
import { expandApis } from "../apis/expand.ts";
import { CompileError } from "../config/compile-error.ts";
import { ConfigError, renderDiagnostic } from "../config/diagnostic.ts";
import { loadConfig } from "../config/load.ts";
import type { Config } from "../config/schema.ts";
import { planProblems } from "../control/compile.ts";
import { readTrialRequest, trialText, tryAlone, tryRequest, type WafTrial } from "../control/waf-trial.ts";
import { canonicalIp } from "../core/ip.ts";
import { provideFiles } from "../providers/file-folder.ts";

export interface TestFlags {
  readonly config?: string;
  readonly route?: string;
  readonly crs?: string;
  readonly paranoia?: string;
  readonly ip: string;
  readonly request?: string;
  readonly header?: readonly string[];
  readonly data?: string;
  readonly json?: true;
}

const EXIT_INVALID = 1;
const EXIT_USAGE = 2;
const EXIT_BLOCKED = 4;
const FORM = "application/x-www-form-urlencoded";

export async function test(request: string, flags: TestFlags): Promise<void> {
  try {
    const trial = await tried(request, flags);
    console.log(flags.json ? JSON.stringify(trial, null, 2) : trialText(trial));
    if (trial.decision === "block") process.exitCode = EXIT_BLOCKED;
  } catch (error) {
    process.exitCode = told(error);
  }
}

async function tried(argument: string, flags: TestFlags): Promise<WafTrial> {
  const request = readTrialRequest(rawOf(argument, flags));
  const ip = canonicalIp(flags.ip);
  if (ip === null) throw new RangeError(`not an IP address: ${flags.ip}`);
  const paranoia = paranoiaOf(flags.paranoia);
  if (flags.crs !== undefined) return tryAlone({ crs: flags.crs, ...paranoia }, request, ip);
  const { config } = await loadConfig(flags.config, {
    expand: expandApis,
    verify: planProblems,
    provide: provideFiles,
  });
  return tryRequest(withParanoia(config, paranoia), request, ip, flags.route ?? null);
}

function paranoiaOf(text: string | undefined): { paranoia?: number } {
  if (text === undefined) return {};
  if (!/^[1-4]$/.test(text)) throw new RangeError("--paranoia is a number from 1 to 4");
  return { paranoia: Number(text) };
}

function withParanoia(config: Config, paranoia: { paranoia?: number }): Config {
  const changed = <T extends Pick<Config["defaults"], "waf">>(policies: T): T =>
    policies.waf ? { ...policies, waf: { ...policies.waf, ...paranoia } } : policies;
  return { ...config, defaults: changed(config.defaults), routes: config.routes.map(changed) };
}

/** The bytes of the request. */
function rawOf(argument: string, { request, header = [], data }: TestFlags): Buffer {
  if (!/^(?:https?:\/\/|\/.*\?|\/[^/]*$)/i.test(argument) || isFile(argument)) {
    if (request !== undefined || header.length > 0 || data !== undefined)
      throw new RangeError("-X, -H and -d belong to a URL; a file has all of the request");
    return argument === "-" ? readFileSync(0) : readNamed(argument);
  }
  const [, host = "localhost", rest = "/"] = /^(?:https?:\/\/([^/?#]*))?([^#]*)/i.exec(argument)!;
  const target = rest.startsWith("/") ? rest : `/${rest}`;
  const body =
    data === undefined ? Buffer.alloc(0) : data.startsWith("@") ? readNamed(data.slice(1)) : Buffer.from(data);
  const has = (name: string): boolean => header.some((field) => field.toLowerCase().startsWith(`${name}:`));
  const fields = [
    ...(has("host") ? [] : [`Host: ${host}`]),
    ...(has("user-agent") ? [] : ["User-Agent: Mozilla/5.0 (sluice waf test)"]),
    ...(has("accept") ? [] : ["Accept: */*"]),
    ...(data === undefined || has("content-type") ? [] : [`Content-Type: ${FORM}`]),
    ...(data === undefined ? [] : [`Content-Length: ${body.length}`]),
    ...header,
  ];
  const method = request ?? (data === undefined ? "GET" : "POST");
  const wrong = [method, target, ...fields].find((each) => /[\r\n]/.test(each));
  if (wrong !== undefined) throw new RangeError(`a line end in ${JSON.stringify(wrong)}`);
  const head = `${method} ${encodeSpaces(target)} HTTP/1.1\r\n${fields.join("\r\n")}\r\n\r\n`;
  return Buffer.concat([Buffer.from(head), body]);
}

/** As browsers send what people type. */
const encodeSpaces = (target: string): string =>
  target.replaceAll(/[^\x21-\x7e]|["<>\\^`{|}]/g, (char) => encodeURIComponent(char));

function isFile(path: string): boolean {
  try {
    readFileSync(path);
    return true;
  } catch {
    return false;
  }
}

function readNamed(path: string): Buffer {
  try {
    return readFileSync(path);
  } catch (error) {
    throw new RangeError(`cannot read ${path}: ${(error as Error).message}`, { cause: error });
  }
}

function told(error: unknown): number {
  if (error instanceof ConfigError) {
    for (const diagnostic of error.diagnostics) process.stderr.write(`${renderDiagnostic(diagnostic)}\n`);
    return EXIT_INVALID;
  }
  if (!(error instanceof RangeError || error instanceof CompileError)) throw error;
  process.stderr.write(`sluice waf test: ${error.message}\n`);
  return EXIT_USAGE;
}
