// Which runtime does a task, and with which model: what there is, and how long a task would wait.

import { duration, el, field, showFault } from "./dom.js";
import { inline } from "./fields.js";

/** Two fields; `offer(runtimes, values)` shows those that do such tasks, and returns whether one does. */
export function runtimeChoice(values) {
  const runtime = el("select", { name: "runtime", required: true });
  const model = el("select", { name: "model" });
  let isChosen = false;
  model.addEventListener("change", () => { isChosen = true; });
  const state = el("p", { class: "wait-line" });
  const modelField = inline(field("Model", model));
  return { element: el("div", { class: "choice" }, inline(field("Runtime", runtime)), state, modelField), runtime, model, offer };

  function offer(runtimes, { kind, runtime: wanted, model: before, wanted: said }) {
    const able = runtimes.filter((one) => one.tasktypes.includes(kind));
    choose(runtime, able.map((one) => [one.name, `${one.name} — ${waitOf(one)}`]), wanted);
    showFault(runtime, runtimes.length && !able.length ? "No runtime of this deployment does such tasks." : "");
    const chosen = able.find((one) => one.name === runtime.value);
    const models = chosen?.loads_models && kind.endsWith("to-image") ? chosen.models : [];
    modelField.hidden = models.length === 0;
    const isSaid = (name) => said && !isChosen && (name === said || name.replace(/\.\w+$/, "") === said);
    choose(model, models.length ? [["", "What is loaded"], ...models.map((one) => [one, one])] : [], before || models.find(isSaid));
    state.hidden = !chosen;
    state.className = `wait-line ${chosen?.agents_ready ? "ready" : "away"}`;
    state.textContent = chosen ? stateOf(chosen) : "";
    return able.length > 0;
  }
}

function choose(select, options, wanted) {
  const form = JSON.stringify(options);
  if (form === select.dataset.form) return;
  const value = options.some(([name]) => name === select.value) && select.value ? select.value : wanted;
  select.dataset.form = form;
  select.replaceChildren(...options.map(([name, words]) => el("option", { value: name, selected: name === value }, words)));
}

function waitOf(runtime) {
  if (runtime.agents_ready === 0) return "no agent is ready, tasks wait";
  if (runtime.estimated_wait_seconds >= 1) return `about ${duration(runtime.estimated_wait_seconds)} to wait`;
  return runtime.waiting ? `${runtime.waiting} waiting` : "ready";
}

function stateOf(runtime) {
  const agents = runtime.agents_ready === 1 ? "1 agent" : `${runtime.agents_ready} agents`;
  const loaded = runtime.loaded?.length ? `${runtime.loaded[0]} is loaded` : "";
  const queue = runtime.waiting === undefined ? "" : `${runtime.waiting} waiting, ${runtime.in_work ?? 0} in work`;
  return [agents, queue, loaded].filter(Boolean).join(" · ");
}
