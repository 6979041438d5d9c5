import { expect, test } from "bun:test";
import { parseXml, type XmlBody } from "./xml.ts";

const read = (text: string, depth = 10, count = 10): XmlBody => parseXml(text, { depth, count });

const GOOD: readonly (readonly [xml: string, text: string, attributes?: readonly string[]])[] = [
  ["<a/>", ""],
  ["<a>x</a>", "x"],
  ["<a>x<b>y</b>z</a>", "xyz"],
  ['<?xml version="1.0"?>\n<a/>\n', ""],
  ['<a b="1" c=\'2\'><d e = "3"/></a>', "", ["1", "2", "3"]],
  ["<a>&lt;script&gt;&amp;&quot;&apos;</a>", "<script>&\"'"],
  ["<a>&#60;&#x3C;&#x20ac;&#x1f600;</a>", "<<\xe2\x82\xac\xf0\x9f\x98\x80"],
  ['<a b="&lt;x&gt;&#39;"/>', "", ["<x>'"]],
  ["<a><![CDATA[<b>&amp;]]]]></a>", "<b>&amp;]]"],
  ["<a><!-- c -->x<?p i?>y</a><!-- d --><?q?>", "xy"],
  ["<!DOCTYPE a SYSTEM 'x.dtd'><a/>", ""],
  ['<!DOCTYPE a [<!ELEMENT a (#PCDATA)> <!-- > ] --> <!ATTLIST a b CDATA "]>">]><a>x</a>', "x"],
  ['<s:E xmlns:s="http://x/" xmlns="y" s:a="1">t</s:E>', "t", ["1"]],
  ["<a\n>x</a\t>", "x"],
  ['<a b="1\n2\t3\r\n4"/>', "", ["1 2 3 4"]],
  ["\xef\xbb\xbf<a>\xc3\xa9</a>", "\xc3\xa9"],
  ['<?xml version="1.0" encoding="ISO-8859-1"?><a>\xe9</a>', "\xc3\xa9"],
  ['<?xml version="1.0" encoding="utf-8"?><\xc3\xa9>x</\xc3\xa9>', "x"],
  [`\xff\xfe${Buffer.from("<a>\u20ac<b/></a>", "utf16le").latin1Slice()}`, "\xe2\x82\xac"],
  [Buffer.from('\ufeff<?xml version="1.0" encoding="UTF-16"?><a>x</a>', "utf16le").swap16().latin1Slice(), "x"],
];
for (const [xml, text, attributes] of GOOD)
  test(JSON.stringify(xml), () => {
    expect(read(xml)).toEqual({ fault: "", text, attributes: [...(attributes ?? [])] });
  });

const BAD: readonly (readonly [xml: string, fault: string])[] = [
  ["", "XML: the document ends too early at byte 0"],
  ["x", "XML: text stands outside of the root at byte 0"],
  ["<a>", "XML: the document ends too early at byte 3"],
  ["<a></b>", "XML: an end tag is wrong at byte 6"],
  ["</a>", "XML: an end tag is wrong at byte 3"],
  ["<a/><b/>", "XML: there is a second root at byte 4"],
  ["<a/>x", "XML: text stands outside of the root at byte 4"],
  ["<a b></a>", "XML: an attribute has no value at byte 4"],
  ["<a b=1/>", "XML: an attribute has no value at byte 5"],
  ['<a b="1"c="2"/>', "XML: an attribute is malformed or comes twice at byte 8"],
  ['<a b="1" b="2"/>', "XML: an attribute is malformed or comes twice at byte 9"],
  ['<a b="<"/>', "XML: an attribute has markup at byte 9".replace("9", "8")],
  ["<a>&nbsp;</a>", "XML: a reference is not known at byte 3"],
  ["<a>&</a>", "XML: a reference is not known at byte 3"],
  ["<a>&#0;</a>", "XML: a reference is not known at byte 3"],
  ["<a>&#x110000;</a>", "XML: a reference is not known at byte 3"],
  ["<a>&__proto__;</a>", "XML: a reference is not known at byte 3"],
  ["<a>]]></a>", "XML: a CDATA section ends that never began at byte 3"],
  ["<a><!-- a -- b --></a>", "XML: a comment is malformed at byte 18"],
  ["<a><!--", "XML: something is not ended at byte 3"],
  ["<a><![CDATA[x</a>", "XML: something is not ended at byte 3"],
  ["<![CDATA[x]]><a/>", "XML: a declaration is malformed at byte 0"],
  ["<a>\0</a>", "XML: a character is not allowed at byte 0"],
  ["< a/>", "XML: a tag is malformed at byte 0"],
  [" <?xml version='1.0'?><a/>", "XML: an instruction is malformed at byte 1"],
  ["<?xml version.0?><a/>", "XML: an instruction is malformed at byte 0"],
  ["<?xml version='1.0' standalone='a&b'?><a/>", "XML: an instruction is malformed at byte 0"],
  ["<a><?p]i x?></a>", "XML: an instruction is malformed at byte 3"],
  ['<!DOCTYPE a SYST "x.dtd"><a/>', "XML: the document type is malformed at byte 0"],
  ["<!DOCTYPE [<a/>", "XML: the document type is malformed at byte 0"],
  ['<a xmlns:x="&u"/>', "XML: a reference is not known at byte 15"],
  ['<!DOCTYPE a [<!ENTITY x "y">]><a>&x;</a>', "XML: entities are declared at byte 0"],
  ['<!DOCTYPE a [<!ENTITY % x SYSTEM "http://evil/"> %x;]><a/>', "XML: entities are declared at byte 0"],
  ["<!DOCTYPE a [%x;]><a/>", "XML: entities are declared at byte 0"],
  ["<!DOCTYPE a", "XML: the document type is malformed at byte 0"],
  ["<a/><!DOCTYPE a>", "XML: a declaration is malformed at byte 4"],
  ["<a>\xff</a>", "XML: the encoding is wrong or not known"],
  ['<?xml version="1.0" encoding="UTF-7"?><a>+ADw-</a>', "XML: the encoding is wrong or not known"],
  ['<?xml version="1.0" encoding="UTF-16"?><a/>', "XML: the encoding is wrong or not known"],
  ['\xef\xbb\xbf<?xml version="1.0" encoding="latin1"?><a/>', "XML: the encoding is wrong or not known"],
  ["\xff\xfe<", "XML: the encoding is wrong or not known"],
];
for (const [xml, fault] of BAD)
  test(`refuses ${JSON.stringify(xml)}`, () => {
    expect(read(xml).fault).toBe(fault);
  });

test("what came before a fault is given", () => {
  expect(read('<a b="1">x<c').text).toBe("x");
  expect(read('<a b="1">x<c').attributes).toEqual(["1"]);
});

test("depth and number of attributes are bounded", () => {
  expect(read("<a><a></a></a>", 2).fault).toBe("");
  expect(read("<a><a><a></a></a></a>", 2).fault).toBe("XML: nested too deeply at byte 9");
  expect(read('<a b="1" c="2"/>', 9, 2).fault).toBe("");
  expect(read('<a b="1" c="2" d="3"/>', 9, 2).fault).toBe("XML: there are too many attributes at byte 20");
});

test("many attributes of one element are compared, too", () => {
  const many = Array.from({ length: 20 }, (_, at) => `a${at}="${at}"`).join(" ");
  expect(read(`<x ${many}/>`, 9, 50).attributes.length).toBe(20);
  expect(read(`<x ${many} a3="1"/>`, 9, 50).fault).toStartWith("XML: an attribute is malformed or comes twice");
});
