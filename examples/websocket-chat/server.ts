// A chat: whatever one says, all hear.
const PAGE = `<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Chat</title>
<form><input autofocus placeholder="Say something"></form><ul></ul>
<script>
  const socket = new WebSocket(location.href.replace(/^http/, "ws").replace(/\\/$/, "") + "/chat");
  socket.onmessage = ({ data }) => {
    const line = document.createElement("li");
    line.textContent = data;
    document.querySelector("ul").append(line);
  };
  document.querySelector("form").onsubmit = (event) => {
    event.preventDefault();
    const field = document.querySelector("input");
    socket.send(field.value);
    field.value = "";
  };
</script></html>
`;

const server = Bun.serve({
  hostname: "127.0.0.1",
  port: Number(process.env.CHAT_PORT ?? 3001),
  fetch(request, server) {
    const { pathname } = new URL(request.url);
    if (pathname === "/chat" && server.upgrade(request)) return undefined;
    if (pathname === "/") return new Response(PAGE, { headers: { "content-type": "text/html; charset=utf-8" } });
    return new Response("not found\n", { status: 404 });
  },
  websocket: {
    open(socket) {
      socket.subscribe("chat");
    },
    message(_socket, text) {
      server.publish("chat", text);
    },
  },
});
console.log(`chat: ${server.url.origin}`);
