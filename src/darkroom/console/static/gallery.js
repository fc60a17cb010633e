// The newest tasks as tiles, each with its picture; those of a grid are one tile.

import { duration, el } from "./dom.js";
import { gridOf, labelOf } from "./grid.js";
import { thumbnail } from "./links.js";
import { cancelButton, pageOf, placeOf, progressBar, stateOf } from "./rows.js";
import { titleOf } from "./request.js";
import { isOver, keyOf } from "./tasks.js";

/** The address of a grid's page. */
export function pageOfGrid(id) {
  return `#/grids/${encodeURIComponent(id)}`;
}

/** Tasks as what the gallery shows: `[{key, tasks, grid}]`, newest first. */
export function entriesOf(tasks, most) {
  const entries = new Map();
  for (const task of tasks) {
    const grid = gridOf(task);
    const key = grid ? `grid ${grid.id}` : keyOf(task);
    if (!entries.has(key)) {
      if (entries.size === most) continue;
      entries.set(key, { key, tasks: [], grid });
    }
    entries.get(key).tasks.push(task);
  }
  return [...entries.values()];
}

/** Makes `list` show these entries, and leaves every tile alone whose tasks are as they were. */
export function showTiles(list, entries) {
  const shown = new Map([...list.children].map((child) => [child.dataset.key, child]));
  entries.forEach((entry, index) => {
    const form = JSON.stringify(entry.tasks.map(({ links: _links, ...task }) => ({ ...task, context: undefined })));
    let child = shown.get(entry.key);
    if (child === undefined || child.form !== form) {
      const fresh = entry.grid ? gridTile(entry) : taskTile(entry.tasks[0]);
      fresh.dataset.key = entry.key;
      fresh.form = form;
      if (child !== undefined) {
        const hadFocus = child.contains(document.activeElement);
        child.replaceWith(fresh);
        if (hadFocus) fresh.querySelector("a").focus();
      }
      child = fresh;
    }
    shown.delete(entry.key);
    if (list.children[index] !== child) list.insertBefore(child, list.children[index] ?? null);
  });
  for (const child of shown.values()) child.remove();
}

function taskTile(task) {
  const seconds = task.started_at && task.ended_at ? (new Date(task.ended_at) - new Date(task.started_at)) / 1000 : null;
  const facts = [placeOf(task), seconds === null ? "" : duration(seconds)].filter(Boolean);
  return el("li", { class: `tile ${task.status}` },
    el("div", { class: "tile-picture" }, thumbnail(task), progressBar(task),
      task.error ? el("p", { class: "tile-error" }, task.error.message) : null),
    el("a", { class: "tile-name", href: pageOf(task.id) }, titleOf(task)),
    el("p", { class: "tile-facts" }, el("span", { class: `status ${task.status}` }, stateOf(task)), facts.length ? ` · ${facts.join(" · ")}` : ""),
    isOver(task) ? null : cancelButton(task));
}

function gridTile({ tasks, grid }) {
  const total = grid.x.values.length * (grid.y?.values.length ?? 1);
  const done = tasks.filter(isOver).length;
  const name = [grid.x, grid.y].filter(Boolean).map((axis) => labelOf(axis.name)).join(" × ");
  const first = [...tasks].sort((one, other) => gridOf(one).row - gridOf(other).row || gridOf(one).column - gridOf(other).column).slice(0, 4);
  return el("li", { class: "tile" },
    el("div", { class: "tile-picture mosaic" }, first.map(thumbnail)),
    el("a", { class: "tile-name", href: pageOfGrid(grid.id) }, `Grid: ${name}`),
    el("p", { class: "tile-facts" }, `${done} of ${total} done`));
}
