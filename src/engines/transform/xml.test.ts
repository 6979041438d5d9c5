import { describe, expect, test } from "bun:test";
import { readJson } from "./json-document.ts";
import { jsonToXml } from "./json-to-xml.ts";
import { xmlToJson } from "./xml-to-json.ts";

const NONE: ReadonlySet<string> = new Set();
const asJson = (xml: string, lists: readonly string[] = []): string => {
  const { json, problem } = xmlToJson(Buffer.from(xml), new Set(lists));
  return json ?? `problem: ${problem}`;
};
const asXml = (json: string): string => {
  const { document, problem: notJson } = readJson(Buffer.from(json));
  if (notJson !== null) return notJson;
  const { xml, problem } = jsonToXml(document, "root", 10_000);
  return xml?.replace('<?xml version="1.0" encoding="UTF-8"?>\n', "") ?? `problem: ${problem}`;
};

describe("XML to JSON", () => {
  const CASES: readonly (readonly [xml: string, want: string])[] = [
    ["<a/>", '{"a":""}'],
    ["<a></a>", '{"a":""}'],
    ["<a> x </a>", '{"a":" x "}'],
    ['<?xml version="1.0" encoding="UTF-8"?>\n<a>1</a>\n', '{"a":"1"}'],
    ['<a id="1" b="&quot;"/>', '{"a":{"@id":"1","@b":"\\""}}'],
    ['<a id="1">x</a>', '{"a":{"@id":"1","#text":"x"}}'],
    ["<a><b>1</b><c>2</c></a>", '{"a":{"b":"1","c":"2"}}'],
    ["<a><b>1</b><c>2</c><b>3</b></a>", '{"a":{"b":["1","3"],"c":"2"}}'],
    ["<a>\n  <b>1</b>\n</a>", '{"a":{"b":"1"}}'],
    ["<a>x<b>1</b>y</a>", '{"a":{"b":"1","#text":"xy"}}'],
    ["<a><![CDATA[<b>&amp;]]></a>", '{"a":"<b>&amp;"}'],
    ["<a>&lt;&#65;&#x42;&amp;</a>", '{"a":"<AB&"}'],
    ["<a><!-- c --><?pi x?>t</a>", '{"a":"t"}'],
    ['<s:a xmlns:s="urn:x"><s:b/></s:a>', '{"s:a":{"@xmlns:s":"urn:x","s:b":""}}'],
    ["<__proto__><constructor>1</constructor></__proto__>", '{"__proto__":{"constructor":"1"}}'],
    ["<a>\u00e9\u{1f600}</a>", '{"a":"\u00e9\u{1f600}"}'],
  ];
  for (const [xml, want] of CASES) test(xml, () => expect(asJson(xml)).toBe(want));

  test("elements that are always lists", () => {
    expect(asJson("<a><b>1</b></a>", ["a/b"])).toBe('{"a":{"b":["1"]}}');
    expect(asJson("<a/>", ["a"])).toBe('{"a":[""]}');
  });
});

describe("XML that is refused", () => {
  const LAUGHS = `<!DOCTYPE a [<!ENTITY x "ha"><!ENTITY y "&x;&x;&x;&x;">]><a>&y;</a>`;
  const CASES: readonly (readonly [name: string, xml: string, problem: string])[] = [
    ["a billion laughs", LAUGHS, "must have no DOCTYPE"],
    ["a file", '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><a>&x;</a>', "must have no DOCTYPE"],
    ["a DTD elsewhere", '<!DOCTYPE a SYSTEM "http://x/y.dtd"><a/>', "must have no DOCTYPE"],
    ["an empty DOCTYPE", "<!DOCTYPE html><a/>", "must have no DOCTYPE"],
    ["an entity of no DTD", "<a>&x;</a>", "must be XML"],
    ["two roots", "<a/><b/>", "must be XML"],
    ["no end", "<a>", "must be XML"],
    ["ends crossed", "<a><b></a></b>", "must be XML"],
    ["an attribute twice", '<a b="1" b="2"/>', "must be XML"],
    ["nothing", "", "must be XML"],
    ["a control character", "<a>\x01</a>", "must be XML"],
    ["a control character as a number", "<a>&#1;</a>", "must be XML"],
    ["another encoding", '<?xml version="1.0" encoding="UTF-16"?><a/>', "must be text in UTF-8"],
    ["too deep", "<a>".repeat(65) + "</a>".repeat(65), "must not be nested more than 64 deep"],
    ["too many", `<a>${"<b/>".repeat(50_000)}</a>`, "must not have more than 50000 elements and attributes"],
  ];
  for (const [name, xml, problem] of CASES) test(name, () => expect(asJson(xml)).toBe(`problem: ${problem}`));

  test("no UTF-8", () => {
    expect(xmlToJson(Buffer.from([0x3c, 0x61, 0x3e, 0xff]), NONE).problem).toBe("must be text in UTF-8");
  });
});

describe("JSON to XML", () => {
  const CASES: readonly (readonly [json: string, want: string])[] = [
    ['{"a":"1"}', "<a>1</a>"],
    ['{"a":""}', "<a/>"],
    ['{"a":null}', "<a/>"],
    ['{"a":12345678901234567890.10}', "<a>12345678901234567890.10</a>"],
    ['{"a":true,"b":false}', "<root><a>true</a><b>false</b></root>"],
    ['{"a":{"@id":1,"b":[1,2,{"c":3}],"#text":"x"}}', '<a id="1"><b>1</b><b>2</b><b><c>3</c></b>x</a>'],
    ['{"a":[1,2]}', "<root><a>1</a><a>2</a></root>"],
    ["[1,[2]]", "<root><item>1</item><item><item>2</item></item></root>"],
    ['"x"', "<root>x</root>"],
    ["{}", "<root/>"],
    ['{"@a":1}', '<root a="1"/>'],
    ['{"a":"<&>\\r\\n"}', "<a>&lt;&amp;&gt;&#13;\n</a>"],
    ['{"a":{"@b":"\\"<\\n\\t"}}', '<a b="&quot;&lt;&#10;&#9;"/>'],
    ['{"a b":1}', 'problem: "a b" is no name of an element'],
    ['{"a":{"@1":1}}', 'problem: "1" is no name of an attribute'],
    ['{"><script>":1}', 'problem: "><script>" is no name of an element'],
    ['{"a":"\\u0000"}', "problem: a text has a character that XML cannot hold"],
    ['{"a":"\\ud800"}', "problem: a text has a character that XML cannot hold"],
    ['{"a":{"@b":[1]}}', "problem: an attribute or text must be one value"],
  ];
  for (const [json, want] of CASES) test(json, () => expect(asXml(json)).toBe(want));
});

test("what a list makes of a long name is bounded", () => {
  const { document } = readJson(Buffer.from(`{"x":{"${"n".repeat(1000)}":[${"1,".repeat(999)}1]}}`));
  expect(jsonToXml(document!, "root", 100_000)).toEqual({ xml: null, problem: "it becomes too long" });
});

test("there and back", () => {
  for (const xml of ["<a/>", '<a id="1"><b>1</b><b>2</b>x &amp; y</a>', "<s:a><s:b>\u{1f600}</s:b></s:a>"])
    expect(asXml(asJson(xml))).toBe(xml);
});
