// The form that makes pictures, with the request it sends beside it.

import { announce, duration, el, field, showFault } from "./dom.js";
import { tell, Unreachable, upload } from "./api.js";
import { dataOf, dropZone } from "./drop.js";
import { contentOfTask, KINDS, newId, requestOf, shown, valuesOf } from "./request.js";
import { showRows } from "./rows.js";
import { all, find, listen, lookUp } from "./tasks.js";

const LOOK_MS = 10_000;
const MOST = 16;
const RECENT = 6;
const MOST_INLINE_BYTES = 4_000_000; // a request holds 6 MB, and base64 is a third longer
// What the form holds while other pages are shown.
let kept = {
  kind: "text-to-image", prompt: "", negative: "", steps: 20, width: 512, height: 512, cfg: 7, seed: null,
  strength: 0.6, factor: 2, upscaler: "Lanczos", count: 1, picture: null,
};

const number = (name, value, least, most, step = 1) => el("input", { name, type: "number", value, min: least, max: most, step, required: true });

/** Shows the form in `main` until `signal` aborts; `query` may name a task to do again, or a picture to begin with. */
export async function showMake(main, query, signal) {
  const again = query.get("again");
  if (again) {
    main.replaceChildren(el("h1", { tabindex: "-1" }, "Make"), el("p", { class: "empty" }, "Loading…"));
    await recall(again, query.get("seed") === "new");
  }
  if (query.get("picture") && query.get("kind") in KINDS) {
    kept = { ...kept, kind: query.get("kind"), runtime: query.get("runtime"), picture: { link: query.get("picture") } };
  }
  if (signal.aborted) return;
  if (query.size) history.replaceState(null, "", "#/make"); // what was asked for has been done

  let runtimes = [];
  let language = "json";
  const kinds = el("fieldset", {}, el("legend", {}, "Make a picture"), el("div", { class: "kinds" },
    Object.entries(KINDS).map(([value, name]) => el("label", {},
      el("input", { type: "radio", name: "kind", value, checked: value === kept.kind }), el("span", {}, name)))));
  const prompt = el("textarea", { name: "prompt", rows: 3, required: true, placeholder: "A dog in the snow" });
  prompt.value = kept.prompt ?? "";
  const negative = el("input", { name: "negative", value: kept.negative ?? "" });
  const runtime = el("select", { name: "runtime", required: true });
  const model = el("select", { name: "model" });
  const drop = dropZone(kept.picture, (picture) => { kept.picture = picture; preview(); });
  const numbers = {
    width: number("width", kept.width, 64, 4096, 8), height: number("height", kept.height, 64, 4096, 8),
    steps: number("steps", kept.steps, 1, 150), cfg: number("cfg", kept.cfg, 0, 30, "any"),
    strength: number("strength", kept.strength, 0, 1, "any"), factor: number("factor", kept.factor, 1, 8, "any"),
    count: number("count", kept.count, 1, MOST),
  };
  const seed = el("input", { name: "seed", type: "number", min: 0, max: 4294967295, step: 1, placeholder: "random", value: kept.seed ?? "" });
  const upscaler = el("input", { name: "upscaler", required: true, list: "upscalers", value: kept.upscaler });
  const parts = {
    picture: drop.element,
    prompt: field("Prompt", prompt),
    negative: field("Not in the picture", negative, "May be empty."),
    sizes: el("div", { class: "fields" }, field("Width", numbers.width), field("Height", numbers.height)),
    how: el("div", { class: "fields" }, field("Steps", numbers.steps), field("Guidance", numbers.cfg), field("Seed", seed)),
    strength: field("How much may change", numbers.strength, "From 0, nothing, to 1, everything."),
    larger: el("div", { class: "fields" }, field("Times larger", numbers.factor), field("Method", upscaler),
      el("datalist", { id: "upscalers" }, ["Lanczos", "R-ESRGAN 4x+"].map((value) => el("option", { value })))),
  };
  const modelField = field("Model", model);
  const send = el("button", { type: "submit", class: "main" }, "Make");
  const trouble = el("div", { class: "notice bad", role: "alert", hidden: true });
  const form = el("form", { class: "card", onsubmit: submit, oninput: changed, novalidate: true },
    kinds, ...Object.values(parts), field("Runtime", runtime), modelField,
    field("How many", numbers.count, "Each is a task of its own, with its own seed."), trouble, send);

  const code = el("code");
  const languages = el("div", { class: "actions tabs", role: "group", "aria-label": "Show the request as" },
    [["json", "JSON"], ["curl", "curl"], ["python", "Python"]].map(([value, name]) => el("button", {
      type: "button", "aria-pressed": value === language ? "true" : "false", onclick: (event) => {
        language = value;
        for (const other of languages.children) other.setAttribute("aria-pressed", String(other === event.target));
        preview();
      },
    }, name)), el("button", { type: "button", onclick: copy }, "Copy"));
  const list = el("ul", { class: "rows", "aria-label": "Newest tasks" });
  const none = el("p", { class: "hint" }, "What you make appears here.");
  main.replaceChildren(el("h1", { tabindex: "-1" }, "Make"), el("div", { class: "columns" }, form, el("div", {},
    el("section", { class: "card", "aria-labelledby": "newest" }, el("h2", { id: "newest" }, "Newest"), none, list),
    el("section", { "aria-labelledby": "request" }, el("h2", { id: "request" }, "The request"), languages,
      el("pre", { tabindex: "0", "aria-label": "The request" }, code),
      el("p", { class: "hint" }, "The console sends it with an id of its own, and with the same again as its context, so that it "
        + "can show later what you asked for.")))));

  signal.addEventListener("abort", listen(showNewest));
  const timer = setInterval(() => { if (!document.hidden) readRuntimes(); }, LOOK_MS);
  signal.addEventListener("abort", () => clearInterval(timer));
  showNewest();
  changed();
  if (again) prompt.focus();
  await readRuntimes();

  function showNewest() {
    const newest = all().slice(0, RECENT);
    none.hidden = newest.length > 0;
    showRows(list, newest);
  }

  async function readRuntimes() {
    try {
      runtimes = (await tell("runtimes", { signal })).runtimes;
      if (trouble.dataset.of === "runtimes") trouble.hidden = true;
    } catch (error) {
      if (!signal.aborted) say([error.message], "runtimes");
      return;
    }
    changed();
  }

  function changed() {
    const values = read();
    const isLarger = values.kind === "extra-single-image";
    parts.picture.hidden = values.kind === "text-to-image";
    for (const name of ["prompt", "negative", "sizes", "how"]) parts[name].hidden = isLarger;
    parts.strength.hidden = values.kind !== "image-to-image";
    parts.larger.hidden = !isLarger;
    offer(values.kind, values.runtime ?? kept.runtime);
    kept = { ...kept, ...read() };
    preview();
  }

  function offer(kind, wanted) {
    const able = runtimes.filter((one) => one.tasktypes.includes(kind));
    const form = able.map((one) => [one.name, words(one)]);
    if (JSON.stringify(form) !== runtime.dataset.form) {
      runtime.dataset.form = JSON.stringify(form);
      runtime.replaceChildren(...form.map(([value, name]) => el("option", { value, selected: value === wanted }, name)));
    }
    const none = runtimes.length && !able.length ? "No runtime of this deployment does such tasks." : "";
    showFault(runtime, none);
    send.disabled = !able.length;
    const chosen = able.find((one) => one.name === runtime.value);
    const models = chosen?.loads_models && kind !== "extra-single-image" ? chosen.models : [];
    modelField.hidden = models.length === 0;
    if (model.dataset.form !== models.join("\n")) {
      model.dataset.form = models.join("\n");
      model.replaceChildren(el("option", { value: "" }, "What is loaded"), ...models.map((value) => el("option", { value, selected: value === kept.model }, value)));
    }
  }

  function read() {
    const data = new FormData(form);
    const values = { ...kept, kind: data.get("kind") };
    for (const name of ["prompt", "negative", "runtime", "model", "upscaler"]) values[name] = data.get(name) ?? "";
    for (const [name, input] of Object.entries(numbers)) values[name] = input.valueAsNumber;
    values.seed = seed.value === "" ? null : seed.valueAsNumber;
    return values;
  }

  function preview() {
    const values = read();
    code.textContent = shown(requestOf("my-picture", values, kept.picture?.link ?? kept.picture?.data ?? "(your picture)"), language);
  }

  async function copy(event) {
    try {
      await navigator.clipboard.writeText(code.textContent);
      event.target.textContent = "Copied";
      announce("The request is copied");
    } catch {
      event.target.textContent = "Select it and copy it yourself";
    }
    setTimeout(() => { event.target.textContent = "Copy"; }, 2000);
  }

  function say(lines, of = "form") {
    trouble.dataset.of = of;
    trouble.replaceChildren(...lines.map((line) => el("p", {}, line)));
    trouble.hidden = lines.length === 0;
  }

  function check() {
    let first = null;
    for (const input of form.querySelectorAll("input, select, textarea")) {
      if (input.type === "radio" || input.type === "file" || input.closest("[hidden]")) continue;
      showFault(input, input.validationMessage);
      if (!input.validity.valid) first ??= input;
    }
    if (first === null && !parts.picture.hidden && kept.picture === null) {
      say(["Choose the picture to begin with."]);
      first = parts.picture.querySelector("input");
    }
    first?.focus();
    return first === null;
  }

  async function submit(event) {
    event.preventDefault();
    say([]);
    if (!check()) return;
    const values = read();
    send.disabled = true;
    send.textContent = "Sending…";
    try {
      const picture = values.kind === "text-to-image" ? null : await linkOf(kept.picture);
      for (let index = 0; index < values.count; index += 1) {
        const one = { ...values, seed: values.seed === null ? null : values.seed + index };
        const request = requestOf(newId(), one, picture);
        const reply = await tell("submit", { body: request });
        if (reply.warnings) say(reply.warnings.map((warning) => `${warning.path} ${warning.reason}`));
        await lookUp(reply.id).catch(() => {}); // the stream tells of it in a moment, in any case
      }
      announce(values.count === 1 ? "Sent" : `${values.count} tasks sent`);
    } catch (error) {
      refuse(error);
    }
    send.disabled = false;
    send.textContent = "Make";
  }

  function refuse(error) {
    const inputs = {
      prompt, negative_prompt: negative, seed, cfg_scale: numbers.cfg, denoising_strength: numbers.strength,
      upscaling_resize: numbers.factor, upscaler_1: upscaler, runtime, ...numbers,
    };
    const lines = [error.message];
    for (const { path, reason } of error.faults ?? []) {
      const input = inputs[path.split(".").pop()];
      if (!(input && !input.closest("[hidden]") && showFault(input, reason))) lines.push(`${path} ${reason}`);
    }
    say(lines);
  }
}

async function linkOf(picture) {
  if (picture.link) return picture.link;
  if (picture.data) return picture.data;
  try {
    picture.link = await upload(picture.file); // which stays good for the next one
    return picture.link;
  } catch (error) {
    if (error instanceof Unreachable && picture.file.size <= MOST_INLINE_BYTES) return dataOf(picture.file);
    throw error;
  }
}

async function recall(id, isNewSeed) {
  const task = find(id) ?? (await lookUp(id).catch(() => null));
  if (task === null || contentOfTask(task) === null) {
    announce("What this task asked for is not known here");
    return;
  }
  const values = Object.fromEntries(Object.entries(valuesOf(task)).filter(([, value]) => value !== undefined));
  const picture = values.picture ? { link: values.picture } : null;
  kept = { ...kept, ...values, picture, count: 1, seed: isNewSeed ? null : values.seed };
}

function words(runtime) {
  if (runtime.agents_ready === 0) return `${runtime.name} — no agent is ready, tasks wait`;
  if (runtime.estimated_wait_seconds >= 1) return `${runtime.name} — about ${duration(runtime.estimated_wait_seconds)} to wait`;
  return runtime.waiting ? `${runtime.name} — ${runtime.waiting} waiting` : `${runtime.name} — ready`;
}
