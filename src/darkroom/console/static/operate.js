// What an operator looks at: each runtime with its queue and its agents, what fails and why, dead letters, and usage.

import { clock, duration, el, field } from "./dom.js";
import { tell } from "./api.js";
import { deadLetters } from "./dead_letters.js";
import { failuresOf, rangesOf } from "./figures.js";
import { pageOf } from "./rows.js";
import { all, listen, pagesOf } from "./tasks.js";
import { usageOf } from "./usage.js";

const LOOK_MS = 10_000;
const MOST_PAGES = 10; // of a hundred tasks, for the figures
const SPANS = { 3600: "the last hour", 86400: "the last day", 604800: "the last week" };
const REDRAW_MS = 1_000;
let span = "86400";

/** Shows the page in `main` until `signal` aborts. */
export function showOperate(main, signal) {
  const cards = el("div", { class: "cards" });
  const trouble = el("p", { class: "notice bad", role: "alert", hidden: true });
  const own = el("p", { class: "notice", hidden: true },
    "You see only your own tasks and your own usage. Agents, dead letters and the tasks of others are for callers of the role operator (callers[].role in config.yaml).");
  const figures = el("section", { class: "card", "aria-labelledby": "failures" });
  const letters = el("div");
  const usage = el("div");
  const chosen = el("select", { name: "span", onchange: () => { span = chosen.value; readTasks(); } },
    Object.entries(SPANS).map(([value, words]) => el("option", { value, selected: value === span }, words)));
  main.replaceChildren(el("div", { class: "heading" }, el("h1", { tabindex: "-1" }, "Operate"),
    field("Figures are of", chosen)), trouble, own, cards, figures, letters, usage);
  let runtimes = null;
  let isAll = false; // whether every task of the span has been read
  let turn = 0;
  let due = null;

  cards.append(el("p", { class: "empty" }, "Loading…"));
  look(true);
  readTasks();
  const timer = setInterval(() => { if (!document.hidden) look(false); }, LOOK_MS);
  const unlisten = listen(() => { due ??= setTimeout(() => { due = null; draw(); }, REDRAW_MS); });
  signal.addEventListener("abort", () => { clearInterval(timer); clearTimeout(due); unlisten(); });

  async function look(isFirst) {
    try {
      runtimes = (await tell("runtimes", { signal })).runtimes;
      trouble.hidden = true;
    } catch (error) {
      if (signal.aborted) return;
      trouble.textContent = `${error.message} What is shown here may be old.`;
      trouble.hidden = false;
      if (runtimes === null) cards.replaceChildren();
      return;
    }
    const isOperator = runtimes.some((runtime) => runtime.agents !== undefined);
    own.hidden = isOperator;
    draw();
    if (isFirst || !letters.hasChildNodes()) {
      if (isOperator) letters.replaceChildren(deadLetters(runtimes, signal));
      if (!usage.hasChildNodes()) usage.replaceChildren(usageOf(isOperator, signal));
    }
    letters.firstElementChild?.tellCounts(runtimes);
  }

  async function readTasks() {
    const mine = ++turn;
    isAll = false;
    draw();
    const pages = pagesOf({ since: String(Math.floor(Date.now() / 1000 - Number(span))) });
    try {
      for (let page = 0; page < MOST_PAGES && pages.hasMore && mine === turn && !signal.aborted; page += 1) await pages.more();
      if (mine === turn) isAll = !pages.hasMore;
    } catch {
      // The figures are of what is known; why the list cannot be read, the runtimes' look says too.
    }
    if (!signal.aborted) draw();
  }

  function draw() {
    if (runtimes === null || signal.aborted) return;
    const since = Date.now() - Number(span) * 1000;
    const tasks = all().filter((task) => new Date(task.created_at) >= since);
    if (cards.querySelector(".runtime") === null) cards.replaceChildren();
    runtimes.forEach((runtime, index) => put(cards, index, card(runtime, tasks.filter((task) => task.runtime === runtime.name))));
    [el("h2", { id: "failures" }, "What failed, and why"), ...failures(tasks)].forEach((part, index) => put(figures, index, part));
    while (figures.children.length > 3) figures.lastChild.remove();
  }

  function failures(tasks) {
    const found = failuresOf(tasks);
    const of = el("p", { class: "hint" }, isAll ? `Of ${tasks.length} tasks of ${SPANS[span]}.` : `Of the newest ${tasks.length} tasks of ${SPANS[span]} that are read here.`);
    if (found.length === 0) return [of, el("p", {}, tasks.length ? "Nothing." : "There are no tasks.")];
    return [of, el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Failures by reason" }, el("table", {},
      el("thead", {}, el("tr", {}, ["Reason", "Runtime", "Tasks", "Last"].map((name) => el("th", { scope: "col", class: name === "Tasks" ? "number" : "" }, name)))),
      el("tbody", {}, found.map((one) => el("tr", {},
        el("td", {}, el("span", { class: "status failed" }, one.type), el("div", { class: "facts" }, one.message)),
        el("td", {}, one.runtime), el("td", { class: "number" }, String(one.count)),
        el("td", {}, el("a", { href: pageOf(one.last.id, one.last.caller) }, clock(one.last.ended_at ?? one.last.updated_at))))))))];
  }

  function card(runtime, tasks) {
    const { wait, total } = rangesOf(tasks);
    const alive = (runtime.agents ?? []).filter((agent) => agent.state !== "gone").length;
    const isIdle = runtime.agents_ready === 0;
    return el("section", { class: "card runtime", "aria-label": runtime.name },
      el("h2", {}, runtime.name, el("span", { class: "facts" }, ` ${runtime.type}`)),
      isIdle ? el("p", { class: "notice wait" }, alive ? "No agent takes tasks just now." : "No agent is there: tasks wait until one comes.") : null,
      el("div", { class: "figures" },
        figure("Waiting", runtime.waiting ?? "?", watchOf(runtime, "queued")), figure("In work", runtime.in_work ?? "?", watchOf(runtime, "running")),
        figure("Oldest waits", runtime.waiting === 0 ? "–" : seconds(runtime.oldest_seconds ?? oldestKnown(tasks))),
        figure("Agents ready", runtime.agents_ready),
        figure("One task takes", seconds(runtime.service_seconds)),
        runtime.dead_letters === undefined ? null : figure("Dead letters", runtime.dead_letters, "", runtime.dead_letters > 0)),
      el("table", {}, el("caption", { class: "hidden" }, `How long tasks of ${runtime.name} took`),
        el("thead", {}, el("tr", {}, ["", "Median", "95 of 100"].map((name) => el("th", { scope: "col", class: name ? "number" : "" }, name || el("span", { class: "hidden" }, "Part"))))),
        el("tbody", {}, [["Wait for the device", wait], ["Until done", total]].map(([name, range]) => el("tr", {},
          el("th", { scope: "row" }, name), el("td", { class: "number" }, range ? duration(range.p50) : "–"), el("td", { class: "number" }, range ? duration(range.p95) : "–"))))),
      runtime.agents === undefined ? null : agentsOf(runtime.agents, runtime.name));
  }
}

