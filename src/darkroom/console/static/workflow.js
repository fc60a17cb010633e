// ComfyUI's workflows in their API format: read, looked through for what a form can fill, and filled.

const SLOTS = ["prompt", "negativePrompt", "width", "height", "seed", "steps", "guidance", "strength", "picture"];
// What the form calls what a slot takes.
const NAMES = {
  prompt: "prompt", negativePrompt: "negative", width: "width", height: "height", seed: "seed", steps: "steps",
  guidance: "cfg", strength: "strength", picture: "picture",
};
const FARTHEST = 50;

/** The workflow in a text; raises `Error` with words for a person where there is none. */
export function readWorkflow(text) {
  let told;
  try {
    told = JSON.parse(text);
  } catch {
    throw new Error("This is no JSON.");
  }
  const graph = told?.prompt && !told.prompt.class_type ? told.prompt : told;
  if (Array.isArray(graph?.nodes)) throw new Error("This is a workflow as the editor saves it. Export it with “Export (API)” instead.");
  const nodes = graph !== null && typeof graph === "object" && !Array.isArray(graph) ? Object.values(graph) : [];
  if (!nodes.length || !nodes.every((node) => typeof node?.class_type === "string")) {
    throw new Error("This is no workflow in ComfyUI's API format: an object that maps each node's id to the node.");
  }
  return graph;
}

function isLink(value) {
  return Array.isArray(value) && value.length === 2;
}

function split(place) {
  const dot = place.indexOf(".");
  return [place.slice(0, dot), place.slice(dot + 1)];
}

function valueAt(graph, place) {
  const [id, name] = split(place);
  return graph[id]?.inputs?.[name];
}

/** Where in a workflow its prompt, its seed and so on stand, as far as its nodes let that be seen. */
export function findSlots(graph) {
  const found = {};
  const note = (slot, id, name) => { if (!(slot in found)) found[slot] = [`${id}.${name}`]; };
  for (const [id, { inputs = {}, class_type: kind }] of Object.entries(graph)) {
    const has = (name) => name in inputs && !isLink(inputs[name]);
    if (has("seed")) note("seed", id, "seed");
    if (has("noise_seed")) note("seed", id, "noise_seed");
    if (has("steps")) note("steps", id, "steps");
    if (has("cfg")) note("guidance", id, "cfg");
    else if (kind === "FluxGuidance" && has("guidance")) note("guidance", id, "guidance");
    if (has("denoise")) note("strength", id, "denoise");
    if (/Empty.*(Latent|Image)/.test(kind) && has("width") && has("height")) {
      note("width", id, "width");
      note("height", id, "height");
    }
    if (/^LoadImage/.test(kind) && has("image")) note("picture", id, "image");
    for (const [input, slot] of [["positive", "prompt"], ["negative", "negativePrompt"], ["conditioning", "prompt"]]) {
      const text = isLink(inputs[input]) ? textBehind(graph, String(inputs[input][0]), FARTHEST) : null;
      if (text !== null) note(slot, ...text);
    }
  }
  if (!("prompt" in found)) {
    const text = Object.entries(graph).find(([, { inputs = {} }]) => typeof inputs.text === "string");
    if (text) note("prompt", text[0], "text");
  }
  if (!("picture" in found) && "strength" in found && valueAt(graph, found.strength[0]) === 1) delete found.strength;
  return found;
}

/** The text that a node's conditioning comes from: `[id, input]`, or null. */
function textBehind(graph, id, farthest) {
  const inputs = graph[id]?.inputs ?? {};
  for (const name of ["text", "text_g", "t5xxl", "prompt"]) if (typeof inputs[name] === "string") return [id, name];
  if (farthest === 0) return null;
  for (const value of Object.values(inputs)) {
    const found = isLink(value) ? textBehind(graph, String(value[0]), farthest - 1) : null;
    if (found !== null) return found;
  }
  return null;
}

/** The form's names that a workflow has places for. */
export function namesOf(slots) {
  return new Set(SLOTS.filter((slot) => slots[slot]?.length).map((slot) => NAMES[slot]));
}

/** What a workflow holds in the places for the form's names. */
export function valuesOfWorkflow(graph, slots) {
  const values = {};
  for (const slot of SLOTS) {
    const value = slots[slot]?.length ? valueAt(graph, slots[slot][0]) : undefined;
    if (slot !== "picture" && ["string", "number"].includes(typeof value)) values[NAMES[slot]] = value;
  }
  // A number that a browser cannot hold as it is would be another seed, or none that ComfyUI takes.
  if ("seed" in values && !Number.isSafeInteger(values.seed)) values.seed = null;
  return values;
}

/** Every other value of a workflow: `[{place, node, name, value}]`; links between nodes are none. */
export function otherInputs(graph, slots) {
  const taken = new Set(SLOTS.flatMap((slot) => slots[slot] ?? []));
  return Object.entries(graph).flatMap(([id, node]) => Object.entries(node.inputs ?? {})
    .filter(([name, value]) => !taken.has(`${id}.${name}`) && ["string", "number", "boolean"].includes(typeof value))
    .map(([name, value]) => ({ place: `${id}.${name}`, node: node._meta?.title || node.class_type, name, value })));
}

/** The workflow with the form's values in its places, and with `others` where they stand. */
export function filledWorkflow({ graph, slots, others }, values, picture) {
  const filled = { ...graph };
  const set = (place, value) => {
    const [id, name] = split(place);
    if (filled[id]) filled[id] = { ...filled[id], inputs: { ...filled[id].inputs, [name]: value } };
  };
  for (const slot of SLOTS) {
    const value = slot === "picture" ? picture : values[NAMES[slot]];
    if (value !== null && value !== undefined) for (const place of slots[slot] ?? []) set(place, value);
  }
  for (const [place, value] of Object.entries(others ?? {})) set(place, value);
  return filled;
}
