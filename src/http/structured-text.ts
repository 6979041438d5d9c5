// Structured fields as text (RFC 9651 section 4.1), in the one way that it is written.
import type { BareItem, Dictionary, InnerList, Item, Member, Parameters } from "./structured.ts";

export const dictionaryText = (dictionary: Dictionary): string =>
  [...dictionary].map(([key, member]) => key + valueText(member)).join(", ");

/** A member that is true is its key alone. */
const valueText = (member: Member): string =>
  member.kind === "item" && member.value.kind === "boolean" && member.value.value
    ? parametersText(member.parameters)
    : `=${memberText(member)}`;

export const listText = (members: readonly Member[]): string => members.map(memberText).join(", ");

export const memberText = (member: Member): string =>
  member.kind === "item" ? itemText(member) : innerListText(member);

export const innerListText = ({ items, parameters }: InnerList): string =>
  `(${items.map(itemText).join(" ")})${parametersText(parameters)}`;

export const itemText = ({ value, parameters }: Item): string => bareText(value) + parametersText(parameters);

function parametersText(parameters: Parameters): string {
  let text = "";
  for (const [key, value] of parameters)
    text += value.kind === "boolean" && value.value ? `;${key}` : `;${key}=${bareText(value)}`;
  return text;
}

function bareText(item: BareItem): string {
  switch (item.kind) {
    case "integer":
      return String(item.value);
    case "decimal":
      return Number.isInteger(item.value) ? `${item.value}.0` : String(item.value);
    case "string":
      return `"${item.value.replace(/["\\]/g, "\\$&")}"`;
    case "token":
      return item.value;
    case "bytes":
      return `:${item.value.toString("base64")}:`;
    case "boolean":
      return item.value ? "?1" : "?0";
    case "date":
      return `@${item.value}`;
    case "display":
      return displayText(item.value);
  }
}

/** RFC 9651 section 4.1.11: what is not printable ASCII, and percent and quote, as `%xx`. */
function displayText(text: string): string {
  let out = '%"';
  for (const byte of Buffer.from(text)) {
    const plain = byte >= 0x20 && byte < 0x7f && byte !== 0x25 && byte !== 0x22;
    out += plain ? String.fromCharCode(byte) : `%${byte.toString(16).padStart(2, "0")}`;
  }
  return `${out}"`;
}
