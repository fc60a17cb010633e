// A grid of pictures: a table with the values of one parameter across, and those of another down.

import { announce, el } from "./dom.js";
import { tell } from "./api.js";
import { cellId, gridOf, labelOf } from "./grid.js";
import { thumbnail } from "./links.js";
import { pageOf, progressBar, stateOf } from "./rows.js";
import { all, find, isOver, listen, lookUp, take } from "./tasks.js";

const AT_ONCE = 3;

/** Shows the grid of this id in `main` until `signal` aborts. */
export function showGrid(main, id, signal) {
  const title = el("h1", { tabindex: "-1" }, "Grid");
  const told = el("p", { role: "status" });
  const stop = el("button", { type: "button", onclick: cancelAll }, "Cancel all");
  const body = el("div", {}, el("p", { class: "empty" }, "Loading…"));
  main.replaceChildren(el("p", { class: "way-back" }, el("a", { href: "#/make" }, "Make")), title,
    el("div", { class: "panel-head" }, told, stop), body);
  let grid = null;
  let cells = [];
  signal.addEventListener("abort", listen(show));
  findOne().then(readMissing).catch((error) => {
    if (!signal.aborted && grid === null) body.replaceChildren(el("p", { class: "notice bad", role: "alert" }, error.message));
  });

  /** Learns from any of its tasks how large it is. */
  async function findOne() {
    if (!tasks().length) await lookUp(cellId(id, 0, 0));
    show();
  }

  /** Looks up what neither the list nor the stream has told of. */
  async function readMissing() {
    const missing = cells.flatMap((row, below) => row.map((cell, beside) => [cell, cellId(id, beside, below)]))
      .filter(([cell]) => !cell.task).map(([, name]) => name);
    const reader = async () => {
      while (missing.length && !signal.aborted) {
        const name = missing.shift();
        if (!find(name)) await lookUp(name).catch(() => {}); // it was not sent, or is no more
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, reader));
    show();
  }

  function tasks() {
    return all().filter((task) => gridOf(task)?.id === id);
  }

  function show() {
    const known = tasks();
    if (!known.length) return;
    if (grid === null) draw(gridOf(known[0]));
    for (const task of known) {
      const { column, row } = gridOf(task);
      const cell = cells[row]?.[column];
      if (cell) fill(cell, task);
    }
    const total = cells.length * cells[0].length;
    const done = known.filter(isOver).length;
    const failed = known.filter((task) => isOver(task) && task.status !== "completed").length;
    told.textContent = `${done} of ${total} done${failed ? `, ${failed} without a picture` : ""}.`;
    stop.hidden = known.every(isOver);
  }

  function draw(of) {
    grid = of;
    title.textContent = `Grid: ${[grid.x, grid.y].filter(Boolean).map((axis) => labelOf(axis.name)).join(" × ")}`;
    document.title = `${title.textContent} · Darkroom`;
    const rows = grid.y?.values ?? [""];
    cells = rows.map(() => grid.x.values.map(() => ({ element: el("td", {}, "…"), form: "", task: null })));
    body.replaceChildren(el("div", { class: "grid-box", tabindex: "0", role: "region", "aria-label": title.textContent }, el("table", { class: "grid" },
      el("thead", {}, el("tr", {}, grid.y ? el("td", {}) : null, grid.x.values.map((value) => el("th", { scope: "col" }, headOf(grid.x, value))))),
      el("tbody", {}, rows.map((value, row) => el("tr", {},
        grid.y ? el("th", { scope: "row" }, headOf(grid.y, value)) : null, cells[row].map((cell) => cell.element)))))));
  }

  function fill(cell, task) {
    const form = JSON.stringify([task.status, task.progress, task.cancel_requested, task.waits_because]);
    cell.task = task;
    if (cell.form === form) return;
    cell.form = form;
    cell.element.replaceChildren(el("a", { href: pageOf(task.id), title: task.error?.message ?? "" },
      thumbnail(task), task.status === "completed" ? null : el("span", { class: `status ${task.status}` }, stateOf(task)), progressBar(task)));
  }

  async function cancelAll() {
    stop.disabled = true;
    // Also those of which nothing has been told yet: their ids are known.
    const waiting = cells.flatMap((row, below) => row.map((cell, beside) => [cell.task, cellId(id, beside, below)]))
      .filter(([task]) => task === null || !isOver(task)).map(([, name]) => name);
    const total = waiting.length;
    let refused = "";
    const canceller = async () => {
      while (waiting.length) {
        try {
          take(await tell("cancel", { task: waiting.shift() }));
        } catch (error) {
          if (error.status !== 404) refused = error.message; // what was never sent needs no stop
        }
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, canceller));
    announce(refused ? `Not all could be cancelled: ${refused}` : `${total} tasks are asked to stop`);
    if (refused) told.textContent = `Not all could be cancelled: ${refused}`;
    stop.disabled = false;
  }
}

/** A number needs to be told of what it is one; a text speaks for itself. */
function headOf({ name }, value) {
  return typeof value === "number" ? `${labelOf(name)} ${value}` : String(value);
}
