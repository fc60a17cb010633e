// The part of the form that makes a grid: two parameters, and the values of each.

import { el, field, showFault } from "./dom.js";
import { axes, cellsOf, hintFor } from "./grid.js";
import { namesIn } from "./draft.js";

/** The part, which begins with `values.grid`; `read()` is what it says, null where nothing is to be varied. */
export function gridForm(values) {
  const axis = { x: axisFields("x", "Across", values), y: axisFields("y", "Down", values) };
  const count = el("p", { class: "hint", role: "status" });
  const element = el("details", { class: "more", open: values.grid !== null },
    el("summary", {}, "Several at once: a grid over two parameters"),
    el("div", { class: "fields" }, axis.x.element, axis.y.element), count);
  return { element, read, update };

  function read() {
    const of = ({ name, text }) => ({ name: name.value, text: text.value });
    return axis.x.name.value ? { x: of(axis.x), y: of(axis.y) } : null;
  }

  /** Shows what can be varied in such requests; returns how many pictures there would be, 0 where that is not clear. */
  function update(now) {
    const names = axes(namesIn(now));
    for (const one of [axis.x, axis.y]) {
      const options = [["", "Nothing"], ...names];
      if (one.name.dataset.form !== JSON.stringify(options)) {
        const wanted = one.name.value || one.wanted;
        one.name.dataset.form = JSON.stringify(options);
        one.name.replaceChildren(...options.map(([name, words]) => el("option", { value: name, selected: name === wanted }, words)));
      }
      one.field.hidden = !one.name.value;
      one.hint.textContent = one.name.value ? hintFor(one.name.value) : "";
    }
    const grid = read();
    count.textContent = "";
    showFault(axis.x.text, "");
    if (grid === null) return 0;
    try {
      const cells = cellsOf("", { ...now, seed: now.seed ?? 0 }, grid);
      count.textContent = `${cells.length} pictures, each a task of its own${now.seed === null && names.some(([name]) => name === "seed") ? ", all with one seed" : ""}.`;
      return cells.length;
    } catch (error) {
      count.textContent = error.message;
      return 0;
    }
  }
}

function axisFields(which, words, values) {
  const begun = values.grid?.[which] ?? { name: "", text: "" };
  const name = el("select", { name: `grid-${which}` });
  const text = el("textarea", { name: `grid-${which}-values`, rows: 2 });
  text.value = begun.text;
  const written = field(`${words}: values`, text);
  return { element: el("div", {}, field(words, name), written), name, text, field: written, hint: written.querySelector(".hint"), wanted: begun.name };
}
