// One task: its pictures, what it asked for, where its time went, and what can be done next.

import { clock, duration, el } from "./dom.js";
import { remember } from "./links.js";
import { cancelButton, placeOf, progressBar, stateOf } from "./rows.js";
import { contentOfTask, KINDS, titleOf } from "./request.js";
import { find, isOver, listen, lookUp } from "./tasks.js";

const LOOK_MS = 2_000;
const RENEW_MS = 50 * 60_000; // links are good for an hour

/** Shows the task of this id in `main` until `signal` aborts. */
export function showTask(main, id, signal) {
  let shown = "";
  let drawn = "";
  const body = el("div", {}, el("p", { class: "empty" }, "Loading…"));
  const title = el("h1", { tabindex: "-1" }, id);
  main.replaceChildren(el("p", {}, el("a", { href: "#/tasks" }, "All tasks")), title, body);
  signal.addEventListener("abort", listen(() => { const task = find(id); if (task) update(task); }));
  let last = 0;
  const timer = setInterval(() => {
    const task = find(id);
    const isDue = Date.now() - last > RENEW_MS;
    // Its place in the queue is told to nobody who does not ask; all else comes as an event.
    if (!document.hidden && (task?.status === "queued" || isDue)) look();
  }, LOOK_MS);
  signal.addEventListener("abort", () => clearInterval(timer));
  look();

  async function look() {
    last = Date.now();
    try {
      const task = await lookUp(id);
      if (signal.aborted) return;
      remember(task);
      draw(task);
    } catch (error) {
      if (signal.aborted || drawn) return;
      body.replaceChildren(el("p", { class: "notice bad", role: "alert" }, error.message),
        el("button", { type: "button", onclick: look }, "Try again"));
    }
  }

  function update(task) {
    if (shown === form(task)) return;
    if (isOver(task) && !task.links && (task.image_url?.length || task.image_url_omitted)) look();
    else draw(task);
  }

  function form(task) {
    return JSON.stringify({ ...task, links: undefined });
  }

  function draw(task) {
    shown = form(task);
    title.textContent = titleOf(task);
    const parts = [
      state(task), ...notices(task), pictures(task), actions(task),
      el("div", { class: "columns" }, parameters(task), waterfall(task)),
    ].filter(Boolean);
    const fresh = parts.map((part) => part.outerHTML).join("");
    if (fresh === drawn) return; // so that focus, and what somebody has selected, stay
    drawn = fresh;
    body.replaceChildren(...parts);
  }
}

function state(task) {
  const place = placeOf(task);
  return el("div", {},
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

function pictures(task) {
  if (!isOver(task) || task.status !== "completed") return null;
  const links = task.links?.image_url ?? [];
  const total = task.image_url?.length || task.image_url_omitted || 0;
  if (!total) return el("p", { class: "notice" }, "It has made no picture.");
  return el("div", {}, el("div", { class: "pictures" }, links.map((link, index) => picture(task, link, index))),
    links.length < total ? el("p", { class: "hint" }, `${links.length} of ${total} pictures are shown.`) : null);
}

function picture(task, link, index) {
  const number = index + 1;
  const stored = task.image_url?.[index];
  const use = (kind) => `#/make?${new URLSearchParams({ kind, runtime: task.runtime, picture: stored })}`;
  const missing = (event) => event.target.replaceWith(
    el("p", { class: "notice bad" }, "This picture cannot be loaded: it may have been removed, or its link has run out."));
  return el("figure", {},
    el("a", { href: link, target: "_blank", rel: "noreferrer", "aria-label": `Open picture ${number}` },
      el("img", { src: link, alt: `Picture ${number}: ${titleOf(task)}`, loading: "lazy", onerror: missing })),
    stored ? el("figcaption", { class: "actions" },
      el("a", { class: "button", href: use("image-to-image") }, "Edit"),
      el("a", { class: "button", href: use("extra-single-image") }, "Enlarge")) : null);
}

function actions(task) {
  const again = contentOfTask(task) && task.tasktype in KINDS;
  const another = again && task.tasktype !== "extra-single-image";
  return el("div", { class: "actions" },
    cancelButton(task),
    again ? el("a", { class: "button", href: `#/make?again=${encodeURIComponent(task.id)}` }, "Again") : null,
    another ? el("a", { class: "button", href: `#/make?again=${encodeURIComponent(task.id)}&seed=new` }, "Again, another seed") : null);
}

function parameters(task) {
  const content = contentOfTask(task);
  const facts = [
    ["Id", task.id], ["Runtime", task.runtime], ["Model", task.model], ["Task", KINDS[task.tasktype] ?? task.tasktype],
    ...Object.entries(content ?? {}).filter(([name]) => name !== "alwayson_scripts")
      .map(([name, value]) => [name.replaceAll("_", " "), typeof value === "object" ? JSON.stringify(value) : String(value)]),
    ["Stored below", task.output_location], ["Agent", task.agent], ["Caller", task.caller],
  ];
  const other = !content && task.context !== undefined && task.context !== null && task.context !== "";
  return el("section", { class: "card", "aria-label": "Parameters" }, el("h2", {}, "Parameters"),
    list(facts),
    content ? null : el("p", { class: "hint" },
      "What a task asked for is known here only where the console sent it: records do not hold requests."),
    other ? el("pre", { tabindex: "0", "aria-label": "Context" }, JSON.stringify(task.context, null, 2)) : null);
}

function list(facts) {
  return el("dl", {}, facts.filter(([, value]) => value !== undefined && value !== null && value !== "")
    .flatMap(([name, value]) => [el("dt", {}, name), el("dd", {}, value)]));
}

function waterfall(task) {
  const at = (text) => (text ? new Date(text).getTime() / 1000 : null);
  const accepted = at(task.created_at);
  const began = at(task.started_at);
  const ended = at(task.ended_at) ?? (isOver(task) ? at(task.updated_at) : null);
  const end = ended ?? began ?? accepted;
  const device = task.device_seconds && began !== null && ended !== null
    ? Math.min(task.device_seconds, ended - began) : null;
  const spans = [];
  if ((began ?? ended) !== null) spans.push(["Waited", accepted, began ?? ended, "waited"]);
  if (began !== null && ended !== null) spans.push([device === null ? "In work" : "All work", began, ended, ""]);
  if (device !== null && task.attempts <= 1) spans.push(["Device", began, began + device, ""]);
  const whole = Math.max(end - accepted, 0.001);
  return el("section", { class: "card", "aria-label": "Times" }, el("h2", {}, "Times"),
    el("div", { class: "waterfall", role: "group", "aria-label": "How long each part took" }, spans.flatMap(([name, from, to, kind]) => {
      const bar = el("div", { class: `bar ${kind}` });
      bar.style.marginLeft = `${(100 * (from - accepted)) / whole}%`;
      bar.style.width = `${(100 * (to - from)) / whole}%`;
      return [el("span", {}, name), el("div", { class: "track", "aria-hidden": "true" }, bar), el("span", {}, duration(to - from))];
    })),
    spans.length ? null : el("p", { class: "hint" }, "It has not begun yet."),
    list([
      ["Accepted", clock(task.created_at)], ["Began", task.started_at && clock(task.started_at)],
      ["Ended", task.ended_at && clock(task.ended_at)], ["Deadline", task.deadline && clock(task.deadline)],
      ["Tries", task.attempts ? String(task.attempts) : ""],
    ]));
}
