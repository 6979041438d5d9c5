// The class of a client's device, where a site has different pages for them.
import type { HeaderBlock } from "../../http/header-block.ts";
import { ID } from "../../http/header-names.ts";

export type DeviceClass = "desktop" | "mobile" | "tablet" | "bot";

const BOTS: readonly string[] = ["bot", "crawl", "spider", "slurp"];

/**
 * The class by Sec-CH-UA-Mobile where a client sends it, else by words in User-Agent. Android without `Mobile` is a
 * tablet, as browsers have it.
 */
export function deviceClass(request: HeaderBlock): DeviceClass {
  const agent = request.getById(ID["user-agent"])?.toLowerCase() ?? "";
  if (BOTS.some((word) => agent.includes(word))) return "bot";
  if (agent.includes("ipad") || agent.includes("tablet")) return "tablet";
  const hint = request.get("sec-ch-ua-mobile");
  if (hint === "?1") return "mobile";
  if (agent.includes("android")) return agent.includes("mobile") ? "mobile" : "tablet";
  return hint === null && (agent.includes("mobi") || agent.includes("iphone")) ? "mobile" : "desktop";
}
