// The pages of the sample servers behind `sluice demo`.

const STYLE = `
:root { color-scheme: light dark; --line: color-mix(in srgb, currentColor 18%, transparent); }
body { font: 16px/1.55 system-ui, sans-serif; max-width: 44rem; margin: 3rem auto; padding: 0 1.25rem; }
h1 { font-size: 1.7rem; margin: 0 0 .25rem; }
h2 { font-size: 1.05rem; margin: 2rem 0 .5rem; }
b.server { background: #0b7285; color: #fff; border-radius: .4em; padding: .05em .5em; }
b.server.two { background: #862e9c; }
table { border-collapse: collapse; width: 100%; }
td { border-top: 1px solid var(--line); padding: .45rem .6rem .45rem 0; vertical-align: top; }
pre, output { display: block; border: 1px solid var(--line); border-radius: .5em; padding: .7rem;
  min-height: 1.5em; overflow: auto; font: 14px/1.5 ui-monospace, monospace; white-space: pre-wrap; }
input, button { font: inherit; padding: .35em .7em; }
`;

function page(title: string, body: string): string {
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<link rel="icon" href="data:,">
<title>${title}</title>
<style>${STYLE}</style>
${body}
</html>
`;
}

const badge = (name: string): string => `<b class="server ${name}">${name}</b>`;

/** The first page: what there is to try, with a live view of balancing and of server-sent events. */
export function homePage(name: string): string {
  return page(
    "Sluice demo",
    `<h1>It works.</h1>
<p>Sluice passed your request on, and server ${badge(name)} answered it. There are two servers; reload the page.</p>
<h2>Links to follow</h2>
<table>
<tr><td><a href="/api/time">/api/time</a><td>JSON from one of the servers
<tr><td><a href="/api/request?a=1">/api/request</a><td>the request as the server saw it: look for <code>x-forwarded-for</code> and <code>via</code>
<tr><td><a href="/v1/time">/v1/time</a><td>a path that Sluice rewrites to <code>/api/time</code>
<tr><td><a href="/old">/old</a><td>a redirect made by Sluice
<tr><td><a href="/hello">/hello</a><td>an answer made by Sluice, without any server
<tr><td><a href="/events">/events</a><td>server-sent events, one each second
<tr><td><a href="/echo">/echo</a><td>a WebSocket that echoes
<tr><td><a href="/nothing">/nothing</a><td>a server's own 404, passed on unchanged
</table>
<h2>Balancing: twelve requests</h2>
<p id="balance"></p>
<h2>Server-sent events</h2>
<pre id="events"></pre>
<script type="module">
const balance = document.querySelector("#balance");
for (let i = 0; i < 12; i += 1) {
  const { server } = await (await fetch("/api/time")).json();
  const mark = Object.assign(document.createElement("b"), { className: "server " + server, textContent: server });
  balance.append(mark, " ");
}
const events = document.querySelector("#events");
new EventSource("/events").onmessage = ({ data }) => { events.textContent = data; };
</script>`,
  );
}

/** The page that talks to the WebSocket at its own address. */
export function echoPage(name: string): string {
  return page(
    "WebSocket echo",
    `<h1>WebSocket echo</h1>
<p>This page came from ${badge(name)}; the socket below goes to whichever server has its turn.</p>
<form><input name="text" value="hello" autocomplete="off" autofocus> <button>Send</button></form>
<output></output>
<p><a href="/">back</a></p>
<script type="module">
const output = document.querySelector("output");
const say = (line) => { output.textContent += line + "\\n"; };
const socket = new WebSocket(location.href.replace(/^http/, "ws"));
socket.onopen = () => say("open");
socket.onmessage = ({ data }) => say("← " + data);
socket.onclose = () => say("closed");
document.querySelector("form").onsubmit = (event) => {
  event.preventDefault();
  const { value } = event.target.elements.text;
  say("→ " + value);
  socket.send(value);
};
</script>`,
  );
}

export function notFoundPage(name: string): string {
  return page("Not here", `<h1>Nothing here</h1><p>This 404 is from server ${badge(name)}. <a href="/">Back</a></p>`);
}
