// What the page does in a browser: finding, copying, trying. It works without as well; all of it is there as text.
// Nothing that the reader types is kept, and requests go to where the page came from alone.
export const SCRIPT = `
"use strict";
(() => {
  const all = (selector, from = document) => [...from.querySelectorAll(selector)];
  for (const each of all(".origin")) each.textContent = location.origin;
  for (const each of all("[data-script]")) each.hidden = false;
  const search = document.getElementById("search");
  const found = document.getElementById("found");
  search.addEventListener("input", () => {
    const words = search.value.toLowerCase().split(/\\s+/).filter(Boolean);
    let count = 0;
    for (const item of all("nav li[data-text]")) {
      const fits = words.every((word) => item.dataset.text.includes(word));
      item.hidden = !fits;
      if (fits) count += 1;
      const article = document.getElementById(item.dataset.of);
      if (article !== null) article.hidden = !fits;
    }
    for (const group of all("nav [data-group], main section[data-group]"))
      group.hidden = all("[data-text]:not([hidden]), article:not([hidden])", group).length === 0;
    found.textContent = words.length === 0 ? "" : count + (count === 1 ? " operation" : " operations");
  });
  const shown = (hash) => {
    const target = hash.length > 1 ? document.getElementById(decodeURIComponent(hash.slice(1))) : null;
    for (let at = target; at !== null; at = at.parentElement) if (at.tagName === "DETAILS") at.open = true;
    target?.scrollIntoView();
  };
  addEventListener("hashchange", () => shown(location.hash));
  if (location.hash !== "") shown(location.hash);
  for (const button of all("button.copy"))
    button.addEventListener("click", async () => {
      try {
        await navigator.clipboard.writeText(button.previousElementSibling.textContent);
        button.textContent = "Copied";
      } catch {
        button.textContent = "Select and copy by hand";
      }
    });
  const ANSWER_MAX = 200000;
  const credentials = (headers, query) => {
    for (const input of all("#credentials input")) {
      const { kind, name, where } = input.dataset;
      const value = input.value.trim();
      if (value === "") continue;
      if (kind === "bearer") headers.set("authorization", "Bearer " + value);
      else if (kind === "basic") {
        const bytes = new TextEncoder().encode(value);
        headers.set("authorization", "Basic " + btoa(String.fromCharCode(...bytes)));
      }
      else if (where === "header") headers.set(name, value);
      else if (where === "query") query.append(name, value);
    }
  };
  const send = async (form) => {
    const output = form.querySelector("output");
    const button = form.querySelector("button");
    button.disabled = true;
    output.textContent = "…";
    try {
      let path = form.dataset.path;
      const query = new URLSearchParams();
      const headers = new Headers();
      for (const input of all("[data-in]", form)) {
        const { in: where, name } = input.dataset;
        if (where === "path") {
          // Dots alone would lead to another path, whatever the page says of this one.
          if (/^\\.{1,2}$/.test(input.value)) throw new Error(name + " cannot be " + input.value);
          path = path.replace("{" + name + "}", () => encodeURIComponent(input.value));
        }
        else if (input.value === "") continue;
        else if (where === "query") query.append(name, input.value);
        else if (where === "header") headers.set(name, input.value);
      }
      credentials(headers, query);
      const options = { method: form.dataset.method, headers, credentials: "same-origin", redirect: "manual" };
      const body = form.querySelector("textarea");
      if (body !== null && body.value !== "") {
        options.body = body.value;
        headers.set("content-type", body.dataset.type);
      }
      const text = query.toString();
      const answer = await fetch(path + (text === "" ? "" : "?" + text), options);
      const fields = [...answer.headers].map(([name, value]) => name + ": " + value);
      const lines = [answer.status + " " + answer.statusText, ...fields, ""];
      const content = await answer.text();
      let shownText = content.slice(0, ANSWER_MAX);
      if ((answer.headers.get("content-type") ?? "").includes("json"))
        try {
          shownText = JSON.stringify(JSON.parse(content), null, 2).slice(0, ANSWER_MAX);
        } catch {}
      output.textContent = lines.join("\\n") + "\\n" + shownText;
    } catch (error) {
      output.textContent = "The request could not be sent: " + error.message;
    } finally {
      button.disabled = false;
    }
  };
  for (const form of all("form"))
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      if (form.classList.contains("try")) send(form);
    });
})();
`;
