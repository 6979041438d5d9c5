// All directives of SecLang as the ModSecurity v3 reference manual lists them, and what a proxy does with each.

/**
 * - `used`: has an effect here.
 * - `ignored`: accepted with a warning; what it sets is decided in another way, or has no meaning in a proxy.
 * - `refused`: rules that rely on it would protect less than they say, so they are not loaded.
 */
interface DirectiveUse {
  readonly use: "used" | "ignored" | "refused";
  /** For the warning or the error: why, and what to do instead. */
  readonly why: string;
}

const USED: DirectiveUse = { use: "used", why: "" };
const ignored = (why: string): DirectiveUse => ({ use: "ignored", why });
const refused = (why: string): DirectiveUse => ({ use: "refused", why });

const IN_MEMORY = "bodies are held in memory and never written to files";
const AUDIT = "the audit log is configured in the proxy";
const DEBUG = "the level log of the proxy takes this place";
const HASH = "hashes of links are not made; remove the SecHash directives";
const REMOTE = "rules are never loaded over the network; download them and name the file";
const LINEAR = "regular expressions run in linear time and need no limit";
const UNICODE = "the mapping of full-width and other characters is built in";

const DIRECTIVES: Readonly<Record<string, DirectiveUse>> = {
  SecAction: USED,
  SecArgumentSeparator: USED,
  SecArgumentsLimit: USED,
  SecAuditEngine: USED,
  SecAuditLog: ignored(AUDIT),
  SecAuditLog2: ignored(AUDIT),
  SecAuditLogDirMode: ignored(AUDIT),
  SecAuditLogFileMode: ignored(AUDIT),
  SecAuditLogFormat: ignored(AUDIT),
  SecAuditLogParts: USED,
  SecAuditLogPrefix: ignored(AUDIT),
  SecAuditLogRelevantStatus: USED,
  SecAuditLogStorageDir: ignored(AUDIT),
  SecAuditLogType: ignored(AUDIT),
  SecCacheTransformations: ignored("transformed values are always kept for the transaction"),
  SecChrootDir: ignored("the service manager confines the proxy"),
  SecCollectionTimeout: USED,
  SecComponentSignature: USED,
  SecConnEngine: ignored("limits of connections are configured in the proxy"),
  SecConnReadStateLimit: ignored("limits of connections are configured in the proxy"),
  SecConnWriteStateLimit: ignored("limits of connections are configured in the proxy"),
  SecContentInjection: ignored("answers are not changed by rules"),
  SecCookieFormat: USED,
  SecCookieV0Separator: ignored("cookies are separated by semicolons, RFC 6265 section 5.4"),
  SecDataDir: ignored("persistent collections are kept by the proxy"),
  SecDebugLog: ignored(DEBUG),
  SecDebugLogLevel: ignored(DEBUG),
  SecDefaultAction: USED,
  SecDisableBackendCompression: ignored("compression is configured in the proxy"),
  SecGeoLookupDb: ignored("the database of places is `waf.geo` of the configuration"),
  SecGsbLookupDb: refused("the service behind it has ended"),
  SecGuardianLog: ignored("logs are configured in the proxy"),
  SecHashEngine: refused(HASH),
  SecHashKey: refused(HASH),
  SecHashMethodPm: refused(HASH),
  SecHashMethodRx: refused(HASH),
  SecHashParam: refused(HASH),
  SecHttpBlKey: ignored("lists in the DNS are asked by the proxy, not by rules"),
  SecInterceptOnError: ignored("a rule that fails does not exist here: rules are checked when they are loaded"),
  SecMarker: USED,
  SecPcreMatchLimit: ignored(LINEAR),
  SecPcreMatchLimitRecursion: ignored(LINEAR),
  SecParseXmlIntoArgs: USED,
  SecReadStateLimit: ignored("limits of connections are configured in the proxy"),
  SecRemoteRules: refused(REMOTE),
  SecRemoteRulesFailAction: refused(REMOTE),
  SecRequestBodyAccess: USED,
  SecRequestBodyInMemoryLimit: ignored(IN_MEMORY),
  SecRequestBodyJsonDepthLimit: USED,
  SecRequestBodyLimit: USED,
  SecRequestBodyLimitAction: USED,
  SecRequestBodyNoFilesLimit: USED,
  SecResponseBodyAccess: USED,
  SecResponseBodyLimit: USED,
  SecResponseBodyLimitAction: USED,
  SecResponseBodyMimeType: USED,
  SecResponseBodyMimeTypesClear: USED,
  SecRule: USED,
  SecRuleEngine: USED,
  SecRuleInheritance: ignored("the rules of a route are those that it names"),
  SecRulePerfTime: ignored("the proxy measures rules by itself"),
  SecRuleRemoveById: USED,
  SecRuleRemoveByMsg: USED,
  SecRuleRemoveByTag: USED,
  SecRuleScript: refused("scripts are not run; write the check as rules, or as a plugin of the proxy"),
  SecRuleUpdateActionById: USED,
  SecRuleUpdateTargetById: USED,
  SecRuleUpdateTargetByMsg: USED,
  SecRuleUpdateTargetByTag: USED,
  SecSensorId: ignored("logs are configured in the proxy"),
  SecServerSignature: ignored("the field `server` is configured in the proxy"),
  SecStatusEngine: ignored("nothing is reported to anybody"),
  SecStreamInBodyInspection: ignored("bodies are inspected in phase 2"),
  SecStreamOutBodyInspection: ignored("bodies are inspected in phase 4"),
  SecTmpDir: ignored(IN_MEMORY),
  SecTmpSaveUploadedFiles: ignored(IN_MEMORY),
  SecUnicodeCodePage: ignored(UNICODE),
  SecUnicodeMapFile: ignored(UNICODE),
  SecUploadDir: ignored(IN_MEMORY),
  SecUploadFileLimit: USED,
  SecUploadFileMode: ignored(IN_MEMORY),
  SecUploadKeepFiles: ignored(IN_MEMORY),
  SecWebAppId: USED,
  SecWriteStateLimit: ignored("limits of connections are configured in the proxy"),
  SecXmlExternalEntity: ignored("entities from outside are never loaded"),
  Include: USED,
  IncludeOptional: USED,
};

const BY_LOWER = new Map(Object.keys(DIRECTIVES).map((name) => [name.toLowerCase(), name]));

/** The documented spelling of a directive; null when there is none of that name. */
export const directiveName = (text: string): string | null => BY_LOWER.get(text.toLowerCase()) ?? null;

/** What is done with a directive, by its documented spelling. */
export const directiveUse = (name: string): DirectiveUse => DIRECTIVES[name]!;
