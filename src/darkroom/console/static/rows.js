// One task as a row of a list: picture, title, state, what can be done with it.

import { announce, clock, duration, el } from "./dom.js";
import { tell } from "./api.js";
import { thumbnail } from "./links.js";
import { titleOf } from "./request.js";
import { isOver, keyOf, take } from "./tasks.js";

export const STATES = {
  queued: "Waiting", running: "In work", completed: "Done", failed: "Failed", cancelled: "Cancelled", expired: "Expired",
};

/** The address of a task's page. */
export function pageOf(id) {
  return `#/tasks/${encodeURIComponent(id)}`;
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

/** The button that stops a task; null where it has ended. */
export function cancelButton(task) {
  if (isOver(task)) return null;
  const cancel = async (event) => {
    event.target.disabled = true;
    try {
      take(await tell("cancel", { task: task.id }));
      announce(`${titleOf(task)}: asked to stop`);
    } catch (error) {
      announce(`${titleOf(task)} could not be cancelled: ${error.message}`);
      event.target.disabled = false;
      event.target.title = error.message;
    }
  };
  return el("button", {
    type: "button", onclick: cancel, disabled: task.cancel_requested === true, "aria-label": `Cancel ${titleOf(task)}`,
  }, "Cancel");
}

/** How a task's progress looks; null where none is told. */
export function progressBar(task) {
  if (task.status !== "running") return null;
  const label = `Progress of ${titleOf(task)}`;
  return el("progress", task.progress ? { max: 1, value: task.progress.value, "aria-label": label } : { "aria-label": label });
}

function row(task) {
  const seconds = task.started_at && task.ended_at ? (new Date(task.ended_at) - new Date(task.started_at)) / 1000 : null;
  const facts = [task.runtime, placeOf(task), seconds === null ? "" : `took ${duration(seconds)}`].filter(Boolean);
  return el("li", { class: "row", "data-key": keyOf(task) },
    thumbnail(task),
    el("div", {},
      el("a", { class: "name", href: pageOf(task.id) }, titleOf(task)),
      el("p", { class: "facts" },
        el("span", { class: `status ${task.status}` }, stateOf(task)), ` · ${facts.join(" · ")} · `, clock(task.created_at)),
      task.error ? el("p", { class: "facts" }, task.error.message) : null,
      progressBar(task)),
    el("div", { class: "actions" }, cancelButton(task)));
}

/** Makes `list` show these tasks, and leaves every row alone whose task is as it was. */
export function showRows(list, tasks) {
  const shown = new Map([...list.children].map((child) => [child.dataset.key, child]));
  const focused = document.activeElement;
  tasks.forEach((task, index) => {
    const form = JSON.stringify({ ...task, links: undefined, context: undefined });
    let child = shown.get(keyOf(task));
    if (child === undefined || child.form !== form) {
      const fresh = row(task);
      fresh.form = form;
      if (child !== undefined) {
        const was = child.contains(focused) ? focused.tagName : null;
        child.replaceWith(fresh);
        if (was) (fresh.querySelector(was === "BUTTON" ? "button" : "a") ?? fresh.querySelector("a")).focus();
      }
      child = fresh;
    }
    shown.delete(keyOf(task));
    if (list.children[index] !== child) list.insertBefore(child, list.children[index] ?? null);
  });
  for (const child of shown.values()) child.remove();
}
