// Texts as parts of a page. Whatever a document says is text: nothing of it becomes an element or an attribute.

export const escaped = (text: string): string => text.replace(/[&<>"']/g, (char) => `&#${char.charCodeAt(0)};`);

/** What a link can lead to by itself, without doing anything. */
const LINK = /^(?:https?:\/\/|mailto:|#)/i;
const TEXT_MAX = 20_000;

/** Paragraphs, lists, code, bold text and links of Markdown; all else as it is written. */
export function textHtml(text: unknown): string {
  if (typeof text !== "string" || text.trim() === "") return "";
  const blocks = text
    .slice(0, TEXT_MAX)
    .replaceAll("\r\n", "\n")
    .split(/(```[\s\S]*?```)/)
    .flatMap((part) => (part.startsWith("```") ? [part] : part.split(/\n{2,}/)))
    .filter((block) => block.trim() !== "");
  return blocks.map(blockHtml).join("\n");
}

function blockHtml(block: string): string {
  const code = /^```\w*\n([\s\S]*?)\n?(?:```\s*)?$/.exec(block.trim());
  if (code !== null) return `<pre tabindex="0"><code>${escaped(code[1]!)}</code></pre>`;
  const lines = block.trim().split("\n");
  if (lines.every((line) => /^\s*[-*] /.test(line)))
    return `<ul>${lines.map((line) => `<li>${inlineHtml(line.replace(/^\s*[-*] /, ""))}</li>`).join("")}</ul>`;
  const heading = /^#{1,6} (.*)$/.exec(block.trim());
  return heading === null ? `<p>${inlineHtml(block.trim())}</p>` : `<p><strong>${inlineHtml(heading[1]!)}</strong></p>`;
}

/** The inside of a paragraph. What is marked is short: a mark without an end is not searched for through all of a text. */
export function inlineHtml(text: string): string {
  return text
    .slice(0, TEXT_MAX)
    .split(/(`[^`\n]{1,1000}`|\*\*[^*\n]{1,1000}\*\*|\[[^[\]\n]{0,300}\]\([^)\s]{0,2000}\))/)
    .map((part) => {
      if (part.length > 2 && part.startsWith("`") && part.endsWith("`"))
        return `<code>${escaped(part.slice(1, -1))}</code>`;
      if (part.length > 4 && part.startsWith("**") && part.endsWith("**"))
        return `<strong>${escaped(part.slice(2, -2))}</strong>`;
      const link = /^\[([^\]]*)\]\(([^)]*)\)$/.exec(part);
      if (link === null || !LINK.test(link[2]!)) return escaped(part);
      return `<a href="${escaped(link[2]!)}" rel="noreferrer noopener">${escaped(link[1]!)}</a>`;
    })
    .join("");
}

/** A name as the id of an element, or the end of one. */
export const idOf = (name: string): string =>
  name.replaceAll(/[^A-Za-z0-9_.-]/g, (char) => `-${char.codePointAt(0)!.toString(16)}-`);
