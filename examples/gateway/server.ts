// An API in two versions, which say who they are. Nothing is checked here: that is done before requests come.
interface Order {
  readonly id?: number;
  readonly product: string;
  readonly count: number;
}

function answerOf(request: Request, orders: Order[]): Response | Promise<Response> {
  const { pathname } = new URL(request.url);
  if (pathname === "/healthz") return new Response("ok\n");
  if (pathname !== "/v1/orders") {
    const order = orders[Number(pathname.slice("/v1/orders/".length)) - 1];
    return order === undefined ? new Response("there is none\n", { status: 404 }) : Response.json(order);
  }
  if (request.method === "GET") return Response.json(orders);
  return request.json().then((body) => {
    const order = { ...(body as Order), id: orders.length + 1 };
    orders.push(order);
    return Response.json(order, { status: 201 });
  });
}

for (const [at, name] of ["stable", "next"].entries()) {
  const port = Number(process.env[`${name.toUpperCase()}_PORT`] ?? 3001 + at);
  const orders: Order[] = [{ id: 1, product: "tea", count: 2 }];
  const fetch = async (request: Request): Promise<Response> => {
    const response = await answerOf(request, orders);
    response.headers.set("x-version", name);
    return response;
  };
  console.log(`${name}: ${Bun.serve({ hostname: "127.0.0.1", port, fetch }).url.origin}`);
}
