// biome-ignore-all lint/suspicious/noTemplateCurlyInString: placeholders of the configuration
import { expect, test } from "bun:test";
import { Folder } from "../../test/support/sluice.ts";
import { ConfigError, renderDiagnostic } from "./diagnostic.ts";
import { type Fragment, NOTHING_PROVIDED, type Provided, sendable } from "./fragment.ts";
import { checkConfig, type Loaded, loadConfig, withProvided } from "./load.ts";

const MAIN = `listeners: [{ address: ":0" }]
upstreams:
  main: { servers: ["a:1"] }
routes:
  - { name: first, match: { path: /a }, to: main }
`;

/** A fragment of a file whose values all stand in line 7. */
function fragment(name: string, values: Partial<Fragment>): Fragment {
  const source = `/conf/${name}.yaml`;
  const locate = (): { file: string; line: number; column: number } => ({ file: source, line: 7, column: 1 });
  return { kind: "file", source, upstreams: {}, routes: [], locate, ...values };
}

function docker(name: string, values: Partial<Fragment>): Fragment {
  const fallback = {
    kind: "docker" as const,
    source: `docker: upstream ${name}`,
    upstreams: { [name]: { servers: [] } },
  };
  return { routes: [], ...fallback, ...values };
}

interface Outcome {
  readonly routes: readonly string[];
  readonly upstreams: readonly string[];
  readonly said: readonly string[];
}

async function outcome(fragments: readonly Fragment[], text = MAIN, more: Partial<Provided> = {}): Promise<Outcome> {
  using folder = new Folder();
  const file = folder.write("sluice.yaml", text);
  const show = (list: readonly Parameters<typeof renderDiagnostic>[0][]): string[] =>
    list.map((one) => renderDiagnostic(one).replaceAll(`${folder.path}/`, ""));
  try {
    const provide = (): Provided => ({ ...NOTHING_PROVIDED, fragments, ...more });
    const { config, diagnostics, rejected } = await loadConfig(file, { provide, environment: { HOST: "h.example" } });
    const routes = config.routes.map(({ name, match }) => name ?? String(match?.path ?? match?.host));
    return { routes, upstreams: Object.keys(config.upstreams), said: show([...diagnostics, ...rejected]) };
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    return { routes: [], upstreams: [], said: show(error.diagnostics) };
  }
}

const route = (path: string, to = "main") => ({ match: { path }, to });
const B = { servers: ["b:1"] };
const DOCKER = `${MAIN}providers: { docker: {} }\n`;

test("routes come behind the main ones, in the order of the fragments and of their ranks", async () => {
  const fragments = [
    fragment("a", { upstreams: { b: B }, routes: [route("/b", "b"), route("/c")] }),
    docker("d", { routes: [route("/e", "d"), route("/d", "d")], order: [2, 1] }),
    fragment("f", { routes: [route("/f")] }),
  ];
  const { routes, upstreams, said } = await outcome(fragments);
  expect(routes).toEqual(["first", "/b", "/c", "/f", "/d", "/e"]);
  expect(upstreams).toEqual(["main", "b", "d"]);
  expect(said).toEqual([]);
});

const WRONG: readonly (readonly [name: string, fragments: readonly Fragment[], want: Partial<Outcome>])[] = [
  [
    "a name of the main configuration",
    [fragment("a", { upstreams: { main: B }, routes: [route("/b")] }), fragment("c", { routes: [route("/c")] })],
    {
      routes: ["first", "/c"],
      said: [
        '/conf/a.yaml:7:1: error: there is another upstream named "main"\n  hint: it is in the main configuration',
      ],
    },
  ],
  [
    "a name of another fragment",
    [fragment("a", { upstreams: { b: B }, routes: [route("/b", "b")] }), fragment("c", { upstreams: { b: B } })],
    {
      routes: ["first", "/b"],
      said: ['/conf/c.yaml:7:1: error: there is another upstream named "b"\n  hint: it is in /conf/a.yaml:7'],
    },
  ],
  [
    "a new fragment with a name that another one had",
    [
      fragment("a", { upstreams: { b: B } }),
      fragment("c", {
        upstreams: { b: B },
        routes: [route("/c", "b")],
        before: fragment("c", { upstreams: { b: B } }),
      }),
    ],
    {
      routes: ["first", "/c"],
      said: ['/conf/a.yaml:7:1: error: there is another upstream named "b"\n  hint: it is in /conf/c.yaml:7'],
    },
  ],
  [
    "a wrong shape, with a version before",
    [
      fragment("a", {
        routes: [route("/a2"), { ...route("/b"), nmae: "b" }],
        before: fragment("a", { routes: [route("/old")] }),
      }),
      fragment("c", { routes: [route("/c")] }),
    ],
    {
      routes: ["first", "/old", "/c"],
      said: ['/conf/a.yaml:7:1: error: unknown key "nmae" in routes[1]\n  hint: did you mean "name"?'],
    },
  ],
  [
    "a wrong version before as well",
    [fragment("a", { routes: [5], before: fragment("a", { routes: [route("nowhere")] }) })],
    {
      routes: ["first"],
      said: [
        "/conf/a.yaml:7:1: error: routes[0] must be a mapping of keys to values, not the number 5",
        '/conf/a.yaml:7:1: error: "nowhere" is not a path\n  hint: a path starts with "/", a regular expression with "~"',
      ],
    },
  ],
  [
    "what another fragment needs goes with it",
    [
      fragment("a", { upstreams: { b: { servers: ["b b"] } } }),
      fragment("c", { routes: [route("/c", "b")] }),
      fragment("d", { routes: [route("/d")] }),
    ],
    { routes: ["first", "/d"] },
  ],
  [
    "a route's name of another",
    [fragment("a", { routes: [{ ...route("/b"), name: "first" }] })],
    {
      routes: ["first"],
      said: [
        '/conf/a.yaml:7:1: error: there is another route named "first"\n  hint: it is routes[0] of the main configuration',
      ],
    },
  ],
  [
    "routes that are never reached",
    [fragment("a", { routes: [route("/b"), route("/a")] }), fragment("c", { routes: [route("/b")] })],
    {
      routes: ["first", "/b", "/a", "/b"],
      said: [
        '/conf/a.yaml:7:1: warning: this route is never reached: "first" (routes[0] of the main configuration) before it takes all its requests\n  hint: put the narrower route first',
        "/conf/c.yaml:7:1: warning: this route is never reached: routes[0] of /conf/a.yaml before it takes all its requests\n  hint: put the narrower route first",
      ],
    },
  ],
  [
    "a placeholder without a value",
    [
      fragment("a", { routes: [route("${NOPE}")] }),
      fragment("b", { routes: [{ match: { host: "${HOST}" }, to: "main" }] }),
    ],
    { routes: ["first", "h.example"] },
  ],
  [
    "an upstream without servers in a file",
    [fragment("a", { upstreams: { b: { servers: [] } } })],
    {
      upstreams: ["main"],
      said: ["/conf/a.yaml:7:1: error: this upstream has no servers\n  hint: give it `servers` or `discover`"],
    },
  ],
  [
    "labels with placeholders are taken as they are",
    [docker("d", { routes: [{ match: { host: "${HOST}" }, to: "d" }] })],
    {
      routes: ["first"],
      said: ['docker: upstream d: error: "${HOST}" is not a host name'],
    },
  ],
];
for (const [name, fragments, want] of WRONG) {
  test(`a fragment that is wrong holds nothing else up: ${name}`, async () => {
    const found = await outcome(fragments);
    expect(found).toMatchObject(want);
    if (want.said !== undefined) expect(found.said).toEqual([...want.said]);
  });
}

