// Reads the text in which SD Web UI, and programs that follow it, say how a picture was made.

const NEGATIVE = "Negative prompt:";
const FEWEST_VALUES = 3; // a last line with fewer is a part of the prompt
const LONGEST = 200_000;

/** What a text says, by the form's names; null where it is no such text. */
export function readInfotext(text) {
  const lines = text.slice(0, LONGEST).trim().split("\n");
  const said = valuesOf(lines.at(-1));
  if (said.size < FEWEST_VALUES) return null;
  lines.pop();
  const place = lines.findIndex((line) => line.startsWith(NEGATIVE));
  const end = place < 0 ? lines.length : place;
  const [, width, height] = /^(\d{1,5})x(\d{1,5})$/.exec(said.get("Size") ?? "") ?? [];
  return defined({
    prompt: lines.slice(0, end).join("\n").trim(),
    negative: lines.slice(end).join("\n").slice(NEGATIVE.length).trim(),
    steps: number(said.get("Steps")), sampler: said.get("Sampler"), scheduler: said.get("Schedule type"),
    cfg: number(said.get("CFG scale")), seed: number(said.get("Seed")), width: number(width), height: number(height),
    strength: number(said.get("Denoising strength")), model: said.get("Stands in for") ?? said.get("Model"),
  });
}

/** Without what is not there. */
export function defined(values) {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined && value !== null));
}

function number(text) {
  const found = text === undefined || text === "" ? NaN : Number(text);
  return Number.isFinite(found) && found >= 0 ? found : undefined;
}

/** `Steps: 20, Sampler: Euler a, …`; a value with a comma or a colon is in quotes, as JSON. */
function valuesOf(line) {
  const found = new Map();
  for (let at = 0; ;) {
    const colon = line.indexOf(":", at);
    if (colon < 0) return found;
    const name = line.slice(Math.max(at, line.lastIndexOf(",", colon) + 1), colon).trim();
    let start = colon + 1;
    while (line[start] === " ") start += 1;
    const comma = line.indexOf(",", line[start] === '"' ? endOfQuoted(line, start) : start);
    const end = comma < 0 ? line.length : comma;
    if (/^[A-Za-z0-9]/.test(name)) found.set(name, unquoted(line.slice(start, end).trim()));
    at = end + 1;
  }
}

function endOfQuoted(line, start) {
  let at = start + 1;
  while (at < line.length && line[at] !== '"') at += line[at] === "\\" ? 2 : 1;
  return Math.min(at + 1, line.length);
}

function unquoted(value) {
  if (!value.startsWith('"')) return value;
  try {
    return String(JSON.parse(value));
  } catch {
    return value;
  }
}
