// What a task asked for, what its runtime says that it did, and what its pictures say of their making.

import { el } from "./dom.js";
import { readObject } from "./api.js";
import { contentOfTask, KINDS } from "./request.js";

const MOST_BYTES = 2_000_000; // of what a runtime has returned
const MOST_READ = 8;
const CREDENTIALS = {
  embedded: "Content Credentials in the picture", sidecar: "Content Credentials in a file beside it", none: "No Content Credentials",
};

/** What was asked for, as far as that is known, and what was done. */
export function parameters(task, signal) {
  const content = contentOfTask(task);
  const facts = [
    ["Id", task.id], ["Runtime", task.runtime], ["Model", task.model], ["Task", KINDS[task.tasktype] ?? task.tasktype],
    ...Object.entries(content ?? {}).filter(([name]) => name !== "alwayson_scripts")
      .map(([name, value]) => [name.replaceAll("_", " "), typeof value === "object" ? JSON.stringify(value) : String(value)]),
    ["Tries", task.attempts ? String(task.attempts) : ""],
    ["Stored below", task.output_location], ["Agent", task.agent], ["Caller", task.caller === "" ? "nobody" : task.caller],
  ];
  const other = !content && task.context !== undefined && task.context !== null && task.context !== "";
  const done = el("div");
  if (task.links?.output_url && task.status === "completed") showDone(done, task.links.output_url, content, signal);
  return el("section", { class: "card", "aria-label": "Parameters" }, el("h2", {}, "Parameters"),
    list(facts),
    content ? null : el("p", { class: "hint" },
      "What a task asked for is known here only where the console sent it: records do not hold requests."),
    other ? el("pre", { tabindex: "0", "aria-label": "Context" }, JSON.stringify(task.context, null, 2)) : null,
    done);
}

async function showDone(place, link, content, signal) {
  let told;
  try {
    const response = await readObject(link, signal);
    if (Number(response.headers.get("content-length")) > MOST_BYTES) return;
    told = doneOf(await response.json());
  } catch {
    return; // it says more than is needed
  }
  const facts = Object.entries(told).filter(([name, value]) => value !== undefined && value !== "" && String(value) !== String(content?.[name] ?? ""));
  if (signal.aborted || facts.length === 0) return;
  place.replaceChildren(el("h3", {}, "As it was done"), list(facts.map(([name, value]) => [name.replaceAll("_", " "), String(value)])));
}

/** What a runtime has returned of how it made the pictures: SD Web UI's `info`, which has the seed that it chose. */
function doneOf(document) {
  const found = document.info ?? document.response?.info;
  const info = typeof found === "string" ? JSON.parse(found) : found ?? {};
  return {
    seed: info.all_seeds?.length > 1 ? info.all_seeds.join(", ") : info.seed, sampler_name: info.sampler_name, model: info.sd_model_name,
    width: info.width, height: info.height, steps: info.steps, cfg_scale: info.cfg_scale,
  };
}

/** What each picture carries that says how it came to be; null where none of them carries anything. */
export function provenance(task) {
  const told = (task.provenance ?? []).filter(Boolean);
  if (told.length === 0) return null;
  return el("section", { class: "card", "aria-label": "Provenance" }, el("h2", {}, "Provenance"),
    list(task.provenance.flatMap((one, index) => {
      const name = task.provenance.length > 1 ? `Picture ${index + 1}` : "The picture";
      if (one === null) return [[name, "carries nothing that says how it was made"]];
      const source = one.digital_source_type?.split("/").pop();
      return [
        [name, `${CREDENTIALS[one.credentials] ?? one.credentials}${source ? `; source: ${spelt(source)}` : ""}`],
        ["Beside it", one.sidecar_url],
      ];
    })),
    el("div", { class: "actions" }, (task.links?.image_url ?? []).slice(0, MOST_READ).map((link, index, all) => reader(link, all.length > 1 ? `picture ${index + 1}` : "the picture"))),
    el("p", { class: "hint" }, "Whether that is to be believed is not looked at here: “darkroom provenance show FILE” checks the signature."));
}

/** A button that reads what a picture itself says of its making. */
function reader(link, name) {
  const button = el("button", { type: "button", onclick: read }, `Read ${name}`);
  return button;

  async function read() {
    button.disabled = true;
    let found = null;
    let why = "It says nothing of its making that is known here.";
    try {
      const { parametersOf } = await import("./parameters.js");
      found = await parametersOf(await (await readObject(link)).blob());
    } catch (error) {
      why = error.message;
    }
    const values = Object.entries(found?.values ?? {}).map(([key, value]) => [key, typeof value === "object" ? JSON.stringify(value) : String(value)]);
    const said = el("div", { class: "said", tabindex: "-1", role: "group", "aria-label": `What ${name} says` },
      found === null ? el("p", {}, why) : [el("h3", {}, `${name[0].toUpperCase()}${name.slice(1)}, says ${found.source}`), list(values)]);
    button.replaceWith(said);
    said.focus();
  }
}

function spelt(name) {
  return name.replace(/([a-z])([A-Z])/g, "$1 $2").toLowerCase();
}

/** Names with values; those without one are left out. */
export function list(facts) {
  return el("dl", {}, facts.filter(([, value]) => value !== undefined && value !== null && value !== "")
    .flatMap(([name, value]) => [el("dt", {}, name), el("dd", {}, value)]));
}
