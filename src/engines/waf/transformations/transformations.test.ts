import { expect, test } from "bun:test";
import { transformation } from "./index.ts";

type Row = readonly [name: string, input: string, want: string];

const DECODING: readonly Row[] = [
  ["urlDecode", "a%20b+c", "a b c"],
  ["urlDecode", "%41%zz%4", "A%zz%4"],
  ["urlDecode", "%%41%", "%A%"],
  ["urlDecode", "%u0041", "%u0041"],
  ["urlDecode", "%00%ff", "\0\xff"],
  ["urlDecodeUni", "%u0041%U0042", "AB"],
  ["urlDecodeUni", "%uff1cscript%uFF1E", "<script>"],
  ["urlDecodeUni", "%uff00%uff5f", "\0\x5f"],
  ["urlDecodeUni", "%u2019%u201c%u2039%u2215", "'\"</"],
  ["urlDecodeUni", "%u00e9%u015b%u017f%u212a%u24d0%ufe64", "essKa<"],
  ["urlDecodeUni", "%u0127%u4e27%u203c", "''<"],
  ["urlDecodeUni", "%u00g1%u004", "%u00g1%u004"],
  ["urlDecodeUni", "%u%41", "%uA"],
  ["urlDecodeUni", "%3cscript+x%3e", "<script x>"],
  ["urlDecodeUni", "100%", "100%"],
  ["urlDecodeUni", "%2", "%2"],
  ["htmlEntityDecode", "&lt;b&gt;&amp;&quot;&nbsp;", '<b>&"\xa0'],
  ["htmlEntityDecode", "&LT&Gt", "<>"],
  ["htmlEntityDecode", "&#60;&#x3C;&#X3e&#60", "<<><"],
  ["htmlEntityDecode", "&#0000060;&#x000000000000000000003c;", "<<"],
  ["htmlEntityDecode", "&#316;", "<"],
  ["htmlEntityDecode", "&#99999999999999999999;", "\xff"],
  ["htmlEntityDecode", "&eacute;&;&#;&#x;&#xg;&", "&eacute;&;&#;&#x;&#xg;&"],
  ["htmlEntityDecode", "jav&#x09;ascript&#58;", "jav\tascript:"],
  ["htmlEntityDecode", "&amp;lt;", "&lt;"],
  ["jsDecode", "\\u003cscript\\u003E", "<script>"],
  ["jsDecode", "\\uff1c\\x3c\\74\\074\\0741", "<<<<<1"],
  ["jsDecode", "\\400\\377", " 0\xff"],
  ["jsDecode", "\\a\\b\\f\\n\\r\\t\\v\\z\\'\\\\", "\x07\b\f\n\r\t\vz'\\"],
  ["jsDecode", "\\u00g\\x1\\", "u00gx1\\"],
  ["cssDecode", "\\6a avascript", "javascript"],
  ["cssDecode", "ja\\vascript\\:\\ ", "javascript: "],
  ["cssDecode", "\\00006a\\000061\\76", "jav"],
  ["cssDecode", "\\ff1c\\00ff1c\\0ff1c\\1ff1c", "<<<\x1c"],
  ["cssDecode", "a\\\nb\\", "ab"],
  ["cssDecode", "\\61\tb\\61\r\nc", "aba\nc"],
  ["cssDecode", "\\a", "\n"],
  ["escapeSeqDecode", "\\a\\b\\f\\n\\r\\t\\v\\?\\'\\\"\\\\", "\x07\b\f\n\r\t\v?'\"\\"],
  ["escapeSeqDecode", "\\x41\\X42\\101\\1\\018", "ABA\x01\x018"],
  ["escapeSeqDecode", "\\777", "\xff"],
  ["escapeSeqDecode", "c\\at \\w \\xg1\\", "c\x07t w xg1\\"],
  ["sqlHexDecode", "0x414243", "ABC"],
  ["sqlHexDecode", "SELECT 0X61626z, 0x4", "SELECT ab6z, 0x4"],
  ["sqlHexDecode", "0x", "0x"],
  ["sqlHexDecode", "00x41", "0A"],
  ["hexDecode", "414243", "ABC"],
  ["hexDecode", "41424", "AB"],
  ["hexEncode", "A\xffb", "41ff62"],
  ["base64Decode", "VGVzdA==", "Test"],
  ["base64Decode", "VGVzdA", "Test"],
  ["base64Decode", "VGVzdDE*VGVz", "Test1"],
  ["base64Decode", "plain text", "\xa6\x56\xa2"],
  ["base64DecodeExt", "VG.V:z*dA==", "Test"],
  ["base64DecodeExt", "VGVz\r\n dA==", "Test"],
  ["base64Encode", "Test\xff", "VGVzdP8="],
  ["urlEncode", "a b/c*\xff", "a+b%2fc*%ff"],
  ["utf8toUnicode", "caf\xc3\xa9", "caf%u00e9"],
  ["utf8toUnicode", "\xe2\x80\x99 \xef\xbc\x9c", "%u2019 %uff1c"],
  ["utf8toUnicode", "\xf0\x9f\x98\x80", "%u1f600"],
  ["utf8toUnicode", "\xc0\xaf\xe0\x80\xaf", "%u002f%u002f"],
  ["utf8toUnicode", "\xff\xc3(\x80\xe2\x82", "\xff(\x80\x82"],
  ["utf8toUnicode", "\0sc\0r\xc3ipt\xf0", "script"],
];

