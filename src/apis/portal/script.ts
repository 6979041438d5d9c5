// What a portal does in a browser. A key or password that somebody signs in with is kept in memory until the page is
// left; all that comes from elsewhere is shown as text, but for documentation, which the proxy has made of text itself.
export const SCRIPT = `
"use strict";
(() => {
  const { path, ways } = JSON.parse(document.body.dataset.portal);
  const $ = (id) => document.getElementById(id);
  let credentials = null; // fields that say who it is; null before signing in, empty for a session
  let me = null;
  const make = (tag, text = "", attributes = {}) => {
    const element = document.createElement(tag);
    element.textContent = text;
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    return element;
  };
  const say = (text, wrong = false) => {
    $("message").textContent = text;
    $("message").classList.toggle("wrong", wrong);
  };
  class Refused extends Error {
    constructor(status, text) {
      super(text);
      this.status = status;
    }
  }
  const call = async (method, what, body) => {
    const headers = new Headers({ accept: "application/json", "x-portal": "1", ...credentials });
    const isSession = Object.keys(credentials).length === 0;
    const options = { method, headers, redirect: "error", cache: "no-store" };
    options.credentials = isSession ? "same-origin" : "omit";
    if (body !== undefined) {
      headers.set("content-type", "application/json");
      options.body = JSON.stringify(body);
    }
    const answer = await fetch(path + "/api/" + what, options);
    const content = await answer.json().catch(() => ({}));
    if (answer.ok) return content;
    throw new Refused(answer.status, content.detail ?? answer.status + " " + answer.statusText);
  };
  const remember = (session) => {
    try {
      if (session) sessionStorage.setItem("portal", "session");
      else sessionStorage.removeItem("portal");
    } catch {}
  };
  const remembered = () => {
    try {
      return sessionStorage.getItem("portal") === "session";
    } catch {
      return false;
    }
  };
  const outside = () => {
    credentials = me = null;
    remember(false);
    for (const id of ["docs", "keys", "usage", "limits", "new-key", "api-list"]) $(id).replaceChildren();
    $("inside").hidden = $("who").hidden = true;
    $("signin").hidden = false;
  };
  const failed = (error) => {
    if (error.status === 401) {
      outside();
      return say("You are signed out. " + error.message, true);
    }
    say(error.message, true);
  };
  const doing = (work) => async (...about) => {
    say("");
    try {
      await work(...about);
    } catch (error) {
      failed(error);
    }
  };
  const date = (text) => (text === "" ? "–" : text.includes("T") ? new Date(text).toLocaleString() : text);

  const show = (name) => {
    for (const tab of document.querySelectorAll("[role=tab]")) {
      const is = tab.id === "tab-" + name;
      tab.setAttribute("aria-selected", String(is));
      tab.tabIndex = is ? 0 : -1;
      $(tab.getAttribute("aria-controls")).hidden = !is;
    }
    $("new-key").replaceChildren();
    return name === "keys" ? showKeys() : name === "usage" ? showUsage() : undefined;
  };
  const tabs = [...document.querySelectorAll("[role=tab]")];
  for (const tab of tabs) {
    tab.addEventListener("click", doing(() => show(tab.id.slice(4))));
    tab.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      if (step === undefined) return;
      const there = tabs.filter((each) => !each.hidden);
      const next = there[(there.indexOf(tab) + step + there.length) % there.length];
      next.focus();
      next.click();
    });
  }

  const inside = async (fields) => {
    credentials = fields;
    try {
      me = await call("GET", "me");
    } catch (error) {
      credentials = null;
      remember(false);
      throw error;
    }
    $("name").textContent = me.consumer + (me.plan === "" ? "" : " (" + me.plan + ")");
    $("who").hidden = $("inside").hidden = false;
    $("signin").hidden = true;
    $("tab-keys").hidden = me.keys === null;
    $("tab-usage").hidden = !me.usage;
    $("tab-apis").hidden = me.apis.length === 0;
    $("api-list").replaceChildren();
    for (const api of me.apis) {
      const button = make("button", api.title, { type: "button" });
      button.addEventListener("click", doing(() => showApi(api.name)));
      $("api-list").append(button, " ");
    }
    $("api-list").hidden = me.apis.length < 2;
    if (me.keys !== null) fillTimes();
    const first = tabs.find((tab) => !tab.hidden);
    if (first === undefined) return;
    await show(first.id.slice(4));
    if (me.apis.length > 0) await showApi(me.apis[0].name);
  };

  const showApi = async (name) => {
    const { html } = await call("GET", "docs/" + encodeURIComponent(name));
    const parsed = new DOMParser().parseFromString(html, "text/html");
    parsed.querySelector(".skip")?.remove();
    $("docs").replaceChildren(...document.importNode(parsed.body, true).childNodes);
    for (const input of document.querySelectorAll("#credentials input")) {
      const { kind } = input.dataset;
      const key = Object.values(credentials)[0];
      if (key === undefined) continue;
      if (me.kind === "apiKey" && kind === "key") input.value = key;
      if (me.kind === "apiKey" && kind === "bearer") input.value = key.replace(/^Bearer /, "");
    }
    const script = make("script", "", { src: path + "/docs.js" });
    script.addEventListener("load", () => script.remove());
    document.head.append(script);
  };

  const DAY = 86400;
  const spans = (most) => {
    const short = [[3600, "an hour"], [DAY, "a day"], [7 * DAY, "a week"]];
    const all = [...short, [30 * DAY, "30 days"], [90 * DAY, "90 days"], [365 * DAY, "a year"]];
    const fit = all.filter(([seconds]) => seconds < most);
    const known = all.find(([seconds]) => seconds === most);
    const [size, unit] = most % DAY === 0 ? [DAY, " days"] : most % 3600 === 0 ? [3600, " hours"] : [1, " seconds"];
    return [...fit, known ?? [most, most / size + unit]];
  };
  const fill = (select, list) =>
    select.replaceChildren(...list.map(([value, text]) => make("option", text, { value: String(value) })));
  const fillTimes = () => {
    const { ttlMax, overlapMax } = me.keys;
    fill($("make").elements.ttl, spans(ttlMax).reverse());
    const times = overlapMax === 0 ? [] : spans(overlapMax);
    fill($("ask").querySelector("select"), [...times.map(([s, text]) => [s + "s", text]).reverse(), ["0s", "no more"]]);
  };

  const showKeys = async () => {
    const { keys, scopes } = await call("GET", "keys");
    $("keys").replaceChildren(...keys.map(rowOf));
    const marks = scopes.map((scope) => {
      const label = make("label");
      label.append(make("input", "", { type: "checkbox", name: "scope", value: scope, checked: "" }), " " + scope);
      return label;
    });
    $("scopes").replaceChildren(make("legend", "Scopes"), ...marks);
    $("scopes").hidden = scopes.length === 0;
  };
  const rowOf = (key) => {
    const row = make("tr");
    row.append(make("th", key.name || "(without a name)", { scope: "row" }));
    const until = key.expires === "" ? "without end" : date(key.expires);
    const cells = [key.hint || "–", key.scopes.join(", ") || "–", date(key.createdAt), until, key.state];
    for (const text of cells) row.append(make("td", text));
    const change = make("td");
    if (key.source === "configuration") change.textContent = "by the operator";
    else {
      for (const [text, work] of [["Rotate", rotate], ["Revoke", revoke]]) {
        if (text === "Rotate" && key.state !== "active") continue;
        const button = make("button", text, { type: "button", "aria-label": text + " " + key.name });
        button.addEventListener("click", doing(() => work(key)));
        change.append(button);
      }
    }
    row.append(change);
    return row;
  };
  $("ask-yes").addEventListener("click", () => $("ask").close("yes"));
  $("ask-no").addEventListener("click", () => $("ask").close("no"));
  const ask = (title, text, yes, withOverlap) =>
    new Promise((resolve) => {
      const dialog = $("ask");
      $("ask-title").textContent = title;
      $("ask-text").textContent = text;
      $("ask-yes").textContent = yes;
      $("ask-overlap").hidden = !withOverlap;
      dialog.returnValue = "no";
      dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true });
      dialog.showModal();
    });
  const revoke = async (key) => {
    const text = "Whoever uses this key is refused from then on.";
    if (!(await ask("Revoke " + key.name, text, "Revoke the key", false))) return;
    await call("DELETE", "keys/" + encodeURIComponent(key.id));
    await showKeys();
    say("The key " + key.name + " is revoked.");
  };
  const rotate = async (key) => {
    const text = "A new key takes the place of this one.";
    if (!(await ask("Rotate " + key.name, text, "Make the new key", true))) return;
    const overlap = $("ask").querySelector("select").value;
    const made = await call("POST", "keys/" + encodeURIComponent(key.id) + "/rotate", { overlap });
    await showKeys();
    tell(made);
  };
  const tell = (made) => {
    const code = make("code", made.key);
    const copy = make("button", "Copy", { type: "button" });
    copy.addEventListener("click", async () => {
      try {
        await navigator.clipboard.writeText(made.key);
        copy.textContent = "Copied";
      } catch {
        copy.textContent = "Select and copy by hand";
      }
    });
    const line = make("p");
    line.append(code, " ", copy);
    const text = "It is shown this once: keep it where only you can read it.";
    $("new-key").replaceChildren(make("p", "Your new key " + made.name + ". " + text), line);
  };
  $("make").addEventListener("submit", (event) => {
    event.preventDefault();
    const { name, ttl } = $("make").elements;
    const boxes = [...$("make").querySelectorAll("input[name=scope]")];
    const scopes = boxes.filter((box) => box.checked).map((box) => box.value);
    doing(async () => {
      const made = await call("POST", "keys", { name: name.value, ttl: Number(ttl.value), scopes });
      name.value = "";
      await showKeys();
      tell(made);
    })();
  });

  const UNITS = { minute: "a minute", hour: "an hour", day: "a day", month: "a month" };
  const count = (number) => number.toLocaleString();
  const showUsage = async () => {
    const { plan, limits, usage } = await call("GET", "usage");
    $("plan").textContent = plan ?? "none";
    $("limits").replaceChildren(...limits.map((limit) => {
      const item = make("li");
      if (limit.limit === undefined) {
        item.textContent = count(limit.perSecond) + " requests a second, " + count(limit.burst) + " at once";
        return item;
      }
      const per = UNITS[limit.per] ?? limit.per;
      const left = count(limit.remaining) + " of " + count(limit.limit) + " " + limit.unit + " left in " + per;
      item.append(make("span", left));
      const much = { min: 0, max: limit.limit, value: limit.remaining };
      item.append(make("meter", left, { ...much, "aria-label": limit.name }));
      return item;
    }));
    const rows = [...usage].sort((a, b) => (a.time < b.time ? 1 : a.time > b.time ? -1 : a.route < b.route ? -1 : 1));
    $("usage").replaceChildren(...rows.map((one) => {
      const row = make("tr");
      row.append(make("th", one.time.slice(0, 10), { scope: "row" }));
      const cells = [one.route, count(one.requests), count(one.errors), count(one.units)];
      for (const text of cells) row.append(make("td", text));
      return row;
    }));
  };

  const fieldsOf = {
    apiKey: ({ key }) => {
      const { header } = ways.find(({ kind }) => kind === "apiKey");
      const value = key.value.trim();
      return { [header]: header === "authorization" ? "Bearer " + value : value };
    },
    basic: ({ user, password }) => {
      const bytes = new TextEncoder().encode(user.value + ":" + password.value);
      return { authorization: "Basic " + btoa(String.fromCharCode(...bytes)) };
    },
  };
  for (const form of $("signin").querySelectorAll("form"))
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      const fields = fieldsOf[form.dataset.way](form.elements);
      doing(async () => {
        await inside(fields);
        form.reset();
      })();
    });
  $("leave").addEventListener("click", () => {
    const isSession = me?.kind === "oidc";
    outside();
    say("You are signed out.");
    if (isSession) location.assign("/.auth/logout?rd=" + encodeURIComponent(path));
  });
  if (new URLSearchParams(location.search).has("signed-in")) {
    remember(true);
    history.replaceState(null, "", path);
  }
  if (remembered()) doing(() => inside({}))();
})();
`;
