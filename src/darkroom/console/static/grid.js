// A grid: the same request with each value of one parameter beside each value of another.

import { newSeed } from "./request.js";

export const MOST_CELLS = 64;
const LONGEST_LABEL = 60; // each task's context has those of all
const NUMBERS = { steps: "Steps", cfg: "Guidance", seed: "Seed", strength: "How much may change", width: "Width", height: "Height", factor: "Times larger" };
const TEXTS = { prompt: "Prompt", negative: "Not in the picture", sampler: "Sampler", scheduler: "Schedule", model: "Model", upscaler: "Method" };
const WORDS = "words"; // of the prompt

/** What can be varied of the names that a form has: `[[name, label]]`. */
export function axes(names) {
  const found = Object.entries({ ...NUMBERS, ...TEXTS }).filter(([name]) => names.has(name));
  return names.has("prompt") ? [...found, [WORDS, "Words of the prompt"]] : found;
}

/** What a name is called. */
export function labelOf(name) {
  return name === WORDS ? "Words of the prompt" : NUMBERS[name] ?? TEXTS[name] ?? name;
}

/** How the values of this parameter are written. */
export function hintFor(name) {
  if (name === WORDS) return "One a line. The first stands in the prompt, and the others take its place.";
  return name in NUMBERS ? "As in 10, 20, 30, or 10..30/5 for each fifth." : "One a line.";
}

/** The values that somebody has written; raises `Error` with words for a person. */
export function valuesIn(name, text) {
  const values = name in NUMBERS
    ? text.split(/[,;\s]+/).filter(Boolean).flatMap(numbersIn)
    : text.split("\n").map((line) => line.trim()).filter(Boolean);
  if (values.length === 0) throw new Error(`Write what ${labelOf(name)} shall be.`);
  const unique = [...new Set(values)];
  if (unique.length > MOST_CELLS) throw tooMany(unique.length);
  return unique;
}

function numbersIn(text) {
  const range = /^(-?[\d.]+)\.\.(-?[\d.]+)(?:\/([\d.]+))?$/.exec(text);
  const [first, last, step] = range ? [Number(range[1]), Number(range[2]), Number(range[3] ?? 1)] : [Number(text), Number(text), 1];
  if (![first, last, step].every(Number.isFinite) || step <= 0) throw new Error(`“${text}” is no number, and no range as in 10..30/5.`);
  const count = Math.floor((last - first) / step + 1e-9) + 1;
  if (count < 1) throw new Error(`“${text}” ends before it begins.`);
  if (count > MOST_CELLS) throw tooMany(count);
  return Array.from({ length: count }, (_, index) => Number((first + index * step).toFixed(6)));
}

function tooMany(count) {
  return new Error(`These are ${count}; a grid has ${MOST_CELLS} pictures at most.`);
}

/**
 * The cells of a grid, row by row: `{values, place}`, of which `place` says where it stands, for the task's context.
 * Where nothing else is said, all have one seed: what differs is what was varied.
 */
export function cellsOf(id, values, { x, y }) {
  const across = valuesIn(x.name, x.text);
  const down = y.name ? valuesIn(y.name, y.text) : [null];
  if (x.name === y.name) throw new Error("Vary two different parameters.");
  const count = across.length * down.length;
  if (count > MOST_CELLS) throw tooMany(count);
  for (const [name, all] of [[x.name, across], [y.name, down]]) {
    if (name === WORDS && !values.prompt.includes(all[0])) throw new Error(`“${all[0]}” does not stand in the prompt.`);
  }
  const seeded = { ...values, seed: values.seed ?? newSeed() };
  const axis = (name, all) => ({ name, values: all.map((value) => (typeof value === "string" ? value.slice(0, LONGEST_LABEL) : value)) });
  const told = { id, x: axis(x.name, across), ...(y.name ? { y: axis(y.name, down) } : {}) };
  return down.flatMap((below, row) => across.map((beside, column) => ({
    values: varied(varied(seeded, x.name, beside, across), y.name, below, down),
    place: { ...told, column, row },
  })));
}

function varied(values, name, value, all) {
  if (!name) return values;
  return name === WORDS ? { ...values, prompt: values.prompt.replaceAll(all[0], value) } : { ...values, [name]: value };
}

/** The grid that a task is a part of, as its context tells; null for others'. */
export function gridOf(task) {
  const grid = task.context?.grid;
  const isAxis = (axis) => typeof axis?.name === "string" && Array.isArray(axis.values) && axis.values.length <= MOST_CELLS;
  return typeof grid?.id === "string" && isAxis(grid.x) && (!grid.y || isAxis(grid.y)) ? grid : null;
}

/** The id of the task in a cell. */
export function cellId(id, column, row) {
  return `${id}-${row + 1}-${column + 1}`;
}
