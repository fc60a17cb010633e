// The page on which pictures are made: the form, what has come of it, and the request.

import { announce, el } from "./dom.js";
import { tell } from "./api.js";
import { draft, keep, namesIn } from "./draft.js";
import { dataOf } from "./drop.js";
import { makeForm } from "./form.js";
import { entriesOf, pageOfGrid, showTiles } from "./gallery.js";
import { cellId, cellsOf } from "./grid.js";
import { contentOfTask, KINDS, newId, requestOf, valuesOf } from "./request.js";
import { requestPanel } from "./request_panel.js";
import { linkOf, sendAll } from "./sending.js";
import { all, find, listen, lookUp } from "./tasks.js";
import { findSlots, readWorkflow, valuesOfWorkflow } from "./workflow.js";

const LOOK_MS = 10_000;
const RECENT = 9;
const INLINE_BYTES = 1_500_000; // larger ones go to the bucket first: a request holds 6 MB
const IDEAS = ["a castle on a pink background", "an owl on a green background", "a sailboat on a blue background"];

/** Shows the page in `main` until `signal` aborts; `query` may name a task to do again, or a picture to begin with. */
export async function showMake(main, query, signal) {
  const again = query.get("again");
  if (again) {
    main.replaceChildren(el("h1", { tabindex: "-1" }, "Make"), el("p", { class: "empty" }, "Loading…"));
    await recall(again, query.get("seed") === "new");
  }
  if (query.get("picture") && query.get("kind") in KINDS) {
    keep({ kind: query.get("kind"), runtime: query.get("runtime") ?? undefined, picture: { link: query.get("picture") } });
  }
  if (signal.aborted) return;
  if (query.size) history.replaceState(null, "", "#/make"); // what was asked for has been done

  let runtimes = [];
  const panel = requestPanel();
  const tiles = el("ul", { class: "tiles", "aria-label": "Newest tasks" });
  const none = el("div", { class: "first-words" }, el("p", {}, "What you make appears here."), el("p", { class: "hint" }, "Describe a picture, or begin with one of these:"),
    el("div", { class: "chips" }, IDEAS.map((idea) => el("button", { type: "button", class: "chip", onclick: () => {
      keep({ kind: "text-to-image", prompt: idea });
      draw().prompt.focus();
    } }, idea))));
  const place = el("div", {});
  main.replaceChildren(el("h1", { tabindex: "-1", class: "hidden" }, "Make"), el("div", { class: "studio" }, place, el("div", { class: "results" },
    el("section", { "aria-labelledby": "newest" }, el("h2", { id: "newest" }, "Newest"), none, tiles), panel.element)));
  let form;
  draw();
  showNewest();
  signal.addEventListener("abort", listen(showNewest));
  const timer = setInterval(() => { if (!document.hidden) readRuntimes(); }, LOOK_MS);
  signal.addEventListener("abort", () => clearInterval(timer));
  if (again) form.inputs.prompt.focus();
  await readRuntimes();

  /** Makes the form anew, with what the draft holds; returns its inputs. */
  function draw() {
    form = makeForm(draft(), { onChange: changed, onSubmit: send, onFile: takeFile, onTemplate: takeTemplate });
    place.replaceChildren(form.element);
    form.workflow?.load(signal).catch((error) => { if (!signal.aborted) form.say([error.message], "runtimes"); });
    form.update(runtimes);
    preview();
    return form.inputs;
  }

  function changed() {
    const before = draft().kind;
    keep(form.read());
    if (draft().kind === before) {
      form.update(runtimes);
      preview();
    } else {
      draw();
      form.element.querySelector(`[name=kind][value="${draft().kind}"]`).focus();
    }
  }

  function showNewest() {
    const entries = entriesOf(all(), RECENT);
    none.hidden = entries.length > 0;
    showTiles(tiles, entries);
  }

  async function readRuntimes() {
    try {
      runtimes = (await tell("runtimes", { signal })).runtimes;
      if (form.element.querySelector(".notice").dataset.of === "runtimes") form.say([]);
    } catch (error) {
      if (!signal.aborted) form.say([error.message], "runtimes");
      return;
    }
    form.update(runtimes);
    keep(form.read());
    preview();
  }

  function preview() {
    const values = form.read();
    const [first] = gridOf(values, "my-grid") ?? [{ values }];
    const { link, data } = values.picture ?? {};
    panel.show(requestOf("my-picture", first.values, link ?? data?.slice(0, 100) ?? "(your picture)")); // at every key that is pressed
  }

  function gridOf(values, id) {
    if (values.grid === null) return null;
    try {
      return cellsOf(id, values, values.grid);
    } catch {
      return null; // the form says why
    }
  }

  async function takeFile(file, isWorkflow) {
    if (isWorkflow) return takeWorkflow(file.name, await file.text());
    keep({ picture: file.size > INLINE_BYTES ? { file } : { file, data: await dataOf(file) } });
    changed();
    const [{ parametersOf }, { madeWith }] = await Promise.all([import("./parameters.js"), import("./made_with.js")]);
    const found = await parametersOf(file);
    if (signal.aborted) return;
    const canBegin = draft().kind === "text-to-image" ? [["Begin with this picture", () => apply({ kind: "image-to-image" })]] : [];
    if (found === null) {
      form.show(el("div", { class: "made-with" }, el("p", { class: "hint" }, `${file.name} does not say how it was made.`), begin(canBegin)));
      return;
    }
    form.show(madeWith(found, [
      ...(Object.keys(found.values).length ? [["Use its parameters", () => apply(fitting(found.values))]] : []),
      ...(found.workflow ? [["Use its workflow", () => takeWorkflow(file.name, JSON.stringify(found.workflow))]] : []),
      ...canBegin,
    ]));
    announce("It says how it was made");
  }

  function begin(actions) {
    return el("div", { class: "actions" }, actions.map(([words, act]) => el("button", { type: "button", onclick: act }, words)));
  }

  /** What was read, for a request of a kind that takes it. Which runtime has its model may not be known yet. */
  function fitting({ model, ...rest }) {
    const kind = ["text-to-image", "image-to-image"].includes(draft().kind) ? draft().kind : "text-to-image";
    return { sampler: "", scheduler: "", negative: "", ...rest, model: "", wanted: model ?? "", kind };
  }

  function apply(values) {
    keep(values);
    draw().prompt.focus();
    announce("The parameters are in the form");
  }

  function takeWorkflow(name, text) {
    try {
      const graph = readWorkflow(text);
      const slots = findSlots(graph);
      apply({ kind: "pipeline", ...valuesOfWorkflow(graph, slots), workflow: { name, graph, slots, others: {} } });
    } catch (error) {
      form.drop.say(error.message);
    }
  }

  function takeTemplate({ name, runtime, graph, slots }) {
    const values = { ...valuesOfWorkflow(graph, slots), seed: null };
    apply({ kind: "pipeline", runtime, ...values, workflow: { name, graph, slots, others: {} } });
  }

  async function send(values) {
    form.busy("Sending…");
    const sent = form;
    try {
      const picture = namesIn(values).has("picture") && values.picture ? await linkOf(values.picture, values.kind !== "pipeline") : null;
      const requests = requestsOf(values, picture);
      let count = 0;
      await sendAll(requests, (reply) => {
        count += 1;
        sent.busy(requests.length > 1 ? `Sent ${count} of ${requests.length}` : "Sending…");
        if (reply.warnings) sent.say(reply.warnings.map((warning) => `${warning.path} ${warning.reason}`));
        if (requests.length === 1) lookUp(reply.id).catch(() => {}); // the stream tells of it, in any case
      });
      announce(requests.length === 1 ? "Sent" : `${requests.length} tasks sent`);
      if (values.grid && !signal.aborted) location.hash = pageOfGrid(requests[0].task.metadata.context.grid.id);
    } catch (error) {
      sent.refuse(error);
    }
    sent.busy("");
    sent.update(runtimes);
  }

  function requestsOf(values, picture) {
    const id = newId();
    if (values.grid) {
      return cellsOf(id, values, values.grid).map((cell) => requestOf(cellId(id, cell.place.column, cell.place.row), cell.values, picture, cell.place));
    }
    return Array.from({ length: values.count }, (_, index) => {
      const one = { ...values, seed: values.seed === null ? null : values.seed + index };
      return requestOf(values.count === 1 ? id : `${id}-${index + 1}`, one, picture);
    });
  }
}

async function recall(id, isNewSeed) {
  const task = find(id) ?? (await lookUp(id).catch(() => null));
  if (task === null || contentOfTask(task) === null) {
    announce("What this task asked for is not known here");
    return;
  }
  const values = valuesOf(task);
  keep({ ...values, wanted: values.model ?? "", picture: values.picture ? { link: values.picture } : null, count: 1, grid: null, seed: isNewSeed ? null : values.seed });
}
