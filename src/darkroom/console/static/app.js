// The console: lets in, follows what happens to tasks, and shows the page that the address names.

import { announce, decoded, el, field } from "./dom.js";
import { tell } from "./api.js";
import { follow } from "./events.js";
import { showMake } from "./make.js";
import { forgetKey, key, setKey, takeKeyFromAddress } from "./session.js";
import { titleOf } from "./request.js";
import { stateOf } from "./rows.js";
import { all, find, forget, isOver, load, take, takeProgress } from "./tasks.js";

const main = document.getElementById("main");
const pages = document.getElementById("pages");
const leave = document.getElementById("leave");
const connection = document.getElementById("connection");
const CONNECTIONS = { live: "Live", polling: "Looks every few seconds", lost: "Not connected; trying again", never: "No list here" };
let view = new AbortController();
let following = null;
let first = true;

function route() {
  if (location.hash.startsWith("#key=")) takeKeyFromAddress();
  view.abort();
  view = new AbortController();
  scrollTo({ top: 0, behavior: "instant" });
  if (!key()) return showLogin("");
  if (following === null) start();
  const [path, query] = location.hash.slice(1).split("?");
  const [, page, id] = path.split("/");
  for (const link of pages.children) {
    if (link.getAttribute("href") === `#/${page || "make"}`) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  show(page, id, new URLSearchParams(query), view.signal);
}

async function show(page, id, asked, signal) {
  const draw = await pageFor(page, id, asked).catch(() => showMissing);
  if (signal.aborted) return;
  draw(signal);
  document.title = `${main.querySelector("h1")?.textContent ?? "Make"} · Darkroom`;
  if (!first && !main.contains(document.activeElement)) main.querySelector("h1")?.focus({ preventScroll: true });
  first = false;
}

/** What shows a page. Those that nobody begins with come when they are wanted. */
async function pageFor(page, id, asked) {
  if (page === "tasks" && id) {
    const { showTask } = await import("./task.js");
    return (signal) => showTask(main, decoded(id), asked.get("caller") ?? undefined, signal);
  }
  if (page === "grids" && id) {
    const { showGrid } = await import("./grid_view.js");
    return (signal) => showGrid(main, decoded(id), signal);
  }
  if (page === "tasks") {
    const { showWatch } = await import("./watch.js");
    return (signal) => showWatch(main, asked, signal);
  }
  if (page === "operate") {
    const { showOperate } = await import("./operate.js");
    return (signal) => showOperate(main, signal);
  }
  return (signal) => showMake(main, asked, signal);
}

function showMissing() {
  main.replaceChildren(el("h1", { tabindex: "-1" }, "This page did not come"), el("p", { class: "notice bad", role: "alert" },
    "The front door cannot be reached, or is another one since: load the whole page again."));
}

function start() {
  following = new AbortController();
  pages.hidden = leave.hidden = false;
  connection.textContent = "Connecting…";
  follow({
    onTask(task) {
      const before = find(task.id, task.caller);
      take(task);
      if (isOver(task) && before && !isOver(before)) announce(`${titleOf(task)}: ${stateOf(task)}`);
    },
    onProgress: takeProgress,
    onOpen: () => load({ again: true }).catch(() => {}), // the list says why
    async onLook() {
      await load({ again: true });
      return all().some((task) => !isOver(task));
    },
    onState: (state, reason = "") => {
      connection.textContent = CONNECTIONS[state];
      connection.title = reason;
    },
    signal: following.signal,
  });
}

function stop() {
  following?.abort();
  following = null;
  forget();
  forgetKey();
  pages.hidden = leave.hidden = true;
  connection.textContent = "";
}

function showLogin(trouble) {
  const input = el("input", { name: "key", type: "password", autocomplete: "off", required: true });
  const told = el("p", { class: "fault", role: "alert" }, trouble);
  const enter = async (event) => {
    event.preventDefault();
    setKey(input.value.trim());
    try {
      await tell("runtimes");
      route();
    } catch (error) {
      forgetKey();
      told.textContent = error.status === 401 ? "This key is not known here." : error.message;
      input.focus();
    }
  };
  main.replaceChildren(el("form", { class: "card login", onsubmit: enter },
    el("h1", { tabindex: "-1" }, "Your API key"),
    field("API key", input, "It stays in this tab and is forgotten when you close it. “darkroom up” prints it, with an "
      + "address that needs no typing; elsewhere, your operator has it."),
    told, el("button", { type: "submit", class: "main" }, "Open")));
  input.focus();
}

document.addEventListener("locked", () => {
  if (following === null) return; // the form tells of it itself
  stop();
  view.abort();
  showLogin("This key is not known here, or no longer.");
});
leave.addEventListener("click", () => {
  stop();
  location.hash = "#/make";
  route();
});
addEventListener("hashchange", route);
// A picture that is dropped beside the place for it must not replace the page.
for (const name of ["dragover", "drop"]) addEventListener(name, (event) => event.preventDefault());
route();
