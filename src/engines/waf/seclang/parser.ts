// From the text of a rule file to its statements.
import { parseActions } from "./action-list.ts";
import { directiveName } from "./directives.ts";
import { type Place, SecLangError } from "./error.ts";
import { type LogicalLine, logicalLines, placeAt } from "./lines.ts";
import type { OperatorSyntax, RuleSyntax, Statement } from "./syntax.ts";
import { parseTargets } from "./targets.ts";
import { splitWords, type Word } from "./words.ts";

/** Reads one file. Throws SecLangError at the first thing that is not SecLang. */
export function parseSecLang(file: string, text: string): Statement[] {
  return logicalLines(file, text).map(parseLine);
}

const from = (line: LogicalLine, word: Word) => (offset: number) => placeAt(line, word.at + offset);

/** Actions alone, as `SecDefaultAction` and `SecRuleUpdateActionById` have them. */
export const parseActionText = (text: string, place: Place) => parseActions(text, () => place);

function parseLine(line: LogicalLine): Statement {
  const words = splitWords(line);
  const first = words[0]!;
  const place = placeAt(line, first.at);
  if (first.text.startsWith("<")) {
    throw new SecLangError(
      place,
      "sections of a web server's configuration are not SecLang; leave the section lines out",
    );
  }
  const name = directiveName(first.text);
  if (name === null) {
    throw new SecLangError(place, `${first.text} is not a directive of SecLang; correct it or leave it out`);
  }
  if (name === "SecRule") return parseRule(line, words, place);
  if (name === "SecAction") {
    if (words.length !== 2) throw new SecLangError(place, 'SecAction takes one word: SecAction "actions"');
    const actions = parseActions(words[1]!.text, from(line, words[1]!));
    return { kind: "rule", targets: [], operator: null, actions, place };
  }
  const rest = words.slice(1);
  return {
    kind: "directive",
    name,
    words: rest.map((word) => word.text),
    places: rest.map((word) => placeAt(line, word.at)),
    place,
  };
}

function parseRule(line: LogicalLine, words: readonly Word[], place: Place): RuleSyntax {
  const [, targets, operator, actions] = words;
  if (targets === undefined || operator === undefined || words.length > 4) {
    throw new SecLangError(place, 'SecRule takes two or three words: SecRule VARIABLES "OPERATOR" "ACTIONS"');
  }
  return {
    kind: "rule",
    targets: parseTargets(targets.text, from(line, targets)),
    operator: parseOperator(line, operator),
    actions: actions === undefined ? [] : parseActions(actions.text, from(line, actions)),
    place,
  };
}

/** Without an `@name`, all of the word is a regular expression. */
function parseOperator(line: LogicalLine, word: Word): OperatorSyntax {
  const { text } = word;
  let at = 0;
  while (text[at] === " ") at += 1;
  const place = placeAt(line, word.at + at);
  let negated = false;
  if (text[at] === "!" && (text[at + 1] === "@" || text[at + 1] !== undefined)) {
    negated = true;
    at += 1;
  }
  if (text[at] !== "@") {
    const argumentPlace = placeAt(line, word.at + at);
    return { name: "rx", negated, argument: text.slice(at), place, argumentPlace };
  }
  let end = at + 1;
  while (end < text.length && text[end] !== " " && text[end] !== "\t") end += 1;
  const name = text.slice(at + 1, end).toLowerCase();
  while (text[end] === " " || text[end] === "\t") end += 1;
  return { name, negated, argument: text.slice(end), place, argumentPlace: placeAt(line, word.at + end) };
}
