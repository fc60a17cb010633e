// What a picture says of its making, and what can be done with that.

import { el } from "./dom.js";

const LABELS = {
  prompt: "Prompt", negative: "Not in the picture", steps: "Steps", cfg: "Guidance", seed: "Seed", sampler: "Sampler",
  scheduler: "Schedule", strength: "Changed", model: "Model",
};

/** A card that shows `found` of a picture, with a button for each of `actions`: `[[words, what it does]]`. */
export function madeWith(found, actions) {
  const { width, height, ...values } = found.values;
  const facts = Object.entries(LABELS).filter(([name]) => values[name] !== undefined && values[name] !== "" && values[name] !== null)
    .map(([name, label]) => [label, String(values[name])]);
  if (width && height) facts.push(["Size", `${width} × ${height}`]);
  return el("section", { class: "made-with", "aria-label": "How this picture was made" },
    el("h2", {}, "How it was made"),
    el("p", { class: "hint" }, `By ${found.source}.`),
    el("dl", {}, facts.flatMap(([label, value]) => [el("dt", {}, label), el("dd", {}, value)])),
    el("div", { class: "actions" }, actions.map(([words, act], index) => el("button", {
      type: "button", onclick: act, class: index === 0 ? "main" : "",
    }, words))));
}
