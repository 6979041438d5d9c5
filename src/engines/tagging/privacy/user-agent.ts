// What a browser says it is, reduced to what reports need: its family, its major version, and the kind of device.

export type DeviceClass = "desktop" | "mobile" | "tablet" | "tv" | "bot" | "unknown";

export interface Browser {
  /** `Chrome`, `Safari`; "" when it is not known. */
  readonly family: string;
  /** Major version; 0 when it is not known. */
  readonly major: number;
  /** `Windows`, `Android`; "" when it is not known. */
  readonly system: string;
  readonly device: DeviceClass;
}

/** Longer ones are cut before they are looked at. */
const LENGTH_MAX = 512;

// The order counts: most browsers name those that they descend from behind their own name.
const FAMILIES: readonly (readonly [name: string, pattern: RegExp])[] = [
  ["Edge", /\bEdg(?:e|A|iOS)?\/(\d{1,4})/],
  ["Opera", /\bOPR\/(\d{1,4})/],
  ["Samsung Internet", /\bSamsungBrowser\/(\d{1,4})/],
  ["Firefox", /\b(?:Firefox|FxiOS)\/(\d{1,4})/],
  ["Chrome", /\b(?:HeadlessChrome|Chrome|CriOS)\/(\d{1,4})/],
  ["Safari", /\bVersion\/(\d{1,4})[^/]{0,40} (?:Mobile\/\w{1,12} )?Safari\//],
];

const SYSTEMS: readonly (readonly [name: string, pattern: RegExp])[] = [
  ["Windows", /\bWindows\b/],
  ["Android", /\bAndroid\b/],
  ["iOS", /\b(?:iPhone|iPad|iPod)\b/],
  ["macOS", /\bMac OS X\b/],
  ["ChromeOS", /\bCrOS\b/],
  ["Linux", /\bLinux\b/],
];

const TV = /\b(?:SmartTV|SMART-TV|AppleTV|GoogleTV|BRAVIA|Web0S|Tizen.{1,20}TV)\b/;
const TABLET = /\b(?:iPad|Tablet|PlayBook|Silk)\b/;

/** Reads a User-Agent. Without a look at whether it says the truth. */
export function readUserAgent(text: string): Browser {
  const agent = text.slice(0, LENGTH_MAX);
  let family = "";
  let major = 0;
  for (const [name, pattern] of FAMILIES) {
    const found = pattern.exec(agent);
    if (found === null) continue;
    family = name;
    major = Number(found[1]);
    break;
  }
  const system = SYSTEMS.find(([, pattern]) => pattern.test(agent))?.[0] ?? "";
  return { family, major, system, device: deviceOf(agent, family, system) };
}

function deviceOf(agent: string, family: string, system: string): DeviceClass {
  if (TV.test(agent)) return "tv";
  if (TABLET.test(agent) || (system === "Android" && !/\bMobile\b/.test(agent))) return "tablet";
  if (system === "iOS" || /\bMobile\b/.test(agent)) return "mobile";
  return family === "" ? "unknown" : "desktop";
}

/**
 * A User-Agent that every reader understands and that says no more than family, major version and system, as
 * browsers that
 * reduce theirs send it. "" where the family is not known.
 */
export function reducedUserAgent(text: string): string {
  const { family, major, system, device } = readUserAgent(text);
  const platform = PLATFORMS[system] ?? "X11; Linux x86_64";
  const mobile = device === "mobile" ? " Mobile" : "";
  const webkit = "AppleWebKit/537.36 (KHTML, like Gecko)";
  const chrome = `Mozilla/5.0 (${platform}) ${webkit} Chrome/${major}.0.0.0${mobile} Safari/537.36`;
  switch (family) {
    case "":
      return "";
    case "Firefox":
      return `Mozilla/5.0 (${platform}; rv:${major}.0) Gecko/20100101 Firefox/${major}.0`;
    case "Safari":
      return `Mozilla/5.0 (${platform}) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/${major}.0${mobile} Safari/604.1`;
    case "Edge":
      return `${chrome} Edg/${major}.0.0.0`;
    case "Opera":
      return `${chrome} OPR/${major}.0.0.0`;
    case "Samsung Internet":
      return `${chrome} SamsungBrowser/${major}.0`;
    default:
      return chrome;
  }
}

const PLATFORMS: Readonly<Record<string, string>> = {
  Windows: "Windows NT 10.0; Win64; x64",
  Android: "Linux; Android 10; K",
  iOS: "iPhone; CPU iPhone OS 17_0 like Mac OS X",
  macOS: "Macintosh; Intel Mac OS X 10_15_7",
  ChromeOS: "X11; CrOS x86_64 14541.0.0",
  Linux: "X11; Linux x86_64",
};
