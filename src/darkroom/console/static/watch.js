// The list of tasks, as it changes.

import { el, field } from "./dom.js";
import { tell } from "./api.js";
import { askToCancel } from "./cancel_many.js";
import { longList } from "./long_list.js";
import { pageOf, STATES } from "./rows.js";
import { titleOf } from "./request.js";
import { ALL_PAGES, all, isOver, listen, lookUp, pagesOf, whyNone } from "./tasks.js";

const LOOK_MS = 4_000; // a look-up costs the front door three requests to AWS
const TYPING_MS = 200;
const MOST_CANCELLED = 2_000;
const PAGES_TO_SEARCH = 10;
const SINCE = { "": "Any time", 3600: "The last hour", 86400: "The last day", 604800: "The last week" };
const words = new WeakMap(); // what is searched of tasks
let kept = { address: "", key: "" }; // where somebody was who comes back from a task

/** Shows the list in `main` until `signal` aborts; `query` has the filters. */
export function showWatch(main, query, signal) {
  const status = choice("status", [["", "All"], ["queued,running", "Waiting or in work"], ...Object.entries(STATES)]);
  const runtime = choice("runtime", [["", "All"]]);
  const since = choice("since", Object.entries(SINCE));
  const caller = choice("caller", [["", "All"]]);
  const search = el("input", { name: "search", type: "search", autocomplete: "off", value: query.get("search") ?? "" });
  const callers = field("Caller", caller);
  callers.hidden = true;
  const list = longList("Tasks", nearEnd, signal);
  const count = el("p", { class: "hint", role: "status" });
  const none = el("div", { class: "empty" });
  const trouble = el("div", { class: "notice bad", hidden: true, role: "alert" });
  const further = el("button", { type: "button", onclick: searchFurther }, "Search older ones");
  const cancelAll = el("button", { type: "button", onclick: cancelWanted }, "Cancel these…");
  main.replaceChildren(
    el("h1", { tabindex: "-1" }, "Tasks"),
    el("form", { class: "filters", role: "search", onsubmit: open },
      field("Status", status), field("Runtime", runtime), field("Since", since), callers, field("Id or prompt", search)),
    el("div", { class: "actions above" }, count, cancelAll),
    trouble, list.element, none, el("div", { class: "actions" }, further));
  for (const input of [status, runtime, since, caller]) input.addEventListener("change", changeFilter);
  let typing;
  search.addEventListener("input", () => { clearTimeout(typing); typing = setTimeout(show, TYPING_MS); });
  signal.addEventListener("abort", listen(show));
  // Only a look-up tells a place in the queue: of those in sight, one after the other.
  const timer = setInterval(lookAtNext, LOOK_MS);
  const address = location.hash;
  signal.addEventListener("abort", () => {
    clearInterval(timer);
    clearTimeout(typing);
    kept = { address, key: list.reached() };
  });
  let wanted = [];
  let oldest = 0;
  let pages;
  let isRefused = false;
  offerRuntimes();
  begin();
  if (kept.address === address && kept.key) list.reach(kept.key);

  function choice(name, options) {
    const chosen = query.get(name) ?? "";
    const known = options.some(([value]) => value === chosen) ? options : [...options, [chosen, chosen]];
    return el("select", { name }, known.map(([value, words]) => el("option", { value, selected: value === chosen }, words)));
  }

  async function offerRuntimes() {
    try {
      offer(runtime, (await tell("runtimes", { signal })).runtimes.map(({ name }) => name));
    } catch {
      // The list itself says what is wrong.
    }
  }

  function offer(select, names) {
    const there = new Set([...select.options].map((option) => option.value));
    select.append(...names.filter((name) => !there.has(name)).map((name) => el("option", { value: name }, name || "Nobody's")));
  }

  function changeFilter() {
    const chosen = new URLSearchParams();
    for (const input of [status, runtime, since, caller]) if (input.value) chosen.set(input.name, input.value);
    history.replaceState(null, "", `#/tasks${chosen.size ? `?${chosen}` : ""}`);
    begin();
  }

  function begin() {
    oldest = since.value ? Date.now() / 1000 - Number(since.value) : 0;
    const filter = filterOf();
    pages = Object.values(filter).some(Boolean) ? pagesOf(filter) : ALL_PAGES;
    if (pages === ALL_PAGES) show();
    else more();
  }

  function filterOf(asked = status.value) {
    return {
      status: asked, runtime: runtime.value, since: oldest ? String(Math.floor(oldest)) : "",
      ...(caller.value ? { caller: caller.value } : {}),
    };
  }

  async function more() {
    isRefused = false;
    const reading = pages.more();
    show();
    try {
      await reading;
    } catch {
      isRefused = true; // until somebody asks for it again; why, the list knows
    }
    if (!signal.aborted) show();
  }

  function sayTrouble(why) {
    if (trouble.dataset.why === why) return;
    trouble.dataset.why = why;
    trouble.hidden = why === "";
    if (why) trouble.replaceChildren(el("p", {}, `${why} What is shown here may not be all.`), el("button", { type: "button", onclick: more }, "Try again"));
  }

  function nearEnd() {
    if (!search.value.trim() && pages.hasMore && !pages.isBusy && !isRefused) more();
  }

  function lets(task) {
    return (!status.value || status.value.split(",").includes(task.status))
      && (!runtime.value || task.runtime === runtime.value)
      && (!caller.value || task.caller === caller.value)
      && (!oldest || new Date(task.created_at) / 1000 >= oldest);
  }

  function says(task, text) {
    if (!words.has(task)) words.set(task, `${task.id}\n${titleOf(task)}`.toLowerCase());
    return words.get(task).includes(text);
  }

  function show() {
    const text = search.value.trim().toLowerCase();
    const known = all();
    wanted = known.filter((task) => lets(task) && (!text || says(task, text)));
    if (known[0]?.caller !== undefined) {
      callers.hidden = false;
      offer(caller, [...new Set(known.map((task) => task.caller))]);
    }
    sayTrouble(whyNone());
    list.show(wanted);
    const open = wanted.some((task) => !isOver(task));
    cancelAll.hidden = !open;
    further.hidden = !(text && pages.hasMore);
    count.textContent = wanted.length === 0 ? "" : `${wanted.length}${pages.hasMore ? " or more" : ""} ${wanted.length === 1 ? "task" : "tasks"}`;
    none.hidden = wanted.length > 0;
    if (wanted.length === 0) none.replaceChildren(...emptyWords(search.value.trim(), known.length));
  }

  function emptyWords(text, known) {
    if (whyNone() && known === 0) {
      return [el("p", {}, "The tasks cannot be read.")];
    }
    if (text) {
      return [el("p", {}, "No task that is known here has this in its id or its prompt. ",
        el("a", { href: pageOf(text) }, `Look for the id “${text}”`))];
    }
    if (pages.isBusy || pages.hasMore) return [el("p", {}, "Loading…")];
    if ([status, runtime, since, caller].some((input) => input.value)) {
      return [el("p", {}, "No task is like this."), el("button", { type: "button", onclick: clear }, "Show all")];
    }
    return [el("p", {}, "There are no tasks yet. ", el("a", { href: "#/make" }, "Make a picture"))];
  }

  function clear() {
    for (const input of [status, runtime, since, caller]) input.value = "";
    changeFilter();
    status.focus();
  }

  function open(event) {
    event.preventDefault();
    const text = search.value.trim();
    const found = wanted.find((task) => task.id === text);
    if (text) location.hash = pageOf(text, found?.caller);
  }

  async function searchFurther() {
    further.disabled = true;
    for (let page = 0; page < PAGES_TO_SEARCH && pages.hasMore && !signal.aborted; page += 1) await more();
    further.disabled = false;
  }

  async function cancelWanted() {
    cancelAll.disabled = true;
    cancelAll.textContent = "Counting…";
    try {
      await readAllOpen();
      const text = search.value.trim().toLowerCase();
      const open = all().filter((task) => lets(task) && (!text || says(task, text)) && !isOver(task) && !task.cancel_requested);
      if (!signal.aborted) askToCancel(open.slice(0, MOST_CANCELLED), filterWords());
    } catch (error) {
      sayTrouble(error.message);
    }
    cancelAll.disabled = false;
    cancelAll.textContent = "Cancel these…";
  }

  async function readAllOpen() {
    const asked = status.value.split(",").filter((name) => ["queued", "running"].includes(name));
    const open = pagesOf(filterOf(asked.join(",") || "queued,running"));
    for (let page = 0; page < MOST_CANCELLED / 100 && open.hasMore && !signal.aborted; page += 1) await open.more();
  }

  function filterWords() {
    const parts = [
      status.value ? `“${status.selectedOptions[0].textContent}”` : "the tasks that wait or are in work",
      runtime.value && `of the runtime ${runtime.value}`, caller.value && `of ${caller.value}`,
      since.value && `of ${since.selectedOptions[0].textContent.toLowerCase()}`,
      search.value.trim() && `with “${search.value.trim()}”`,
    ];
    return parts.filter(Boolean).join(" ");
  }

  let turn = 0;
  function lookAtNext() {
    if (document.hidden) return;
    const queued = wanted.filter((task) => task.status === "queued").slice(-10);
    if (queued.length === 0) return;
    const { id, caller: whose } = queued[turn++ % queued.length];
    lookUp(id, whose).catch(() => {});
  }
}
