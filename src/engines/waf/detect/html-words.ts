// Names of HTML, SVG and XML that run code, or fetch what does.

const words = (text: string): string[] => text.trim().split(/\s+/);

/** Elements that load or run by being there. */
const TAGS: ReadonlySet<string> = new Set(
  words(
    "script iframe embed applet frameset noscript vmlframe xss isindex bgsound foreignobject keygen marquee math import",
  ),
);

/** Elements that programs and templates also name in angle brackets: `List<Object>`. */
const TAGS_OF_OTHERS: ReadonlySet<string> = new Set(
  words(`
  object base frame link meta style xml comment handler listener layer ilayer portal template set animate
  animatemotion animatetransform`),
);

/** Attributes whose value is an address. */
const ADDRESSES: ReadonlySet<string> = new Set(
  words(`
  href src action formaction data code codebase archive background lowsrc dynsrc poster xlink:href ping from to by
  values   manifest profile folder content cite longdesc usemap icon srcset imagesrcset`),
);

/** What names of event handlers begin with behind `on`. A list and not any letters: `online=` stands in text, too. */
const EVENTS = words(`
  abort activate addtrack after animation appinstalled audio auxclick before begin blur bounce cancel canplay
  cellchange change click close command complete connect contentvisibility contextmenu controlselect copy cuechange
  cut datachannel data dblclick deactivate device drag drop duration emptied encrypted end enter error exit fetch
  filterchange finish focus formchange formdata forminput fullscreen gesture gotpointer hashchange help icecandidate
  input install invalid key language layoutcomplete load location losecapture lostpointer media message mouse move
  ms moz navigate negotiation notification offline online open outofsync page paste pause play pointer popstate
  popover process progress property push ratechange readystate rejection rel removetrack repeat reset resize resume
  reverse row scroll search security seek select selection show signal size slotchange snap sound speech stalled
  start statechange stop storage submit success suspend sync time toggle touch track transition unhandled unload
  update upgrade urlflip user visibility voices volume waiting webkit wheel zoom`);

/** Ordered by first letter, so that few are compared. */
const EVENTS_BY_LETTER: readonly (readonly string[])[] = Array.from({ length: 26 }, (_, letter) =>
  EVENTS.filter((event) => event.charCodeAt(0) === 0x61 + letter),
);

/** `name` is in lower case. `bare` says that it stands in the tag alone: some do nothing then. */
export function isDangerousTag(name: string, bare: boolean): boolean {
  const colon = name.lastIndexOf(":");
  const local = colon < 0 ? name : name.slice(colon + 1);
  if (TAGS.has(local) || local.startsWith("svg") || local.startsWith("xsl")) return true;
  return !bare && TAGS_OF_OTHERS.has(local);
}

/** Whether an attribute of that name, in lower case, is a script for an event. */
export function isEvent(name: string): boolean {
  if (name.length < 5 || !name.startsWith("on")) return false;
  const letter = name.charCodeAt(2) - 0x61;
  if (letter < 0 || letter >= 26) return false;
  for (const event of EVENTS_BY_LETTER[letter]!) if (name.startsWith(event, 2)) return onlyLetters(name);
  return false;
}

/** Within a tag any name that browsers may know one day counts: `on` and four letters. */
export const mayBeEvent = (name: string): boolean =>
  name.startsWith("on") && name.length >= 6 && name !== "online" && onlyLetters(name);

function onlyLetters(name: string): boolean {
  for (let at = 0; at < name.length; at += 1) {
    const code = name.charCodeAt(at);
    if ((code < 0x61 || code > 0x7a) && (code < 0x30 || code > 0x39)) return false;
  }
  return true;
}

export const isAddress = (name: string): boolean => ADDRESSES.has(name);
