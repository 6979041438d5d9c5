// What people and programs send all day, and what must never be taken for an attack.

const lines = (text: string): readonly string[] => text.split("\n").filter((line) => line !== "");

export const BENIGN: Readonly<Record<string, readonly string[]>> = {
  "names and places": lines(`
O'Brien
Conan O'Brien and Sons
D'Angelo & Co.
L'Oréal Paris
Jean-Luc d'Ormesson
Côte d'Or
l'union européenne
rock 'n' roll
Rock'n'Roll = life
Ben & Jerry's
Marks & Spencer
Barnes & Noble
AT&T
Johnson & Johnson
Tom and Jerry
Dr. Martin Luther King, Jr.
Anna-Maria (née Schmidt)
St. John's Wood
King's Cross
Land's End
Müller; Söhne
Nguyễn Văn A
李小龍
Иван Иванов
Order of Malta
Union Street 12
Select Comfort Ltd.
Drop Zone Inc.`),
  sentences: lines(`
It's a nice day, isn't it?
Don't select one or the other.
I'd like 1 or 2 of these
1 or 2 people
2 or 3
Either 1 or 2
There is 1 and only 1
Is it 5 or 10?
Please select a date from the list
Select one from the list
select the best from our range where possible
Where do I drop off the table?
Drop the table and run
Drop us a line
Update your profile
update me on this
Delete from the list, please
insert coin into slot
The union of workers
The European Union selects its members
Union select committee
I want to order by phone
order by mail
Group by age
Limit 5 per customer
Having fun
Having 2 kids and 1 dog
He said "yes" and left
She said "no" or "maybe"
'single' and "double" quotes
The 'foo' or 'bar' option
the '90s or the '80s
6' or 8' long
5'10" tall
6' 2" - 6' 4"
a 5' x 7' rug
My users' data and their friends' data
the users' and admins' rights
Fish -- and chips
Wait -- what?
He left -- or so they say
Issue #42 and PR #43
C# and F# are languages
100% sure; really
50% off!
Cost: $5 (or less)
It costs 5 - 10 euros
2+2=4
a = b and c = d
x=1
1=1
E = mc^2
if a then b else c
Case when needed
This; that; the other
Begin at the beginning; end at the end
Execute the plan; declare victory
To be or not to be
Not now
null
true
and
or
union
I <3 you
a < b and c > d
x<y
5 > 3
-> see below
<- see above
=> arrow
:-) or :-(
*emphasis* and _more_
**bold** text -- with dashes
> quoted 'text' here
- list item's text
1. first item
| a | b |
\`code\` and \`more code\`
[link](https://example.com/?a=b&c=d)
![alt](img.png "title")
# Heading
Can't we use it's own?
'Twas the night before Christmas
'cause I can
y'all come back now
we're 'open'
What's up? #hashtag
"To be" or "not to be"
The so-called "union" of states
See section 5; table 3
Re: your order #5 -- thanks`),
  "addresses and identifiers": lines(`
user@example.com
o'brien@example.com
first.last+tag@example.co.uk
https://example.com/path?a=1&b=2#frag
https://example.com/search?q=select+from
http://www.coreruleset.org
/usr/local/bin/node
/post/foo/9'union all/bar
/post/foo/24 union all select 1,2,3 from aa/bar
C:\\Program Files\\App\\app.exe
\\\\server\\share
../relative/path.txt
src/**/*.test.ts
192.168.0.1
fe80::1%eth0
2001:db8::/32
2010-01-01
2024-05-06T07:08:09.000Z
12:34:56
+49 (30) 123-456
(555) 123-4567
1,234.56
-12.5e-3
0x1F
1-2-3
1.2.3-beta.4
550e8400-e29b-41d4-a716-446655440000
deadbeefdeadbeefdeadbeef
dGhpcyBpcyBhIHRlc3Q=
eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abc-_123
QWxhZGRpbjpvcGVuIHNlc2FtZQ==
YWJj+/abc==
a%20b
GA1.2.1234567890.1234567890
key1=value1&key2=value2
_ga=GA1.2.3; _gid=GA1.2.4
session=abc123; theme=dark
Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Safari/537.36
Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)
curl/8.0.1
text/html,application/xhtml+xml;q=0.9,*/*;q=0.8
multipart/form-data; boundary=----WebKitFormBoundary
no-cache, no-store
W/"abc-123"
bytes=0-499
#fff
rgb(1, 2, 3)
10px
M10 10 L20 20 Z
v1.2.3
@user mentioned
:smile:
data:image/png;base64,iVBORw0KGgo=`),
  "code and data": lines(`
{"a":1,"b":"x"}
{"name":"O'Brien","age":5}
{"onclick":"x"}
{"and":[{"=":["a",1]}]}
{"query":"{ user(id: 1) { name } }"}
query { user(id: 5) { name posts(first: 10) { title } } }
mutation($x: Int!) { set(a: $x) }
[1,2,3]
["a","b"]
"a","b","c"
a;b;c
a,b,c
var x = 5;
const y = 'foo';
let z = "bar" + x;
if (a && b) { c(); }
if (a<b && c>d) x=1;
for (let i = 0; i < 10; i++) {}
function foo(a, b) { return a + b; }
x = y || z
a ? b : c
foo.bar(1, 'x')
console.log("hello " + name);
await sleep(1000);
time.sleep(5)
sleep(1000);
printf("%d\\n", x);
#include <stdio.h>
import os
def f(x): return x
SELECTED
print 'hello'
List<String>
List<Object>
Map<String, Set<Integer>>
Array<Object>
std::vector<int>
Promise<void>
template<typename T>
<https://example.com>
<foo@bar.com>
<br/>
<p>Hello <b>world</b></p>
<p class="x">Hello</p>
<a href="https://x.y/?a=b">link</a>
<img src="a.png" alt="b">
<p style="color: red; margin: 0">text</p>
<span style="color: rgb(1, 2, 3)">x</span>
<ul><li>one</li><li>two</li></ul>
<item id="1"><name>x</name></item>
<?xml version="1.0" encoding="UTF-8"?>
<!-- a comment -->
one=1 online=2 only=3
price online=5
OnSuccess= and OnFailure= are settings
onload is an event
JavaScript: The Good Parts (2008)
javascript: the language
data: see below
ls -la | grep foo
cat a.txt > b.txt
a && b
echo 'hello'
rm -rf ./build
git commit -m "Fix it's own thing"
SELECT
key: value
key = "value"
key='value'
.class { color: red; }
@media (max-width: 5px) { a { b: c } }
\\begin{document}
$x^2 + y^2 = z^2$
/* a comment */ code
a /* b */ c
// a comment
-- a comment
foo(bar(baz))
5 * length
(a + b) * c
100 - 5
a-b
10 / 2
f(x) = x
y = mx + b
1 < 2
'a'
"a"
''
""
'
"
;
--
#
()
( )`),
};
