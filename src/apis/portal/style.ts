// The style of a portal, beside that of the documentation, whose colours it has.
export const STYLE = `
header.portal{display:flex;flex-wrap:wrap;gap:.5rem 2rem;align-items:baseline;justify-content:space-between}
header.portal h1{font-size:1.5rem}
header.portal p{margin:0}
section.portal,div.portal,p.portal{padding:0 2rem;max-width:70rem}
p.portal:empty{display:none}
p.portal.wrong{color:var(--delete)}
#tabs{max-width:none}
#content:focus{outline:0}
[role=tablist]{display:flex;gap:.25rem;margin:1rem 0;border-bottom:1px solid var(--line)}
[role=tab]{border:0;border-bottom:3px solid transparent;border-radius:0;background:none;padding:.6rem 1rem}
[role=tab][aria-selected=true]{border-color:var(--link);font-weight:700}
.button{display:inline-block;padding:.5rem 1rem;border:1px solid var(--dim);border-radius:4px;background:var(--soft);
color:var(--fg);text-decoration:none}
.button:focus-visible,[tabindex]:focus-visible{outline:3px solid var(--link);outline-offset:1px}
section.portal form{margin:1rem 0 2rem;max-width:30rem}
section.portal form button{margin-top:.5rem}
#make{max-width:40rem;border-top:1px solid var(--line);margin-top:2rem}
fieldset{border:1px solid var(--line);border-radius:4px;margin:.5rem 0}
fieldset label{display:inline-block;margin-right:1rem}
fieldset input{width:auto}
.wide{overflow-x:auto}
.wide th,.wide td{padding-right:1rem}
#new-key:not(:empty){border:2px solid var(--get);border-radius:6px;padding:.75rem;margin:1rem 0}
#new-key code{overflow-wrap:anywhere;font-size:1rem}
#limits{list-style:none;padding:0}
#limits li{margin:.75rem 0}
meter{width:100%;max-width:30rem;height:1.25rem;display:block}
dialog{background:var(--bg);color:var(--fg);border:1px solid var(--dim);border-radius:6px;max-width:30rem}
dialog::backdrop{background:#0008}
dialog select{width:auto}
td button{margin:0 .25rem .25rem 0}
@media (max-width:50rem){section.portal,div.portal,p.portal{padding-inline:1rem}}
`;
