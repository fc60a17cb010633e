// One task as a row of a list: picture, title, state, what can be done with it.

import { announce, clock, duration, el } from "./dom.js";
import { tell } from "./api.js";
import { thumbnail } from "./links.js";
import { titleOf } from "./request.js";
import { isOver, keyOf, take } from "./tasks.js";

export const STATES = {
  queued: "Waiting", running: "In work", completed: "Done", failed: "Failed", cancelled: "Cancelled", expired: "Expired",
};

/** The address of a task's page; `caller` is whose it is, where an operator is told. */
export function pageOf(id, caller) {
  return `#/tasks/${encodeURIComponent(id)}${caller === undefined ? "" : `?caller=${encodeURIComponent(caller)}`}`;
}

/** What its state is, in a few words. */
export function stateOf(task) {
  if (task.status === "queued" && task.waits_because) return "Waits to be tried again";
  if (task.cancel_requested && !isOver(task)) return "Being cancelled";
  return STATES[task.status] ?? task.status;
}

/** Where it stands while it waits or is in work; "" where nothing is known. */
export function placeOf(task) {
  if (task.status === "running" && task.progress) {
    const { value, step, steps } = task.progress;
    return steps ? `step ${step ?? 0} of ${steps}` : `${Math.round(value * 100)} %`;
  }
  if (task.status !== "queued") return "";
  if (task.waits_because) return task.waits_because;
  if (task.position === undefined) return "";
  const before = task.position === 0 ? "next" : `${task.position} before it`;
  const seconds = task.estimated_start ? (new Date(task.estimated_start) - Date.now()) / 1000 : 0;
  return seconds > 1 ? `${before}, begins in about ${duration(seconds)}` : before;
}

/** Asks for a task to be stopped; says so, or why not. True where it was asked for. */
export async function cancel(task) {
  try {
    take(await tell("cancel", { task: task.id, caller: task.caller }));
    announce(`${titleOf(task)}: asked to stop`);
    return true;
  } catch (error) {
    announce(`${titleOf(task)} could not be cancelled: ${error.message}`);
    return false;
  }
}

/** The button that stops a task; null where it has ended. */
export function cancelButton(task) {
  if (isOver(task)) return null;
  const press = async (event) => {
    event.target.disabled = true;
    if (!(await cancel(task))) event.target.disabled = false;
  };
  return el("button", {
    type: "button", onclick: press, disabled: task.cancel_requested === true, "aria-label": `Cancel ${titleOf(task)}`,
  }, "Cancel");
}

/** How a task's progress looks; null where none is told. */
export function progressBar(task) {
  if (task.status !== "running") return null;
  const label = `Progress of ${titleOf(task)}`;
  return el("progress", task.progress ? { max: 1, value: task.progress.value, "aria-label": label } : { "aria-label": label });
}

/** The row. With `isLate`, its picture comes when its `showPicture()` is called: rows that fly by need none. */
export function row(task, { isLate = false } = {}) {
  const seconds = task.started_at && task.ended_at ? (new Date(task.ended_at) - new Date(task.started_at)) / 1000 : null;
  const facts = [
    placeOf(task), task.runtime, seconds === null ? "" : `took ${duration(seconds)}`,
    task.caller === undefined ? "" : task.caller || "nobody's",
  ].filter(Boolean);
  const place = isLate ? el("div", { class: "thumbnail", "aria-hidden": "true" }) : thumbnail(task);
  const made = el("li", { class: "row", "data-key": keyOf(task) },
    place,
    el("div", { class: "about" },
      el("a", { class: "name", href: pageOf(task.id, task.caller) }, titleOf(task)),
      el("p", { class: "facts" },
        el("span", { class: `status ${task.status}` }, stateOf(task)), ` · ${facts.join(" · ")} · `, clock(task.created_at)),
      task.error ? el("p", { class: "facts why" }, task.error.message) : null,
      progressBar(task)),
    el("div", { class: "actions" }, cancelButton(task)));
  made.showPicture = () => { if (isLate) place.replaceWith(thumbnail(task)); };
  return made;
}

/** What a row shows: two tasks of the same form have the same row. */
export function formOf(task) {
  return JSON.stringify({ ...task, links: undefined, context: undefined });
}

/** Makes `list` show these tasks, and leaves every row alone whose task is as it was. */
export function showRows(list, tasks) {
  const shown = new Map([...list.children].map((child) => [child.dataset.key, child]));
  tasks.forEach((task, index) => {
    const form = formOf(task);
    let child = shown.get(keyOf(task));
    if (child === undefined || child.form !== form) {
      const fresh = row(task);
      fresh.form = form;
      if (child !== undefined) replace(child, fresh);
      child = fresh;
    }
    shown.delete(keyOf(task));
    if (list.children[index] !== child) list.insertBefore(child, list.children[index] ?? null);
  });
  for (const child of shown.values()) child.remove();
}

/** Puts a row in another's place, with the focus that this may have. */
export function replace(before, fresh) {
  const focused = document.activeElement;
  const was = before.contains(focused) ? focused.tagName : null;
  before.replaceWith(fresh);
  if (was) (fresh.querySelector(was === "BUTTON" ? "button:enabled" : "a") ?? fresh.querySelector("a")).focus();
}
