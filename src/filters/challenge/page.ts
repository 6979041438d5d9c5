// The page that has a browser do the work: a script of our own and nothing from anywhere else. It brings its own
// SHA-256, as browsers give theirs to pages over HTTPS alone.
import { createHash } from "node:crypto";

/** Reads its task from the page, and comes back with the solution in a cookie. */
export const SCRIPT = `(function () {
  var d = document.body.dataset, task = d.task, bits = Number(d.bits), n = 0;
  var K = [], H = [], p = 2;
  var frac = function (x) { return ((x - Math.floor(x)) * 4294967296) | 0; };
  for (; K.length < 64; p++) {
    for (var f = 2, prime = true; f * f <= p; f++) if (p % f === 0) { prime = false; break; }
    if (!prime) continue;
    if (H.length < 8) H.push(frac(Math.pow(p, 1 / 2)));
    K.push(frac(Math.pow(p, 1 / 3)));
  }
  var W = new Int32Array(64);
  function firstWord(text) {
    var length = text.length, blocks = ((length + 8) >> 6) + 1, M = new Int32Array(blocks * 16), h = H.slice();
    for (var i = 0; i < length; i++) M[i >> 2] |= text.charCodeAt(i) << (24 - (i % 4) * 8);
    M[length >> 2] |= 0x80 << (24 - (length % 4) * 8);
    M[blocks * 16 - 1] = length * 8;
    for (var b = 0; b < M.length; b += 16) {
      var a = h[0], c = h[1], g = h[2], i2 = h[3], e = h[4], k = h[5], l = h[6], m = h[7];
      for (var t = 0; t < 64; t++) {
        if (t < 16) W[t] = M[b + t];
        else {
          var x = W[t - 15], y = W[t - 2];
          W[t] = (W[t - 16] + W[t - 7] + ((x >>> 7 | x << 25) ^ (x >>> 18 | x << 14) ^ x >>> 3) +
            ((y >>> 17 | y << 15) ^ (y >>> 19 | y << 13) ^ y >>> 10)) | 0;
        }
        var t1 = (m + ((e >>> 6 | e << 26) ^ (e >>> 11 | e << 21) ^ (e >>> 25 | e << 7)) +
          ((e & k) ^ (~e & l)) + K[t] + W[t]) | 0;
        var t2 = (((a >>> 2 | a << 30) ^ (a >>> 13 | a << 19) ^ (a >>> 22 | a << 10)) +
          ((a & c) ^ (a & g) ^ (c & g))) | 0;
        m = l; l = k; k = e; e = (i2 + t1) | 0; i2 = g; g = c; c = a; a = (t1 + t2) | 0;
      }
      h = [h[0] + a | 0, h[1] + c | 0, h[2] + g | 0, h[3] + i2 | 0,
        h[4] + e | 0, h[5] + k | 0, h[6] + l | 0, h[7] + m | 0];
    }
    return h[0];
  }
  function work() {
    for (var end = n + 2000; n < end; n++) {
      if (firstWord(task + ":" + n) >>> (32 - bits)) continue;
      document.cookie = d.cookie + "=" + task + "." + n + "; Path=/; SameSite=Lax; Max-Age=" + d.age +
        (location.protocol === "https:" ? "; Secure" : "");
      if (document.cookie.indexOf(d.cookie + "=") < 0) document.getElementById("say").textContent = d.nocookie;
      else location.reload();
      return;
    }
    setTimeout(work, 0);
  }
  work();
})();`;

const SCRIPT_HASH = createHash("sha256").update(SCRIPT).digest("base64");

/** Nothing but the script may run, and nothing may be loaded. */
export const PAGE_POLICY =
  `default-src 'none'; script-src 'sha256-${SCRIPT_HASH}'; style-src 'unsafe-inline'; ` +
  "base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/** The page with a task. All that is put into it is ours: letters, digits, `-` and `_`. */
export function challengePage(task: string, bits: number, cookie: string, ageS: number): string {
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>One moment</title>
<style>body{font:16px/1.5 system-ui,sans-serif;max-width:36em;margin:15vh auto;padding:0 1em;color:#222}</style></head>
<body data-task="${task}" data-bits="${bits}" data-cookie="${cookie}" data-age="${ageS}"
data-nocookie="Please allow cookies for this site, and load the page again.">
<h1>One moment</h1><p id="say">Your browser is doing a small computation, to show that it is one.</p>
<noscript><p>This page needs JavaScript.</p></noscript>
<script>${SCRIPT}</script></body></html>
`;
}
