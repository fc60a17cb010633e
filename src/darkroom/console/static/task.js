// One task: its pictures, what it asked for, where its time went, and what can be done next.

import { clock, el } from "./dom.js";
import { tellsEvents } from "./events.js";
import { remember } from "./links.js";
import { cancelButton, placeOf, progressBar, stateOf } from "./rows.js";
import { contentOfTask, KINDS, titleOf } from "./request.js";
import { find, isOver, keyOf, listen, lookUp } from "./tasks.js";
import { parameters, provenance } from "./task_facts.js";
import { deliveries } from "./deliveries.js";
import { pictures } from "./pictures.js";
import { times } from "./times.js";

const LOOK_MS = 2_000;
const WAIT_SECONDS = "20";
const RENEW_MS = 50 * 60_000; // links are good for an hour
const ABOVE = ["state", "notices"];
const LEFT = ["pictures", "actions", "setbacks", "provenance", "deliveries"];
const RIGHT = ["times", "parameters"];
const PASSING = { updated_at: "", progress: null, position: 0, estimated_start: "" }; // what no parameter tells

/** Shows the task of this id in `main` until `signal` aborts; `caller` is whose it is, where an operator asks. */
export function showTask(main, id, caller, signal) {
  let shown = "";
  let shownKey = "";
  const slots = Object.fromEntries([...ABOVE, ...LEFT, ...RIGHT].map((name) => [name, el("div", { class: "slot" })]));
  const body = el("div", {}, el("p", { class: "empty" }, "Loading…"));
  const title = el("h1", { tabindex: "-1" }, id);
  main.replaceChildren(el("p", { class: "back" }, el("a", { href: "#/tasks" }, "All tasks")), title, body);
  signal.addEventListener("abort", listen(() => { const task = find(id, caller); if (task) update(task); }));
  let last = 0;
  const timer = setInterval(() => {
    const task = find(id, caller);
    const isDue = Date.now() - last > RENEW_MS;
    // Its place in the queue is told to nobody who does not ask; all else comes as an event.
    if (!document.hidden && (task?.status === "queued" || isDue)) look();
    else if (task && task.status === "running") update(task, true); // its bars grow
  }, LOOK_MS);
  signal.addEventListener("abort", () => clearInterval(timer));
  look().then(waitForEnd);

  async function look(options) {
    last = Date.now();
    try {
      const task = await lookUp(id, caller, options);
      if (signal.aborted) return;
      remember(task);
      draw(task);
    } catch (error) {
      if (signal.aborted || shown) return;
      body.replaceChildren(el("p", { class: "notice bad", role: "alert" }, error.message),
        el("button", { type: "button", onclick: () => look() }, "Try again"));
    }
  }

  /** Where no events are told, the front door says of this task when it has changed. */
  async function waitForEnd() {
    while (!signal.aborted && shown && !tellsEvents() && !isOver(find(id, caller) ?? { result: false })) {
      await look({ wait: WAIT_SECONDS, signal });
      if (document.hidden) await new Promise((resolve) => { document.addEventListener("visibilitychange", resolve, { once: true, signal }); });
    }
  }

  function update(task, isGrowing = false) {
    if (shown === form(task) && !isGrowing) return;
    if (isOver(task) && !task.links && (task.image_url?.length || task.image_url_omitted)) look();
    else draw(task);
  }

  function form(task) {
    return JSON.stringify({ ...task, links: undefined });
  }

  function draw(task) {
    shown = form(task);
    if (shownKey !== keyOf(task)) { // the first look, or it was submitted again
      shownKey = keyOf(task);
      for (const slot of Object.values(slots)) slot.of = undefined;
      const [above, left, right] = [ABOVE, LEFT, RIGHT].map((names) => names.map((name) => slots[name]));
      body.replaceChildren(...above, el("div", { class: "columns halves" }, el("div", { class: "stack" }, left), el("div", { class: "stack" }, right)));
    }
    title.textContent = titleOf(task);
    document.title = `${titleOf(task)} · Darkroom`;
    put("state", () => state(task));
    put("notices", () => el("div", {}, notices(task)));
    put("actions", () => actions(task));
    put("times", () => times(task));
    put("setbacks", () => setbacks(task));
    put("provenance", () => provenance(task));
    if (task.links || !isOver(task)) put("pictures", () => pictures(task), [task.status, task.links?.image_url.map(unsigned)]);
    put("parameters", () => parameters(task, signal), { ...task, links: Boolean(task.links), ...PASSING });
    // Where there is no picture (yet), its place is taken by what was asked for.
    const place = slots.pictures.hasChildNodes() ? slots.times : slots.actions;
    if (slots.parameters.previousElementSibling !== place) place.after(slots.parameters);
    put("deliveries", () => (isOver(task) ? deliveries(task, signal) : null), [isOver(task)]);
  }

  /** Fills a place anew where what it is made of has changed: so focus, and what somebody has selected, stay. */
  function put(name, make, made) {
    const element = made === undefined ? make() : null;
    const of = made === undefined ? element?.outerHTML ?? "" : JSON.stringify(made);
    if (slots[name].of === of) return;
    slots[name].of = of;
    const fresh = element ?? make();
    slots[name].replaceChildren(...(fresh === null ? [] : [fresh]));
  }
}

function unsigned(link) {
  return link.split("?")[0];
}

function state(task) {
  const place = placeOf(task);
  return el("div", { class: "state" },
    el("p", { role: "status" },
      el("span", { class: `status ${task.status}` }, stateOf(task)), place && !task.waits_because ? ` · ${place}` : ""),
    progressBar(task));
}

function notices(task) {
  const told = [];
  if (task.error) {
    const again = task.error.retryable ? "Sending it again may help." : "Sending the same again will not help.";
    told.push(el("div", { class: "notice bad" }, task.error.message,
      task.status === "failed" ? el("div", { class: "hint" }, again) : null));
  }
  if (task.waits_because) {
    const when = task.next_try_at ? [" It is tried again at ", clock(task.next_try_at), "."] : [];
    told.push(el("p", { class: "notice wait" }, task.waits_because, when));
  }
  for (const warning of task.warnings ?? []) told.push(el("p", { class: "notice wait" }, warning));
  return told;
}

function setbacks(task) {
  if (!task.setbacks?.length) return null;
  return el("section", { class: "card", "aria-label": "Earlier tries" }, el("h2", {}, "Earlier tries"),
    el("ol", { class: "plain" }, task.setbacks.map((one) => el("li", {},
      el("p", {}, one.reason), el("p", { class: "facts" }, clock(one.at), one.agent ? ` · ${one.agent}` : "")))));
}

function actions(task) {
  const again = contentOfTask(task) && task.tasktype in KINDS;
  const another = again && task.tasktype !== "extra-single-image";
  const address = `#/make?again=${encodeURIComponent(task.id)}`;
  return el("div", { class: "actions" },
    cancelButton(task),
    again ? el("a", { class: "button", href: address }, "Again") : null,
    another ? el("a", { class: "button", href: `${address}&seed=new` }, "Again, another seed") : null);
}