const OTHERS: readonly Row[] = [
  ["none", "A%20", "A%20"],
  ["lowercase", "ABC\xc0z[@", "abc\xc0z[@"],
  ["uppercase", "abc\xe0Z{`", "ABC\xe0Z{`"],
  ["compressWhitespace", "a \t\n b\xa0\xa0c d ", "a b c d "],
  ["compressWhitespace", "a\tb", "a b"],
  ["removeWhitespace", " a\t\n\v\f\r b\xa0c\xc2\xa0d", "abcd"],
  ["removeNulls", "\0a\0\0b\0", "ab"],
  ["replaceNulls", "\0a\0b", " a b"],
  ["trim", " \t a b \n", "a b"],
  ["trimLeft", "  a ", "a "],
  ["trimRight", " a  ", " a"],
  ["trim", "   ", ""],
  ["length", "\xc3\xa9", "2"],
  ["cmdLine", "C^mD.E\"x\"e /C 'DIR'", "cmd.exe/c dir"],
  ["cmdLine", "a,;; \t\r\nb", "a b"],
  ["cmdLine", "cat  /etc/pass\\wd (x)", "cat/etc/passwd(x)"],
  ["cmdLine", "'/bin'", "/bin"],
  ["cmdLine", "a,", "a "],
  ["normalizePath", "/a/./b//c/../d", "/a/b/d"],
  ["normalizePath", "/../../etc/passwd", "/etc/passwd"],
  ["normalizePath", "../../etc/passwd", "../../etc/passwd"],
  ["normalizePath", "a/../../b", "../b"],
  ["normalizePath", "./.././a", "../a"],
  ["normalizePath", "a/b/", "a/b/"],
  ["normalizePath", "a/.", "a"],
  ["normalizePath", "a/..", ""],
  ["normalizePath", "//", "/"],
  ["normalizePath", "/.", "/"],
  ["normalizePath", "/a/..", "/"],
  ["normalizePath", "/a/.b/..c/...", "/a/.b/..c/..."],
  ["normalizePath", ".", ""],
  ["normalizePath", "", ""],
  ["normalisePath", "/a//b", "/a/b"],
  ["normalizePathWin", "c:\\a\\..\\b\\", "c:/b/"],
  ["normalizePathWin", "..\\..\\boot.ini", "../../boot.ini"],
  ["normalisePathWin", "/a\\.\\b", "/a/b"],
  ["normalizePath", "c:\\a\\..\\b", "c:\\a\\..\\b"],
  ["replaceComments", "UNION/**/SELECT/*!1*/x", "UNION SELECT x"],
  ["replaceComments", "a/*b", "a "],
  ["replaceComments", "a/*/b*/c*/", "a c*/"],
  ["removeComments", "a/*b*/c", "ac"],
  ["removeComments", "a<!--b-->c--d", "ac"],
  ["removeComments", "a#b", "a"],
  ["removeComments", "a/*b", "a "],
  ["removeComments", "a/*b*/", "a"],
  ["removeComments", "a<!-->", "a "],
  ["removeComments", "a<!--b>", "a "],
  ["removeComments", "a<!--b-->", "a"],
  ["removeComments", "a-b*/<!-", "a-b*/<!-"],
  ["removeComments", "/**//**/b", "b"],
  ["removeCommentsChar", "a/*b*/c--d#e<!--f-->g", "abcdefg"],
  ["removeCommentsChar", "a/b*c-d<!-", "a/b*c-d<!-"],
  ["parityZero7bit", "a\xe1", "aa"],
  ["parityEven7bit", "a\x03", "\xe1\x03"],
  ["parityOdd7bit", "a\x03", "a\x83"],
  ["md5", "", "\xd4\x1d\x8c\xd9\x8f\x00\xb2\x04\xe9\x80\x09\x98\xec\xf8\x42\x7e"],
  ["sha1", "abc", Buffer.from("a9993e364706816aba3e25717850c26c9cd0d89d", "hex").toString("latin1")],
];

for (const [name, input, want] of [...DECODING, ...OTHERS])
  test(`${name} of ${JSON.stringify(input)}`, () => {
    expect(transformation(name)!(input)).toBe(want);
  });

test("names are known without regard to case, and others are not", () => {
  expect(transformation("URLDECODEUNI")!("%41")).toBe("A");
  expect(transformation("urlDecodeUnicode")).toBeNull();
  expect(transformation("")).toBeNull();
});

test("what CRS runs before its rules of XSS undoes layers", () => {
  const layers = ["utf8toUnicode", "urlDecodeUni", "htmlEntityDecode", "jsDecode", "cssDecode", "removeNulls"];
  const undone = layers.reduce((value, name) => transformation(name)!(value), "%26lt;scr\xc0\x80ipt\\x3e\\\\61 lert");
  expect(undone).toBe("<script>alert");
});

test("values larger than what is kept are transformed too", () => {
  const large = "%41+".repeat(200_000);
  expect(transformation("urlDecode")!(large)).toBe("A ".repeat(200_000));
  expect(transformation("urlEncode")!("\xff".repeat(200_000))).toBe("%ff".repeat(200_000));
});
