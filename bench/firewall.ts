// The scenarios of the firewall: what the peers are told, what is sent, and whether they do the work.
import { HOST } from "./scenario.ts";

/** Debian's package of the Core Rule Set. */
export const RULE_PACKAGE = "modsecurity-crs";
export const RULE_FOLDER = "/usr/share/modsecurity-crs";
const RULE_SETUP = "/etc/modsecurity/crs/crs-setup.conf";

/** The rules that ModSecurity's recommended configuration has beside the Core Rule Set, for bodies; no logs. */
export const MODSECURITY_RULES = `SecRuleEngine On
SecRequestBodyAccess On
SecRequestBodyLimit 13107200
SecRequestBodyNoFilesLimit 131072
SecRule REQUEST_HEADERS:Content-Type "^application/json" "id:200001,phase:1,t:none,t:lowercase,pass,nolog,ctl:requestBodyProcessor=JSON"
SecRule REQBODY_ERROR "!@eq 0" "id:200002,phase:2,t:none,deny,status:400,nolog"
SecResponseBodyAccess Off
SecAuditEngine Off
Include ${RULE_SETUP}
Include ${RULE_FOLDER}/rules/*.conf
`;

const ATTACK = "/small?q=1%27%20UNION%20SELECT%20password%20FROM%20users--";

/** Asks a firewall for something harmless and for something that is not. Returns what is wrong, or null. */
export async function firewallProblem(port: number): Promise<string | null> {
  const headers = { Host: HOST, "User-Agent": "Mozilla/5.0", Accept: "*/*" };
  for (const [path, expected] of [["/small?q=shoes", 200] as const, [ATTACK, 403] as const]) {
    const response = await fetch(`http://127.0.0.1:${port}${path}`, { keepalive: false, headers });
    await response.arrayBuffer();
    if (response.status !== expected) return `${path} is answered with ${response.status}, not ${expected}`;
  }
  return null;
}
