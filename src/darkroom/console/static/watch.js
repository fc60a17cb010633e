// The list of tasks, as it changes.

import { el, field } from "./dom.js";
import { pageOf, showRows, STATES } from "./rows.js";
import { titleOf } from "./request.js";
import { all, hasOlder, isOver, listen, load, lookUp, whyNone } from "./tasks.js";

const LOOK_MS = 2_000;

/** Shows the list in `main` until `signal` aborts. */
export function showWatch(main, signal) {
  const status = el("select", { name: "status" }, el("option", { value: "" }, "All"),
    Object.entries(STATES).map(([value, name]) => el("option", { value }, name)));
  const search = el("input", { name: "search", type: "search", autocomplete: "off" });
  const list = el("ul", { class: "rows", "aria-label": "Tasks" });
  const none = el("p", { class: "empty" });
  const older = el("button", { type: "button", onclick: showOlder }, "Show older ones");
  const trouble = el("p", { class: "notice bad", hidden: true, role: "alert" });
  main.replaceChildren(
    el("h1", { tabindex: "-1" }, "Tasks"),
    el("form", { class: "filters", role: "search", onsubmit: open },
      field("Status", status), field("Id or prompt", search)),
    trouble, list, none, el("div", { class: "actions" }, older));
  status.addEventListener("change", show);
  search.addEventListener("input", show);
  signal.addEventListener("abort", listen(show));
  // Only a look-up tells a place in the queue: of those in sight, one after the other.
  const timer = setInterval(lookAtNext, LOOK_MS);
  signal.addEventListener("abort", () => clearInterval(timer));
  show();

  function wanted() {
    const text = search.value.trim().toLowerCase();
    return all().filter((task) => (!status.value || task.status === status.value)
      && (!text || task.id.toLowerCase().includes(text) || titleOf(task).toLowerCase().includes(text)));
  }

  function show() {
    const tasks = wanted();
    showRows(list, tasks);
    older.hidden = !hasOlder() || all().length === 0;
    none.hidden = tasks.length > 0;
    const text = search.value.trim();
    none.replaceChildren(...emptyWords(text, all().length));
  }

  function emptyWords(text, count) {
    if (whyNone() && count === 0) return [whyNone()];
    if (text) return ["None that is known here. ", el("a", { href: pageOf(text) }, `Look for the id “${text}”`)];
    if (count > 0) return ["No task has this status. Older ones may."];
    return hasOlder() ? ["Loading…"] : ["There are no tasks yet. ", el("a", { href: "#/make" }, "Make a picture")];
  }

  function open(event) {
    event.preventDefault();
    if (search.value.trim()) location.hash = pageOf(search.value.trim());
  }

  async function showOlder() {
    older.disabled = true;
    try {
      await load();
      trouble.hidden = true;
    } catch (error) {
      trouble.textContent = error.message;
      trouble.hidden = false;
    }
    older.disabled = false;
    show();
  }

  let turn = 0;
  function lookAtNext() {
    if (document.hidden) return;
    const queued = wanted().filter((task) => task.status === "queued" && !isOver(task)).slice(-10);
    if (queued.length) lookUp(queued[turn++ % queued.length].id).catch(() => {});
  }
}
