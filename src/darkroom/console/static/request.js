// Requests of the front door: made of a form's values, read back out of a task, and shown as commands.

import { ENDPOINT, SUBMIT_URL } from "./api.js";
import { filledWorkflow, findSlots, valuesOfWorkflow } from "./workflow.js";

export const KINDS = {
  "text-to-image": "From text",
  "image-to-image": "From a picture",
  "extra-single-image": "Larger",
  pipeline: "Workflow",
};
const MOST_KNOWN = 40_000; // a context holds 64 KiB, of which a letter may take three

/** A new id, for one request or for several that belong together. */
export function newId() {
  const random = crypto.getRandomValues(new Uint8Array(5));
  return `console-${[...random].map((byte) => byte.toString(36).padStart(2, "0")).join("")}`;
}

/** A seed, for what should be made alike in everything else. */
export function newSeed() {
  return crypto.getRandomValues(new Uint32Array(1))[0];
}

/** The content of a request: `values` of the form, and what stands for the picture. */
export function contentOf(values, picture) {
  if (values.kind === "pipeline") return values.workflow ? filledWorkflow(values.workflow, values, picture) : {};
  if (values.kind === "extra-single-image") {
    return { upscaling_resize: values.factor, upscaler_1: values.upscaler, image: picture };
  }
  const content = {
    alwayson_scripts: {},
    prompt: values.prompt,
    ...(values.negative ? { negative_prompt: values.negative } : {}),
    steps: values.steps, width: values.width, height: values.height, cfg_scale: values.cfg,
    ...(values.seed === null ? {} : { seed: values.seed }),
    ...(values.sampler ? { sampler_name: values.sampler } : {}),
    ...(values.scheduler ? { scheduler: values.scheduler } : {}),
  };
  if (values.model) content.alwayson_scripts = { sd_model_checkpoint: values.model };
  if (values.kind === "image-to-image") return { ...content, denoising_strength: values.strength, init_images: [picture] };
  return content;
}

/**
 * The whole request; `grid` says of which grid it is a part, and where it stands there. What it asks for stands in its
 * context too, so that the console can show it and do it again.
 */
export function requestOf(id, values, picture, grid = undefined) {
  // ComfyUI makes nothing again that it has made: a workflow without a new seed would show the old picture.
  const drawn = values.kind === "pipeline" && values.seed === null ? { ...values, seed: newSeed() } : values;
  const content = contentOf(drawn, picture);
  const known = JSON.stringify(content, (_name, value) => (isLarge(value) ? null : value));
  const context = {
    ...(known.length <= MOST_KNOWN ? { console: JSON.parse(known) } : {}),
    ...(values.kind === "pipeline" ? { title: values.prompt || values.workflow?.name || "" } : {}),
    ...(grid ? { grid } : {}),
  };
  return { task: { metadata: { id, runtime: values.runtime, tasktype: values.kind, prefix: "output", context }, content } };
}

function isLarge(value) {
  return typeof value === "string" && value.startsWith("data:");
}

/** What a task asked for, as far as the console sent it; null for another's. */
export function contentOfTask(task) {
  const told = task.context?.console;
  return told !== null && typeof told === "object" ? told : null;
}

/** What to call a task: its prompt, where it is known. */
export function titleOf(task) {
  const content = contentOfTask(task);
  const title = task.context?.title;
  if (typeof title === "string" && title) return title.slice(0, 300);
  if (typeof content?.prompt === "string" && content.prompt) return content.prompt;
  if (content?.upscaling_resize) return `${content.upscaling_resize} times larger`;
  return task.id;
}

/** The form's values that ask for the same again. */
export function valuesOf(task) {
  const content = contentOfTask(task) ?? {};
  const common = { kind: task.tasktype, runtime: task.runtime };
  if (task.tasktype === "pipeline") {
    const slots = findSlots(content);
    const values = valuesOfWorkflow(content, slots);
    const link = slots.picture ? content[slots.picture[0].split(".")[0]].inputs.image : null;
    const name = `The workflow of ${task.id}`;
    return { ...common, ...values, workflow: { name, graph: content, slots, others: {} }, picture: link };
  }
  const seed = typeof content.seed === "number" && content.seed >= 0 ? content.seed : null;
  return {
    ...common, prompt: content.prompt, negative: content.negative_prompt,
    steps: content.steps, width: content.width, height: content.height, cfg: content.cfg_scale, seed,
    sampler: content.sampler_name ?? "", scheduler: content.scheduler ?? "",
    strength: content.denoising_strength, factor: content.upscaling_resize, upscaler: content.upscaler_1,
    model: content.alwayson_scripts?.sd_model_checkpoint, picture: content.image ?? content.init_images?.[0] ?? null,
  };
}

/** The same request in three languages, without its context, which only repeats it. The key stands in none of them. */
export function shown(request, language) {
  const { metadata: { context: _context, ...metadata }, content } = request.task;
  const short = (_name, value) => (isLarge(value) ? `${value.slice(0, 40)}…` : value);
  const text = JSON.stringify({ task: { metadata, content } }, short, 2);
  if (language === "json") return text;
  if (language === "curl") {
    return [
      `curl ${SUBMIT_URL} \\`,
      '  -H "x-api-key: $DARKROOM_API_KEY" \\',
      '  -H "content-type: application/json" \\',
      `  -d ${quoted(JSON.stringify(JSON.parse(text)))}`,
    ].join("\n");
  }
  return [
    "import json",
    "import os",
    "",
    "from darkroom.client import Client",
    "",
    `request = json.loads(r'''${text.replaceAll("'", "\\u0027")}''')`,
    `with Client(${JSON.stringify(ENDPOINT)}, os.environ["DARKROOM_API_KEY"]) as client:`,
    '    client.submit(request).save("pictures")',
  ].join("\n");
}

function quoted(text) {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
