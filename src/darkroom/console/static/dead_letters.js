// Dead letters: what failed on every try, why, and putting it back. Whoever looks holds them for a moment, so they are
// looked at when somebody asks, and not every while.

import { announce, clock, el, field } from "./dom.js";
import { tell } from "./api.js";
import { pageOf } from "./rows.js";

const SHOWN = "100";
const AT_ONCE = 100; // ids that one request takes

/** The section; `tellCounts(runtimes)` is told how many there are. */
export function deadLetters(runtimes, signal) {
  let letters = [];
  let total = 0;
  let counts = runtimes;
  const runtime = el("select", { name: "letters-of", onchange: look });
  const type = el("select", { name: "letters-type", onchange: show });
  const text = el("input", { name: "letters-text", type: "search", autocomplete: "off", oninput: show });
  const told = el("p", { role: "status" });
  const trouble = el("p", { class: "notice bad", role: "alert", hidden: true });
  const table = el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "The dead letters" });
  const again = el("button", { type: "button", onclick: look }, "Look again");
  const redriveShown = el("button", { type: "button", onclick: () => ask(wanted().filter(isTask), false) }, "");
  const redriveAll = el("button", { type: "button", onclick: () => ask(null, true) }, "Redrive all");
  const section = el("section", { class: "card", "aria-labelledby": "letters" }, el("h2", { id: "letters" }, "Dead letters"),
    el("p", { class: "hint" }, "Tasks that failed on every try. To redrive one is to submit it anew: it gets pictures and a "
      + "notification of its own, and the end that was told stays."),
    el("div", { class: "filters" }, field("Runtime", runtime), field("Type", type), field("Task or reason", text)),
    told, trouble, table, el("div", { class: "actions" }, redriveShown, redriveAll, again));
  section.tellCounts = (now) => { counts = now; offer(); };
  offer();
  look();
  return section;

  function offer() {
    const names = counts.map(({ name, dead_letters: count }) => [name, count ? `${name} (${count})` : name]);
    if (runtime.dataset.form === JSON.stringify(names)) return;
    const before = runtime.value || counts.find((one) => one.dead_letters > 0)?.name || counts[0]?.name;
    runtime.dataset.form = JSON.stringify(names);
    runtime.replaceChildren(...names.map(([value, words]) => el("option", { value, selected: value === before }, words)));
  }

  async function look() {
    again.disabled = true;
    if (letters.length === 0) told.textContent = "Looking…";
    try {
      const page = await tell("list_letters", { query: { runtime: runtime.value, limit: SHOWN }, signal });
      letters = page.dead_letters;
      total = page.total;
      trouble.hidden = true;
    } catch (error) {
      if (signal.aborted) return;
      letters = [];
      trouble.textContent = error.message;
      trouble.hidden = false;
    }
    again.disabled = false;
    const types = [...new Set(letters.map((letter) => letter.type))].sort();
    const before = type.value;
    type.replaceChildren(el("option", { value: "" }, "All"), ...types.map((value) => el("option", { value, selected: value === before }, value)));
    show();
  }

  function wanted() {
    const words = text.value.trim().toLowerCase();
    return letters.filter((letter) => (!type.value || letter.type === type.value)
      && (!words || `${letter.task_id ?? ""} ${letter.reason} ${letter.caller}`.toLowerCase().includes(words)));
  }

  function show() {
    const found = wanted();
    const sendable = found.filter(isTask).length;
    const isFiltered = Boolean(type.value || text.value.trim());
    if (trouble.hidden) {
      told.textContent = letters.length === 0 ? "There are none." : `${found.length} of about ${total}${isFiltered ? " are like this" : ""}.`;
    } else told.textContent = "";
    redriveShown.hidden = !isFiltered || sendable === 0;
    redriveShown.textContent = `Redrive these ${sendable}`;
    redriveAll.hidden = letters.length === 0;
    table.hidden = found.length === 0;
    table.replaceChildren(el("table", {},
      el("thead", {}, el("tr", {}, ["Task", "Reason", "Caller", "Tries", "Since"].map((name) => el("th", { scope: "col" }, name)),
        el("th", { scope: "col" }, el("span", { class: "hidden" }, "Redrive")))),
      el("tbody", {}, found.map(line))));
  }

  function line(letter) {
    const name = letter.task_id ?? letter.id;
    return el("tr", {},
      el("th", { scope: "row", class: "name" }, letter.task_id ? el("a", { href: pageOf(letter.task_id, letter.caller) }, letter.task_id) : "?"),
      el("td", {}, el("span", { class: "status failed" }, letter.type), el("div", { class: "facts" }, letter.unreadable ?? letter.reason)),
      el("td", {}, letter.caller || "nobody"), el("td", {}, letter.tries === undefined ? "–" : String(letter.tries)), el("td", {}, clock(letter.sent_at)),
      el("td", {}, isTask(letter)
        ? el("button", { type: "button", "aria-label": `Redrive ${name}`, onclick: () => redrive([letter]) }, "Redrive")
        : el("span", { class: "facts" }, "is no task")));
  }

  /** Asks first: many at once are many pictures. */
  function ask(chosen, isAll) {
    const many = isAll ? `all ${total} or so` : String(chosen.length);
    const yes = el("button", { type: "button", class: "main", onclick: () => { box.close(); redrive(chosen); } }, `Redrive ${many}`);
    const no = el("button", { type: "button", onclick: () => box.close() }, "Leave them");
    const box = el("dialog", { "aria-labelledby": "redrive-many" }, el("h2", { id: "redrive-many" }, `Redrive ${many} of ${runtime.value}?`),
      el("p", {}, "Each becomes a task again, in the queue of its runtime. What no agent could read stays here."),
      el("div", { class: "actions" }, yes, no));
    box.addEventListener("close", () => box.remove());
    document.body.append(box);
    box.showModal();
    no.focus();
  }

  /** Redrives these letters, or with null all. */
  async function redrive(chosen) {
    for (const button of section.querySelectorAll("button")) button.disabled = true;
    let done = 0;
    const left = new Map();
    try {
      const asked = chosen === null ? [{ all: true }] : inParts(chosen.map((letter) => letter.id)).map((ids) => ({ ids }));
      for (const which of asked) {
        let reply;
        do {
          reply = await tell("redrive", { body: { runtime: runtime.value, ...which }, signal });
          done += reply.redriven.length;
          for (const one of reply.left) left.set(one.id, one.reason);
          told.textContent = `${done} redriven…`;
        } while (reply.more && reply.redriven.length && which.all);
      }
    } catch (error) {
      if (signal.aborted) return;
      trouble.textContent = `${error.message} ${done} were redriven.`;
      trouble.hidden = false;
    }
    const words = `${done} redriven${left.size ? `, ${left.size} left: ${[...left.values()][0]}` : ""}.`;
    announce(words);
    await look();
    for (const button of section.querySelectorAll("button")) button.disabled = false;
    told.textContent = `${words} ${told.textContent}`;
    if (document.activeElement === document.body) again.focus();
  }
}

function isTask(letter) {
  return letter.unreadable === undefined;
}

function inParts(ids) {
  return Array.from({ length: Math.ceil(ids.length / AT_ONCE) }, (_, index) => ids.slice(index * AT_ONCE, (index + 1) * AT_ONCE));
}
