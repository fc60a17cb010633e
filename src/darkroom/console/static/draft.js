// What the form of Make holds, also while other pages are shown; without its picture and its workflow, in this tab's
// session, so that a page that is loaded anew has it.

import { keepDraft, keptDraft } from "./session.js";
import { namesOf } from "./workflow.js";

const MAKING = ["prompt", "negative", "width", "height", "steps", "cfg", "seed", "sampler", "scheduler", "model"];
const NAMES = {
  "text-to-image": MAKING,
  "image-to-image": [...MAKING, "strength", "picture"],
  "extra-single-image": ["picture", "factor", "upscaler"],
};
let kept = {
  kind: "text-to-image", prompt: "", negative: "", steps: 20, width: 512, height: 512, cfg: 7, seed: null,
  sampler: "", scheduler: "", strength: 0.6, factor: 2, upscaler: "Lanczos", count: 1, model: "", wanted: "", runtime: "",
  picture: null, workflow: null, grid: null,
};

const LASTING = Object.keys(kept).filter((name) => !["picture", "workflow"].includes(name));
restore();
addEventListener("pagehide", () => keepDraft(JSON.stringify(Object.fromEntries(LASTING.map((name) => [name, kept[name]])))));

function restore() {
  let found = null;
  try {
    found = JSON.parse(keptDraft());
  } catch {
    return; // another version of this page may have left it
  }
  for (const name of LASTING) if (found && name in found) kept[name] = found[name];
}

/** Its values. `wanted` is a model that a picture names, for a runtime that has it. `workflow` is `{name, graph, slots, others}`, `grid` `{x: {name, text}, y: {name, text}}`. */
export function draft() {
  return kept;
}

/** Changes some of them; what is undefined stays as it is. */
export function keep(changes) {
  kept = { ...kept, ...Object.fromEntries(Object.entries(changes).filter(([, value]) => value !== undefined)) };
}

/** The names that a request of this kind has. */
export function namesIn({ kind, workflow }) {
  if (kind !== "pipeline") return new Set(NAMES[kind]);
  return workflow ? namesOf(workflow.slots) : new Set();
}
