// The style of the page. Colours follow what the reader's system has, dark or light; all pairs have a contrast of
// 4.5:1 at least (WCAG 2.2, 1.4.3).
export const STYLE = `
:root{color-scheme:light dark;--bg:#fff;--fg:#1b1f24;--soft:#f3f4f6;--line:#d0d7de;--dim:#57606a;--link:#0550ae;
--get:#0a6b3d;--post:#0550ae;--put:#8a4b00;--delete:#b3261e}
@media (prefers-color-scheme:dark){:root{--bg:#0d1117;--fg:#e6edf3;--soft:#161b22;--line:#30363d;--dim:#9aa4af;
--link:#79c0ff;--get:#56d364;--post:#79c0ff;--put:#e3b341;--delete:#ff9a94}}
*{box-sizing:border-box}
body{margin:0;font:16px/1.5 system-ui,sans-serif;background:var(--bg);color:var(--fg)}
a{color:var(--link)}
a:focus-visible,button:focus-visible,input:focus-visible,textarea:focus-visible,select:focus-visible,
summary:focus-visible,pre:focus-visible{outline:3px solid var(--link);outline-offset:1px}
.skip{position:absolute;left:-999px}.skip:focus{left:1rem;top:1rem;background:var(--bg);padding:.5rem;z-index:2}
header{padding:1.5rem 2rem;border-bottom:1px solid var(--line)}
header h1{margin:0 0 .25rem}
.version,.dim,.limits,.combined>span{color:var(--dim)}
.layout{display:grid;grid-template-columns:20rem minmax(0,1fr)}
nav{border-right:1px solid var(--line);padding:1rem;position:sticky;top:0;align-self:start;max-height:100vh;
overflow:auto}
nav ul{list-style:none;margin:0 0 1rem;padding:0}
nav h2{font-size:1rem;margin:.5rem 0 .25rem}
nav li a{display:block;padding:.15rem .25rem;text-decoration:none;color:var(--fg);overflow-wrap:anywhere;
font-size:.9rem}
nav li a:hover{background:var(--soft)}
main{padding:1rem 2rem 4rem;max-width:70rem}
article{border-top:1px solid var(--line);padding:1rem 0}
.method{font:700 .8rem ui-monospace,monospace;color:var(--dim)}
.method.get,.method.head{color:var(--get)}.method.post{color:var(--post)}.method.put,.method.patch{
color:var(--put)}.method.delete{color:var(--delete)}
h3{margin:.5rem 0;overflow-wrap:anywhere}h4{margin:1rem 0 .25rem}
code,pre,textarea{font-family:ui-monospace,monospace;font-size:.875rem}
pre{background:var(--soft);border:1px solid var(--line);border-radius:6px;padding:.75rem;overflow:auto;
max-height:30rem}
table{border-collapse:collapse;width:100%}th,td{text-align:left;vertical-align:top;
border-bottom:1px solid var(--line);padding:.35rem .5rem .35rem 0}
.members{margin:.25rem 0 .25rem .5rem;padding-left:.75rem;border-left:2px solid var(--line)}.members dd{
margin:0 0 .5rem 1rem}
.required{color:var(--delete);font-size:.85rem}.deprecated h3{text-decoration:line-through}
details{margin:.5rem 0}summary{cursor:pointer}
label{display:block;margin:.35rem 0}input,textarea,select{font:inherit;width:100%;max-width:40rem;padding:.4rem;
border:1px solid var(--dim);border-radius:4px;background:var(--bg);color:var(--fg)}
textarea{min-height:8rem}
button{font:inherit;padding:.35rem .8rem;border:1px solid var(--dim);border-radius:4px;background:var(--soft);
color:var(--fg);cursor:pointer}
[hidden]{display:none!important}
@media (max-width:50rem){.layout{grid-template-columns:minmax(0,1fr)}nav{position:static;max-height:none;border-right:0;
border-bottom:1px solid var(--line)}main,header{padding-inline:1rem}}
@media print{nav,form,button{display:none}.layout{display:block}}
`;