/** Puts a part in its place, unless what is there is the same: so focus, and what somebody reads, stay. */
function put(parent, index, part) {
  const before = parent.children[index];
  if (before === undefined) parent.append(part);
  else if (before.outerHTML !== part.outerHTML) {
    const within = [...before.querySelectorAll("a, [tabindex]")].indexOf(document.activeElement);
    before.replaceWith(part);
    if (within >= 0) part.querySelectorAll("a, [tabindex]")[within]?.focus();
  }
}

function figure(name, value, href = "", isBad = false) {
  const shown = el("strong", { class: isBad ? "status failed" : "" }, String(value));
  return el("div", { class: "figure" }, href ? el("a", { href, id: `${name}-${href}` }, shown) : shown, el("span", { class: "facts" }, name));
}

function watchOf(runtime, status) {
  return `#/tasks?${new URLSearchParams({ status, runtime: runtime.name })}`;
}

function seconds(value) {
  return value === undefined || value === null ? "?" : duration(value);
}

function oldestKnown(tasks) {
  const waiting = tasks.filter((task) => task.status === "queued");
  return waiting.length ? (Date.now() - new Date(waiting.at(-1).created_at)) / 1000 : null;
}

function agentsOf(agents, runtime) {
  if (agents.length === 0) return null;
  const kinds = { ready: "completed", starting: "queued", unwell: "failed", stopping: "queued", gone: "failed" };
  return el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": `Agents of ${runtime}` }, el("table", {},
    el("thead", {}, el("tr", {}, ["Agent", "State", "Holds", "Busy", "A task", "Model"].map((name) => el("th", { scope: "col" }, name)))),
    el("tbody", {}, agents.map((agent) => el("tr", {},
      el("th", { scope: "row", class: "name" }, agent.agent),
      el("td", {}, el("span", { class: `status ${kinds[agent.state] ?? ""}` }, agent.state), agent.state === "gone" ? [" since ", clock(agent.seen_at)] : ""),
      el("td", {}, String(agent.in_work)),
      el("td", {}, agent.duty === undefined ? "–" : `${Math.round(agent.duty * 100)} %`),
      el("td", {}, agent.service_seconds === undefined ? "–" : duration(agent.service_seconds)),
      el("td", { class: "name" }, agent.model ?? "–"))))));
}
