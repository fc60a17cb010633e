// Stops all tasks that a filter lets through: counts them first, and asks.

import { announce, el } from "./dom.js";
import { Refused, tell } from "./api.js";
import { take } from "./tasks.js";

const AT_ONCE = 4;
const MOST_TRIES = 5;

/** A dialogue that asks whether these `tasks` are to be stopped, and stops them; `words` say which they are. */
export function askToCancel(tasks, words) {
  const many = tasks.length === 1 ? "1 task" : `${tasks.length} tasks`;
  const told = el("p", { role: "status" });
  const yes = el("button", { type: "button", class: "main", onclick: stop }, `Cancel ${many}`);
  const no = el("button", { type: "button", onclick: () => box.close() }, tasks.length ? "Keep them" : "Close");
  const box = el("dialog", { "aria-labelledby": "cancel-many" },
    el("h2", { id: "cancel-many" }, tasks.length ? `Cancel ${many}?` : "Nothing to cancel"),
    el("p", {}, tasks.length
      ? `These are ${words}. One that waits is not begun; one that is in work is interrupted. Pictures that are there stay.`
      : `None of ${words} waits or is in work.`),
    told, el("div", { class: "actions" }, tasks.length ? yes : null, no));
  let isStopped = false;
  box.addEventListener("close", () => { isStopped = true; box.remove(); });
  document.body.append(box);
  box.showModal();
  no.focus();

  async function stop() {
    yes.disabled = true;
    no.textContent = "Stop here";
    const rest = [...tasks];
    const failed = [];
    let done = 0;
    await Promise.all(Array.from({ length: AT_ONCE }, async () => {
      while (rest.length && !isStopped) {
        const task = rest.shift();
        try {
          await patiently(task);
          done += 1;
        } catch (error) {
          failed.push(error.message);
        }
        told.textContent = `${done} of ${tasks.length}`;
      }
    }));
    announce(`${done} of ${tasks.length} tasks asked to stop`);
    if (failed.length === 0) return box.close();
    told.textContent = `${done} of ${tasks.length} were asked to stop. ${failed.length} were not: ${failed[0]}`;
    no.textContent = "Close";
  }

  async function patiently(task) {
    for (let tries = 1; ; tries += 1) {
      try {
        take(await tell("cancel", { task: task.id, caller: task.caller }));
        return;
      } catch (error) {
        // A key may ask so often in a second, and no more.
        if (isStopped || tries === MOST_TRIES || !(error instanceof Refused && error.status === 429)) throw error;
        await new Promise((resolve) => { setTimeout(resolve, 1000 * Math.max(1, error.retryAfter)); });
      }
    }
  }
}
