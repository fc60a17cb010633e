// Where a task's time went: what its record tells, as a waterfall.

import { clock, duration, el } from "./dom.js";
import { isOver } from "./tasks.js";

/** The parts of a task's way, each with when it began and ended (in seconds), in order; those that are known. */
export function stagesOf(task, now = Date.now() / 1000) {
  const at = (text) => (text ? new Date(text).getTime() / 1000 : null);
  const [accepted, received, prepared, began, stored] = ["created_at", "received_at", "prepared_at", "started_at", "stored_at"]
    .map((name) => at(task[name]));
  const ended = at(task.ended_at) ?? (isOver(task) ? at(task.updated_at) : null);
  const until = ended ?? now;
  const stages = [];
  const add = (name, from, to, kind = "") => {
    if (from !== null && to !== null) stages.push({ name, from, to: Math.max(from, to), kind });
  };
  if (task.attempts > 1) {
    // Of the tries before the last one is known when the first began, and when the last one's message came.
    add("In the queue", accepted, began, "waited");
    add("Earlier tries", began, received ?? until, "waited");
    add("Links and the like", received, prepared, "fetched");
    add("Last try", prepared, stored ?? until);
  } else {
    add("In the queue", accepted, received ?? began ?? until, "waited");
    add("Links and the like", received, prepared ?? (received === null ? null : until), "fetched");
    add("Waits for the device", prepared, began ?? (prepared === null ? null : until), "waited");
    const generated = began !== null && task.device_seconds ? Math.min(began + task.device_seconds, until) : null;
    if (began !== null) add("Generation", began, generated ?? until, "device");
    add("Pictures stored", generated, stored, "stored");
  }
  add("Told and recorded", stored, ended, "told");
  return stages;
}

/** The waterfall, and the times it is made of. */
export function times(task) {
  const stages = stagesOf(task);
  const start = stages.length ? stages[0].from : 0;
  const whole = Math.max(...stages.map((stage) => stage.to), start + 0.001) - start;
  const facts = [
    ["Accepted", task.created_at], ["Began", task.started_at], ["Ended", task.ended_at], ["Deadline", task.deadline],
  ].filter(([, time]) => time);
  return el("section", { class: "card", "aria-label": "Times" }, el("h2", {}, "Times"),
    el("div", { class: "waterfall", role: "group", "aria-label": "How long each part took" },
      stages.flatMap(({ name, from, to, kind }) => {
        const bar = el("div", { class: `bar ${kind}` });
        bar.style.marginLeft = `${Math.min(99.5, (100 * (from - start)) / whole)}%`;
        bar.style.width = `${(100 * (to - from)) / whole}%`;
        return [el("span", {}, name), el("div", { class: "track", "aria-hidden": "true" }, bar), el("span", { class: "number" }, duration(to - from))];
      })),
    el("dl", {}, facts.flatMap(([name, time]) => [el("dt", {}, name), el("dd", {}, clock(time))]),
      isOver(task) ? [el("dt", {}, "In all"), el("dd", {}, duration(whole))] : null));
}
