// The script that sends requests of pages to vendors by way of the site: for scripts, pictures, frames and links that
// are put in later, and for what scripts ask for by themselves. Taken from `/guard.js`, before any other script.

const SOURCE = `(function (w, d, hosts, veiled) {
  "use strict";
  var base = (d.currentScript && d.currentScript.src || "").replace(/\\/[^/]*$/, "");
  function veil(path) {
    if (!veiled) return base + path;
    var end = path.search(veiled.cloak ? /#/ : /[?#]/);
    var shown = end < 0 ? "" : path.slice(end);
    var bytes = unescape(encodeURIComponent(end < 0 ? path : path.slice(0, end)));
    var mixed = "";
    for (var i = 0; i < bytes.length; i += 1)
      mixed += String.fromCharCode(bytes.charCodeAt(i) ^ veiled.relay.charCodeAt(i % veiled.relay.length));
    return base + "/" + veiled.relay + "/" +
      w.btoa(mixed).replace(/\\+/g, "-").replace(/\\//g, "_").replace(/=+$/, "") + shown;
  }
  function own(url) {
    if (typeof url !== "string" && !(url instanceof w.URL)) return url;
    var text = String(url);
    if (veiled && text.indexOf(base + "/") === 0) {
      var below = text.slice(base.length);
      return /^\\/[bcdfghjklmnpqrstvwxz2-9]{10}(?:[.\\/?#]|$)/.test(below) ? url : veil(below);
    }
    var found = /^(?:https?:)?\\/\\/([^/?#]+)([/?#][^]*)?$/i.exec(text);
    if (!found) return url;
    var path = hosts[found[1].toLowerCase().replace(/:(?:443|80)$/, "")];
    if (typeof path !== "string") return url;
    var rest = found[2] || "/";
    return veil(path + (rest.charAt(0) === "/" ? rest : "/" + rest));
  }
  // What is rewritten on its way has another digest than the one that the page was told.
  function isOwn(element) { return String(element.src || "").indexOf(base + "/") === 0; }
  function guard(name, property, set) {
    var type = w[name] && w[name].prototype;
    var before = type && Object.getOwnPropertyDescriptor(type, property);
    if (!before || !before.set) return;
    Object.defineProperty(type, property, {
      configurable: true, enumerable: before.enumerable, get: before.get,
      set: function (value) { set(this, value, before.set); }
    });
  }
  function setSource(element, url, set) {
    var mine = own(url);
    if (mine !== url) element.removeAttribute("integrity");
    set.call(element, mine);
  }
  guard("HTMLScriptElement", "src", setSource);
  guard("HTMLImageElement", "src", setSource);
  guard("HTMLIFrameElement", "src", setSource);
  guard("HTMLLinkElement", "href", setSource);
  guard("HTMLScriptElement", "integrity", function (element, value, set) {
    if (!isOwn(element)) set.call(element, value);
  });
  var setAttribute = w.Element.prototype.setAttribute;
  w.Element.prototype.setAttribute = function (name, value) {
    var isSource = /^src$/i.test(name) && /^(?:SCRIPT|IMG|IFRAME)$/i.test(this.tagName) ||
      /^href$/i.test(name) && /^LINK$/i.test(this.tagName);
    if (/^integrity$/i.test(name) && isOwn(this)) return;
    var mine = isSource ? own(value) : value;
    if (mine !== value) this.removeAttribute("integrity");
    return setAttribute.call(this, name, mine);
  };
  if (w.navigator.sendBeacon) {
    var sendBeacon = w.navigator.sendBeacon.bind(w.navigator);
    w.navigator.sendBeacon = function (url, body) { return sendBeacon(own(url), body); };
  }
  if (w.fetch) {
    var fetch = w.fetch;
    w.fetch = function (what, how) {
      if (w.Request && what instanceof w.Request) {
        var url = own(what.url);
        return fetch.call(w, url === what.url ? what : new w.Request(url, what), how);
      }
      return fetch.call(w, own(what), how);
    };
  }
  var open = w.XMLHttpRequest && w.XMLHttpRequest.prototype.open;
  if (open) w.XMLHttpRequest.prototype.open = function () {
    arguments[1] = own(arguments[1]);
    return open.apply(this, arguments);
  };
})(window, document, HOSTS, VEILED);
`;

/** Which hosts are reached by way of the route, and the path below it. */
export type Hosts = readonly (readonly [host: string, path: string])[];

/** `veiled`: what goes to vendors stands behind this name, with its path encoded (engines/tagging/opaque.ts). */
export function guardScript(
  hosts: Hosts,
  veiled: { readonly relay: string; readonly cloak: boolean } | null = null,
): Buffer {
  const script = SOURCE.replace("VEILED", () => JSON.stringify(veiled));
  return Buffer.from(script.replace("HOSTS", () => JSON.stringify(Object.fromEntries(hosts))));
}
