// The form of Make: a kind of task, its fields, what does it, and a word about whatever is wrong.

import { el, field, showFault } from "./dom.js";
import { draft, namesIn } from "./draft.js";
import { dropZone } from "./drop.js";
import { fieldsOf, valueOf } from "./fields.js";
import { gridForm } from "./grid_form.js";
import { KINDS } from "./request.js";
import { runtimeChoice } from "./runtime_choice.js";
import { workflowForm } from "./workflow_form.js";

const MOST = 16;
const DROP_WORDS = {
  "text-to-image": "Drop a picture to see how it was made.",
  "image-to-image": "Drop the picture to begin with.",
  "extra-single-image": "Drop the picture to make larger.",
  pipeline: "Drop a workflow, or a picture.",
};
// Where the front door's names are not the form's.
const NAMES = {
  negative_prompt: "negative", cfg_scale: "cfg", denoising_strength: "strength", upscaling_resize: "factor",
  upscaler_1: "upscaler", sampler_name: "sampler",
};

/** The form with these values; it tells of what is changed, dropped, chosen and sent. */
export function makeForm(values, { onChange, onSubmit, onFile, onTemplate }) {
  const { inputs, groups } = fieldsOf(values);
  const choice = runtimeChoice(values);
  const grid = gridForm(values);
  const drop = dropZone({ picture: values.picture, words: DROP_WORDS[values.kind], onFile });
  const workflow = values.kind === "pipeline" ? workflowForm(values.workflow, onTemplate) : null;
  const count = el("input", { name: "count", type: "number", value: values.count, min: 1, max: MOST, step: 1, required: true });
  const countField = field("How many", count);
  const send = el("button", { type: "submit", class: "main send", title: "Ctrl and Enter send it too" }, "Make");
  const trouble = el("div", { class: "notice bad", role: "alert", hidden: true });
  const found = el("div", {});
  let isKnown = false; // which runtimes there are
  let isAsked = false; // to send, before that was known
  const kinds = el("fieldset", {}, el("legend", { class: "hidden" }, "Make a picture"), el("div", { class: "kinds" },
    Object.entries(KINDS).map(([value, name]) => el("label", {},
      el("input", { type: "radio", name: "kind", value, checked: value === values.kind }), el("span", {}, name)))));
  const element = el("form", {
    class: "card make-form", "aria-label": "Make", onsubmit: submit, oninput: onChange, onkeydown: sendByKey, novalidate: true,
  }, kinds, drop.element, found, workflow?.element ?? null, groups.map(([, group]) => group), workflow?.more ?? null, choice.element, grid.element,
  el("div", { class: "send-bar" }, trouble, el("div", { class: "send-line" }, countField, send)));
  return { element, inputs, drop, workflow, read, update, say, refuse, show: (card) => found.replaceChildren(card), busy };

  function read() {
    const now = { ...draft(), kind: element.elements.kind.value, count: valueOf(count) };
    for (const [name, input] of Object.entries(inputs)) now[name] = valueOf(input);
    now.runtime = choice.runtime.value || now.runtime;
    now.model = choice.runtime.value ? choice.model.value : now.model;
    now.grid = grid.read();
    if (workflow && now.workflow) now.workflow = { ...now.workflow, others: workflow.read() };
    return now;
  }

  /** Shows what fits the kind, and the runtimes that do it. */
  function update(runtimes) {
    const now = read();
    const names = namesIn(now);
    for (const [group, part] of groups) part.hidden = !group.some((name) => names.has(name));
    grid.element.hidden = names.size === 0;
    const isAble = choice.offer(runtimes, now);
    const cells = grid.update(now);
    countField.hidden = now.grid !== null;
    send.disabled = !isAble;
    isKnown ||= runtimes.length > 0;
    if (isKnown && isAsked) {
      isAsked = false;
      if (isAble) element.requestSubmit();
    }
    if (!send.dataset.busy) send.textContent = isAsked ? "Sending…" : cells ? `Make ${cells} pictures` : "Make";
    return names;
  }

  function busy(words) {
    if (words) send.dataset.busy = "yes";
    else delete send.dataset.busy;
    send.disabled = Boolean(words);
    send.textContent = words || "Make";
  }

  function sendByKey(event) {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) element.requestSubmit();
  }

  function submit(event) {
    event.preventDefault();
    say([]);
    if (!isKnown) {
      isAsked = true;
      send.textContent = "Sending…";
    } else if (!send.disabled && check()) onSubmit(read());
  }

  function say(lines, of = "form") {
    if (isAsked && lines.length) send.textContent = "Make";
    isAsked &&= !lines.length;
    trouble.dataset.of = of;
    trouble.replaceChildren(...lines.map((line) => el("p", {}, line)));
    trouble.hidden = lines.length === 0;
  }

  function check() {
    let first = null;
    for (const input of element.querySelectorAll("input, select, textarea")) {
      if (["radio", "file", "range"].includes(input.type) || input.closest("[hidden]")) continue;
      showFault(input, input.validationMessage);
      if (!input.validity.valid) first ??= input;
    }
    const now = read();
    const names = namesIn(now);
    if (first === null && now.kind === "pipeline" && !now.workflow) first = missing("Choose a workflow.");
    else if (first === null && names.has("picture") && !now.picture && now.kind !== "pipeline") first = missing("Choose the picture to begin with.");
    first?.closest("details")?.setAttribute("open", "");
    first?.focus();
    return first === null;
  }

  function missing(words) {
    say([words]);
    return drop.element.querySelector("input");
  }

  /** Says why the front door, or the form itself, has refused: at the field that it is about, where there is one. */
  function refuse(error) {
    const lines = [error.message];
    for (const { path, reason } of error.faults ?? []) {
      const name = path.split(".").pop();
      const input = name === "runtime" ? choice.runtime : inputs[NAMES[name] ?? name];
      if (!(input && !input.closest("[hidden]") && showFault(input, reason))) lines.push(`${path} ${reason}`);
    }
    say(lines);
  }
}
