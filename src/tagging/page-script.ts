// The script that pages take from `/t.js`: tells of views, also in pages that change without loading, and of what the
// page says by `sluice("event", name, params)`. It stores nothing: who comes again is known by the server's cookie.

// For every browser that is in use: no syntax of these years.
const SOURCE = `(function (w, d) {
  "use strict";
  var base = (d.currentScript && d.currentScript.src || "").replace(/[^/]*$/, "");
  var early = w.sluice && w.sluice.q || [];
  var visit = w.crypto.getRandomValues(new Uint32Array(4)).join("-");
  var consent = null, user = {}, userId = "", last = "", waiting = [], timer = 0;

  function now() { return new w.Date().getTime(); }
  function post(path, body) {
    var text = JSON.stringify(body);
    if (w.navigator.sendBeacon && w.navigator.sendBeacon(base + path, text)) return;
    if (w.fetch) w.fetch(base + path, { method: "POST", body: text, keepalive: true, credentials: "include" });
  }
  function flush() {
    clearTimeout(timer);
    timer = 0;
    if (waiting.length === 0) return;
    var shared = { visit: visit, userId: userId, user: user, language: (w.navigator.language || "").toLowerCase(),
      screen: w.screen ? w.screen.width + "x" + w.screen.height : "", events: waiting };
    if (consent) shared.consent = consent;
    waiting = [];
    post("collect", shared);
  }
  function event(name, params) {
    waiting.push({ name: name, time: now(), url: w.location.href, title: d.title, referrer: last || d.referrer,
      params: params || {} });
    if (waiting.length >= 20) flush();
    else if (!timer) timer = setTimeout(flush, 500);
  }
  function view() {
    if (w.location.href === last) return;
    event("page_view");
    last = w.location.href;
  }
  function run(what, a, b) {
    if (what === "event") event(a, b);
    else if (what === "view") { last = ""; view(); }
    else if (what === "user") { userId = a || ""; user = b || {}; }
    else if (what === "consent") {
      consent = a;
      flush();
      post("consent", { visit: visit, consent: a });
    }
  }
  w.sluice = function () { run.apply(null, arguments); };
  ["pushState", "replaceState"].forEach(function (name) {
    var original = w.history[name];
    w.history[name] = function () {
      var result = original.apply(this, arguments);
      setTimeout(view, 0);
      return result;
    };
  });
  w.addEventListener("popstate", function () { setTimeout(view, 0); });
  d.addEventListener("visibilitychange", function () { if (d.visibilityState === "hidden") flush(); });
  w.addEventListener("pagehide", flush);
  view();
  for (var i = 0; i < early.length; i += 1) run.apply(null, early[i]);
})(window, document);
`;

/** The script; events and choices go to these names beside it. */
export const pageScript = (collect: string, consent: string): Buffer =>
  Buffer.from(SOURCE.replace('post("collect"', `post("${collect}"`).replace('post("consent"', `post("${consent}"`));

export const PAGE_SCRIPT: Buffer = pageScript("collect", "consent");