test("the main configuration refuses all, and says what was wrong with fragments", async () => {
  const main = `${MAIN}  - { match: { path: /z }, to: gone }\n`;
  const { said } = await outcome([fragment("a", { upstreams: { gone: 5 } })], main);
  expect(said).toEqual([
    'sluice.yaml:6:32: error: there is no upstream named "gone"\n  hint: known upstreams: main',
    "/conf/a.yaml:7:1: error: gone must be a mapping of keys to values, not the number 5",
  ]);
});

test("problems with the settings of providers stand at these settings", async () => {
  const problem = { severity: "error", message: "no", path: ["providers", "files", "path"], at: "value" } as const;
  const { said } = await outcome([], `${MAIN}providers: { files: { path: nowhere } }\n`, { problems: [problem] });
  expect(said).toEqual(["sluice.yaml:6:29: error: no"]);
});

test("with containers as a source, an upstream that is not there may come", async () => {
  const main = `${DOCKER}defaults: { mirror: { to: shadow } }\n`.replace(
    "to: main }",
    "to: [{ upstream: mian, weight: 1 }, { upstream: late, weight: 1 }] }",
  );
  const { upstreams, said } = await outcome([fragment("a", { routes: [route("/b", "web")] })], main);
  expect(upstreams).toEqual(["main", "mian", "late", "web", "shadow"]);
  expect(said.filter((text) => text.includes("brings"))).toEqual([
    'sluice.yaml:5:58: warning: no container brings the upstream "mian" for now\n  hint: did you mean "main"?',
    'sluice.yaml:5:89: warning: no container brings the upstream "late" for now\n  hint: its requests are answered 503 until then',
    'sluice.yaml:7:27: warning: no container brings the upstream "shadow" for now\n  hint: its requests are answered 503 until then',
    '/conf/a.yaml:7:1: warning: no container brings the upstream "web" for now\n  hint: its requests are answered 503 until then',
  ]);
  const address = await outcome([], DOCKER.replace("to: main }", 'to: "app:3001" }'));
  expect(address.said.join("\n")).toContain("if it is an address, write http://app:3001");
});

test("a configuration takes other fragments without its file being read again", async () => {
  using folder = new Folder();
  const file = folder.write("sluice.yaml", MAIN);
  const first = await loadConfig(file, { provide: () => NOTHING_PROVIDED });
  folder.write("sluice.yaml", "broken: [");
  const provided = { ...NOTHING_PROVIDED, fragments: [fragment("a", { routes: [route("/b")] })] };
  const second: Loaded = withProvided(first, provided);
  expect(second.config.routes).toHaveLength(2);
  expect(second.fragments).toEqual(provided.fragments);
  expect(withProvided(second, NOTHING_PROVIDED).config).toEqual(first.config);
});

test("fragments can be sent to another thread", async () => {
  const sent = structuredClone(sendable(fragment("a", { routes: [route("/b")], order: [1] })));
  expect((await outcome([sent])).routes).toEqual(["first", "/b"]);
});

test("programs have no providers", () => {
  const input = { listeners: [{ address: ":0" }], providers: { docker: {} } };
  expect(() => checkConfig(input)).toThrow("providers: error: providers are for configuration files");
});
