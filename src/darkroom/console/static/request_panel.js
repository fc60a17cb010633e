// The request that the form would send, as JSON, as curl and as Python, to be copied.

import { announce, el } from "./dom.js";
import { shown } from "./request.js";

const LANGUAGES = [["json", "JSON"], ["curl", "curl"], ["python", "Python"]];

/** The panel; `show(request)` shows another one. */
export function requestPanel() {
  let language = "json";
  let request = null;
  const code = el("code");
  const tabs = LANGUAGES.map(([value, name]) => el("button", {
    type: "button", "aria-pressed": String(value === language), onclick: () => {
      language = value;
      tabs.forEach((tab, index) => tab.setAttribute("aria-pressed", String(LANGUAGES[index][0] === value)));
      show(request);
    },
  }, name));
  const element = el("section", { class: "card", "aria-labelledby": "request" },
    el("div", { class: "panel-head" }, el("h2", { id: "request" }, "The request"),
      el("div", { class: "tabs", role: "group", "aria-label": "Show the request as" }, tabs),
      el("button", { type: "button", onclick: copy }, "Copy")),
    el("pre", { tabindex: "0", "aria-label": "The request" }, code),
    el("p", { class: "hint" }, "The console sends it with an id of its own, and with the same again as its context, so that "
      + "it can show later what you asked for."));
  return { element, show };

  function show(another) {
    request = another;
    code.textContent = request === null ? "" : shown(request, language);
  }

  async function copy(event) {
    try {
      await navigator.clipboard.writeText(code.textContent);
      event.target.textContent = "Copied";
      announce("The request is copied");
    } catch {
      event.target.textContent = "Select it and copy it yourself";
    }
    setTimeout(() => { event.target.textContent = "Copy"; }, 2000);
  }
}
