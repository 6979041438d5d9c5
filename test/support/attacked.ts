// What the tests that attack the way of a request share.
import type { UpstreamInput } from "./fleet.ts";
import { answer } from "./message.ts";
import { MARKER, type ProxyUnderTest, startProxy, type TestProxy } from "./proxy.ts";
import { RawBackend } from "./raw-backend.ts";

type RouteInput = NonNullable<ProxyUnderTest["routes"]>[number];

/** A proxy whose every request goes to these servers; nobody is left out unless `app` says so. */
export const start = (
  servers: readonly (RawBackend | number)[],
  app: UpstreamInput = {},
  route: Partial<RouteInput> = {},
  more: Partial<ProxyUnderTest> = {},
): Promise<TestProxy> =>
  startProxy({
    ...more,
    upstreams: {
      ...more.upstreams,
      app: {
        servers: servers.map((each) => (typeof each === "number" ? `127.0.0.1:${each}` : each.url)),
        outlier: false,
        ...app,
      },
    },
    routes: [MARKER, { to: "app", ...route } as RouteInput],
  });

/** Answers with the target that was asked for. */
export const echo = (): Promise<RawBackend> => RawBackend.answering((got) => answer(200, got.target));
