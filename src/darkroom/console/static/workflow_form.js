// The part of the form for ComfyUI's workflows: which one, and its values that the form has no field for.

import { el, field } from "./dom.js";
import { tell } from "./api.js";
import { otherInputs } from "./workflow.js";

const KINDS = { generate: "makes pictures", edit: "changes a picture" };

/** Two parts for `workflow` (or null): `element`, and `more` or null; `onTemplate({name, runtime, graph, slots})` is told of a deployment's that was chosen. */
export function workflowForm(workflow, onTemplate) {
  const select = el("select", { name: "template", onchange: () => {
    const chosen = templates[Number(select.value)];
    if (chosen) onTemplate(chosen);
  } });
  let templates = [];
  const choice = field("Workflow of this deployment", select);
  choice.hidden = true;
  const inputs = workflow ? otherInputs(workflow.graph, workflow.slots).map((one) => [one, inputFor(one, workflow.others)]) : [];
  const element = el("div", { class: "workflow" }, choice,
    workflow ? el("p", { class: "workflow-name" }, el("b", {}, workflow.name), ` · ${Object.keys(workflow.graph).length} nodes`)
      : el("p", { class: "hint" }, "Drop a workflow that ComfyUI has exported with “Export (API)”, or a picture that one has made."));
  const more = inputs.length ? el("details", { class: "more" }, el("summary", {}, `Other values of the workflow (${inputs.length})`),
    inputs.map(([{ node, name }, input]) => field(`${node}: ${name.replaceAll("_", " ")}`, input))) : null;
  return { element, more, read, load };

  /** What somebody has changed: `{place: value}`. */
  function read() {
    const others = { ...workflow?.others };
    for (const [{ place, value }, input] of inputs) {
      const now = typeof value === "boolean" ? input.checked : typeof value === "number" ? input.valueAsNumber : input.value;
      if (now === value || Number.isNaN(now)) delete others[place];
      else others[place] = now;
    }
    return others;
  }

  /** Asks which workflows the deployment has. */
  async function load(signal) {
    const { runtimes } = await tell("runtimes", { query: { workflows: "true" }, signal });
    templates = runtimes.flatMap((runtime) => Object.entries(runtime.workflows ?? {}).map(([kind, { workflow: graph, slots }]) => ({
      name: `${runtime.name} ${KINDS[kind] ?? kind}`, runtime: runtime.name, graph, slots,
    })));
    choice.hidden = templates.length === 0;
    select.replaceChildren(el("option", { value: "" }, "Choose one"), ...templates.map(({ name }, index) => el("option", {
      value: String(index), selected: name === workflow?.name,
    }, name)));
    return templates;
  }
}

function inputFor({ place, value }, others) {
  const now = others?.[place] ?? value;
  const name = `input-${place}`;
  if (typeof value === "boolean") return el("input", { name, type: "checkbox", checked: now });
  if (typeof value === "number") return el("input", { name, type: "number", step: "any", value: now });
  const input = el("input", { name, type: "text" });
  input.value = now;
  return input;
}
