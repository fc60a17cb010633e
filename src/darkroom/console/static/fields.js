// The fields of the form that make a picture what it is: their inputs, by the form's names, and the groups they stand in.

import { el, field } from "./dom.js";

const SHAPES = [["Square", 512, 512], ["Portrait", 512, 768], ["Landscape", 768, 512]];
const SAMPLERS = ["Euler a", "Euler", "DPM++ 2M", "DPM++ SDE", "DPM++ 2M SDE", "DDIM", "UniPC", "LMS", "Heun"];
const SCHEDULES = ["Automatic", "Karras", "Exponential", "SGM Uniform", "Simple", "Normal", "DDIM", "Beta"];

/** `{inputs, groups}`: each input by its name, and `[names, element]` for each group. */
export function fieldsOf(values) {
  const inputs = {
    prompt: el("textarea", { name: "prompt", rows: 3, required: true, placeholder: "A dog in the snow" }),
    negative: el("input", { name: "negative", value: values.negative ?? "", placeholder: "May be empty" }),
    width: number("width", values.width, 16, 4096, "any"), height: number("height", values.height, 16, 4096, "any"),
    steps: number("steps", values.steps, 1, 150), cfg: number("cfg", values.cfg, 0, 30, "any"),
    seed: el("input", { name: "seed", type: "number", min: 0, max: Number.MAX_SAFE_INTEGER, step: 1, placeholder: "random", value: values.seed ?? "" }),
    sampler: suggested("sampler", values.sampler, SAMPLERS), scheduler: suggested("scheduler", values.scheduler, SCHEDULES),
    strength: number("strength", values.strength, 0, 1, "any"),
    factor: number("factor", values.factor, 1, 8, "any"), upscaler: suggested("upscaler", values.upscaler, ["Lanczos", "R-ESRGAN 4x+"], true),
  };
  inputs.prompt.value = values.prompt ?? "";
  const groups = [
    [["prompt"], field("Prompt", inputs.prompt)],
    [["negative"], field("Not in the picture", inputs.negative)],
    [["width", "height"], el("fieldset", { class: "size" }, el("legend", {}, "Size"), shapes(inputs),
      el("div", { class: "fields" }, field("Width", inputs.width), field("Height", inputs.height)))],
    [["steps"], ranged("Steps", inputs.steps, 1, 60, 1)],
    [["cfg"], ranged("Guidance", inputs.cfg, 1, 20, 0.5)],
    [["strength"], ranged("Change", inputs.strength, 0, 1, 0.05, "From 0, nothing, to 1, everything.")],
    [["seed"], inline(field("Seed", inputs.seed))],
    [["sampler", "scheduler"], el("details", { class: "more", open: Boolean(values.sampler || values.scheduler) },
      el("summary", {}, "Sampler"),
      el("div", { class: "fields" }, field("Sampler", inputs.sampler), field("Schedule", inputs.scheduler)))],
    [["factor", "upscaler"], el("div", { class: "fields" }, field("Times larger", inputs.factor), field("Method", inputs.upscaler))],
  ];
  return { inputs, groups };
}

/** What an input holds: a number, a text, or null for a number that is left out. */
export function valueOf(input) {
  if (input.type !== "number") return input.value;
  return input.value === "" ? null : input.valueAsNumber;
}

function number(name, value, least, most, step = 1) {
  return el("input", { name, type: "number", value, min: least, max: most, step, required: true });
}

function suggested(name, value, suggestions, required = false) {
  const input = el("input", { name, value: value ?? "", list: `${name}-list`, autocomplete: "off", placeholder: required ? "" : "as the runtime has it", required });
  input.suggestions = el("datalist", { id: `${name}-list` }, suggestions.map((one) => el("option", { value: one })));
  input.addEventListener("focus", () => input.after(input.suggestions), { once: true });
  return input;
}

/** A number with a slider beside it, which is there for pointers: keys and screen readers have the number. */
function ranged(label, input, least, most, step, hint = "") {
  const slider = el("input", { type: "range", min: least, max: most, step, value: input.value, tabindex: -1, "aria-hidden": "true" });
  slider.addEventListener("input", (event) => {
    event.stopPropagation();
    input.value = slider.value;
    input.dispatchEvent(new Event("input", { bubbles: true }));
  });
  input.addEventListener("input", () => { slider.value = input.value; });
  const element = field(label, input, hint);
  const both = el("div", { class: "ranged" });
  input.replaceWith(both);
  both.append(slider, input);
  return inline(element);
}

/** A field whose label stands beside its input. */
export function inline(element) {
  element.classList.add("inline");
  return element;
}

function shapes({ width, height }) {
  const buttons = SHAPES.map(([name, wide, high]) => el("button", { type: "button", class: "chip", onclick: () => {
    width.value = wide;
    height.value = high;
    width.dispatchEvent(new Event("input", { bubbles: true }));
  } }, shapeOf(wide, high), name));
  const show = () => buttons.forEach((button, index) => {
    const [, wide, high] = SHAPES[index];
    button.setAttribute("aria-pressed", String(Number(width.value) === wide && Number(height.value) === high));
  });
  for (const input of [width, height]) input.addEventListener("input", show);
  show();
  return el("div", { class: "chips", role: "group", "aria-label": "Usual sizes" }, buttons);
}

function shapeOf(wide, high) {
  const shape = el("span", { class: "shape", "aria-hidden": "true" });
  shape.style.aspectRatio = `${wide} / ${high}`;
  return shape;
}
